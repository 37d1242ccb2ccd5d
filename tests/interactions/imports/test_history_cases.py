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
def test_account_data_of_spotify_is_imported_with_a_sentence_on_what_it_lacks(alice: User, format: str) -> None:
    report = import_case(alice, "spotify_old_format.json", format=format)
    assert counts(report) == {"added": 1}
    assert report.describe_problems() == (
        "spotify_old_format.json: this is Spotify's account data: it has only the plays of the last year, and neither "
        "albums, nor seconds, nor why a play ended, nor which plays belong to a private session; the extended "
        "streaming history has all of these"
    )
    assert stored_plays() == [("Song One", "2020-11-01 12:30:40")]
    [play] = Interaction.objects.all()
    assert (play.ms_played, play.milestone, play.is_completed, play.source) == (200_000, 100, True, "import:spotify")


@pytest.mark.parametrize("format", ["auto", "lastfm"])
def test_what_finder_adds_to_an_archive_is_left_out(alice: User, format: str) -> None:
    report = import_case(alice, "lastfm_macos.zip", format=format)
    assert (counts(report), report.describe_problems()) == ({"added": 1}, "")
    assert stored_plays() == [("Song One", "2012-04-13 11:59:00")]


@pytest.mark.parametrize("format", ["auto", "lastfm"])
def test_a_file_without_listens_in_an_archive_is_skipped_and_reported(alice: User, format: str) -> None:
    report = import_case(alice, "lastfm_with_other_csv.zip", format=format)
    assert counts(report) == {"added": 1}
    assert report.describe_problems().startswith("lastfm_with_other_csv.zip: a_loved.csv: ")
    assert stored_plays() == [("Song One", "2012-04-15 11:59:00")]


@pytest.mark.parametrize("format", ["auto", "spotify"])
def test_a_renamed_file_in_an_archive_is_recognized_by_its_content(alice: User, format: str) -> None:
    report = import_case(alice, "spotify_renamed_member.zip", format=format)
    assert (counts(report), report.describe_problems()) == ({"added": 1}, "")
    assert stored_plays() == [("Song One", "2023-05-06 07:04:49")]


@pytest.mark.parametrize("format", ["auto", "spotify"])
def test_the_files_after_a_truncated_one_are_imported(alice: User, format: str) -> None:
    report = import_case(alice, "spotify_first_of_two_truncated.zip", format=format)
    assert counts(report) == {"added": 1, "refused": 1}
    name = "spotify_first_of_two_truncated.zip: Spotify Extended Streaming History/Streaming_History_Audio_2023_1.json"
    assert report.describe_problems() == (f"{name}: item 1 is not valid JSON, or is cut off; download the export again")
    assert stored_plays() == [("Song One", "2021-11-14 09:56:40")]


@pytest.mark.parametrize(
    ("name", "time", "problems"),
    [
        ("lastfm_header_title_first.csv", "2012-05-02 23:06:40", ""),
        ("lastfmstats.csv", "2010-04-08 12:00:00", ""),
        (
            "scrubbler.csv",
            "2010-04-09 12:00:00",
            "scrubbler.csv: dates are read as day/month/year, since none of them shows the order of its parts",
        ),
    ],
)
def test_tables_of_common_tools_are_imported(alice: User, name: str, time: str, problems: str) -> None:
    report = import_case(alice, name)
    assert (counts(report), report.describe_problems()) == ({"added": 1}, problems)
    assert stored_plays() == [("Song One", time)]
    [play] = Interaction.objects.all()
    assert (play.milestone, play.is_listen) == (50, True)


def test_a_column_of_times_with_a_less_common_name_is_found(alice: User) -> None:
    assert counts(import_case(alice, "lastfm_header_unknown_time.csv")) == {"added": 2}
    assert stored_plays() == [("Song One", "2012-05-01 10:00:00"), ("Song Two", "2012-05-01 10:05:00")]


@pytest.mark.parametrize(
    ("name", "format", "time"),
    [
        ("lastfmstats.json", "lastfmstats", "2010-04-08 12:00:00"),
        ("maloja_export.json", "maloja", "2010-04-15 02:53:20"),
        ("rockbox_utc.scrobbler.log", "rockbox", "2010-04-10 12:00:00"),
    ],
)
def test_exports_of_other_scrobblers_are_imported(alice: User, name: str, format: str, time: str) -> None:
    report = import_case(alice, name)
    assert (counts(report), report.describe_problems()) == ({"added": 1}, "")
    assert stored_plays() == [("Song One", time)]
    [play] = Interaction.objects.all()
    assert (play.source, play.milestone, play.is_listen) == (f"import:{format}", 50, True)
    assert counts(import_case(alice, name, format=format)) == {"known": 1}


def test_a_log_of_rockbox_has_listened_and_skipped_tracks(alice: User) -> None:
    report = import_case(alice, "rockbox.scrobbler.log")
    assert counts(report) == {"added": 2, "refused": 1}
    assert report.describe_problems().splitlines() == [
        "rockbox.scrobbler.log: the player does not know its time zone, so the times are those of its clock, read as "
        "UTC; they may be wrong by some hours",
        "rockbox.scrobbler.log:7: time: '0' is not a UNIX time from the year 2000 to today (players without a clock "
        "write 0)",
    ]
    assert stored_plays() == [("Song One", "2010-04-10 12:00:00"), ("Song Two", "2010-04-10 12:03:20")]
    plays = Interaction.objects.order_by("played_at").values_list("end_reason", "milestone", "is_listen", "is_skip")
    assert list(plays) == [("", 50, True, False), ("skipped", 0, False, False)]


@pytest.mark.parametrize("name", ["pano.jsonl", "pano.csv"])
def test_a_file_of_pano_scrobbler_has_scrobbles_and_loved_tracks(alice: User, name: str) -> None:
    report = import_case(alice, name)
    assert counts(report) == {"added": 1, "refused": 1}
    line = {"pano.jsonl": 2, "pano.csv": 3}[name]
    assert report.describe_problems() == (
        f"{name}:{line}: event: 'love' is not a scrobble (loved tracks are not imported)"
    )
    assert stored_plays() == [("Song One", "2010-04-11 12:00:00")]
    [play] = Interaction.objects.all()
    assert (play.source, play.milestone, play.is_listen, play.device) == ("import:pano", 50, True, "Player")
