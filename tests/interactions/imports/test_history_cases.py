"""The listening histories in `tests/cases/imports`, imported as `import_history` imports them."""

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

import pytest

from access.models import User
from interactions.imports.listening_history import HistoryImportReport, import_history
from interactions.models import Interaction
from tests.people import store_track
from tracks.models import Artist

CASES = Path(__file__).parents[2] / "cases" / "imports"
SONGS = {"Song One": 200_000, "Song Two": 240_000, "Song Three": 180_000}  # title: length in milliseconds


@pytest.fixture(autouse=True)
def _catalogue(db: None) -> None:
    band = Artist.objects.create(name="Test Band")
    for title, duration_ms in SONGS.items():
        store_track(title=title, artist=band, duration_ms=duration_ms)
    store_track(title="Café del Mar", artist=Artist.objects.create(name="Energy 52"), duration_ms=300_000)


def import_case(user: User, *names: str, format: str = "auto") -> HistoryImportReport:
    return import_history(user.pk, [CASES / name for name in names], format)


def stored_plays() -> list[tuple[str, str]]:
    """Return title and time of all interactions, the earliest first."""
    plays = Interaction.objects.order_by("played_at").values_list("track__title", "played_at")
    return [(title, played_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")) for title, played_at in plays]


def counts(report: HistoryImportReport) -> Mapping[str, int]:
    return {name: getattr(report, name) for name in ("added", "known", "unmatched", "refused") if getattr(report, name)}


def test_offline_plays_of_spotify_are_stored_at_the_times_they_began(alice: User) -> None:
    assert counts(import_case(alice, "spotify_offline_batch.json")) == {"added": 3}
    assert stored_plays() == [
        ("Song One", "2022-04-10 07:00:00"),
        ("Song Two", "2022-04-10 07:03:30"),
        ("Café del Mar", "2022-04-10 07:07:40"),
    ]


def test_an_offline_play_that_spotify_lists_twice_is_stored_once(alice: User) -> None:
    assert counts(import_case(alice, "spotify_offline_duplicates.json")) == {"added": 1, "known": 1}
    assert stored_plays() == [("Song One", "2022-02-10 09:56:40")]


def test_private_sessions_of_spotify_are_refused_however_they_are_marked(alice: User) -> None:
    assert counts(import_case(alice, "spotify_incognito_1.json")) == {"refused": 2}
    assert stored_plays() == []


@pytest.mark.parametrize("format", ["auto", "spotify"])
def test_account_data_of_spotify_is_imported(alice: User, format: str) -> None:
    assert counts(import_case(alice, "spotify_old_format.json", format=format)) == {"added": 1}
    assert stored_plays() == [("Song One", "2020-11-01 12:30:40")]
    [play] = Interaction.objects.all()
    assert (play.ms_played, play.milestone, play.is_completed, play.source) == (200_000, 100, True, "import:spotify")
