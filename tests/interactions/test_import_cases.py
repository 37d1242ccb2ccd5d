"""The events and scrobbles in tests/cases/imports, with the result that each must have."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.listen_tokens import create_listen_token
from access.models import User
from interactions.imports.listening_history import import_history
from interactions.listenbrainz.services import match_waiting_listens
from interactions.models import Interaction, UnmatchedListen
from tests.people import CatalogueFactory, store_track
from tracks.models import Artist

CASES = Path(__file__).parents[1] / "cases" / "imports"


@pytest.mark.parametrize(
    ("name", "duration_ms"),
    [
        ("lb_additional_info_list.json", None),
        ("lb_duration_float.json", 241_000),
        ("lb_duration_ms_float.json", 241_900),
        ("lb_release_name_empty.json", None),
    ],
)
def test_a_listen_that_listenbrainz_accepts_is_stored(alice: User, name: str, duration_ms: int | None) -> None:
    assert submit_listens(alice, name).json() == {"status": "ok"}
    waiting = UnmatchedListen.objects.get()
    assert (waiting.user, waiting.artist, waiting.title) == (alice, "The Harbour Lights", "Low Tide")
    assert (int(waiting.listened_at.timestamp()), waiting.duration_ms) == (1_700_000_000, duration_ms)


@pytest.mark.parametrize("is_in_catalogue", [True, False])
def test_one_play_whose_names_are_spelt_in_four_ways_counts_once(alice: User, is_in_catalogue: bool) -> None:
    if is_in_catalogue:
        store_track(title="Brûlée à Zoé", artist=Artist.objects.create(name="Côté Jardin"))
    assert submit_listens(alice, "lb_nfc_then_nfd.json").json() == {"status": "ok"}
    table = Interaction if is_in_catalogue else UnmatchedListen
    assert table.objects.get().user == alice


@pytest.mark.parametrize("is_in_catalogue", [True, False])
@pytest.mark.parametrize(
    "names",
    list(itertools.permutations(["spotify_then_lastfm_1_spotify.json", "spotify_then_lastfm_2_lastfm.csv"])),
    ids=["Spotify first", "Last.fm first"],
)
def test_one_play_that_two_services_know_counts_once(
    alice: User, names: tuple[str, str], is_in_catalogue: bool
) -> None:
    artist = Artist.objects.create(name="The Harbour Lights")
    if is_in_catalogue:
        store_track(title="Low Tide", artist=artist, duration_ms=241_900)
    for name in (*names, *names):
        import_history(alice.pk, [CASES / name])
    if not is_in_catalogue:
        assert UnmatchedListen.objects.get().source == "import:spotify"
        store_track(title="Low Tide", artist=artist, duration_ms=241_900)
        assert match_waiting_listens() == 1
    row = Interaction.objects.get()
    assert (row.source, int(row.played_at.timestamp()), row.is_completed) == ("import:spotify", 1_700_000_000, True)
    assert sorted(row.reports) == [["import:lastfm", 1_699_999_999], ["import:spotify", 1_700_000_000]]


def test_null_in_optional_fields_of_events_means_absent(
    service: APIClient, alice: User, catalogue: CatalogueFactory
) -> None:
    body = read_events("events_null_texts.json", alice, catalogue)
    receipt = service.post("/events", body, content_type="application/json").json()
    assert receipt == {"accepted": 6, "duplicates": 0, "rejected": []}


def test_half_an_emoji_costs_its_event_only(service: APIClient, alice: User, catalogue: CatalogueFactory) -> None:
    body = read_events("events_truncated_emoji.json", alice, catalogue)
    response = service.post("/events", body, content_type="application/json")
    assert (response.status_code, response.json()) == (
        202,
        {
            "accepted": 2,
            "duplicates": 0,
            "rejected": [
                {
                    "index": 1,
                    "event_id": "5d0f6c1e-0000-4000-8000-000000000012",
                    "type": "play_end",
                    "detail": "context: is not valid Unicode: it contains half of a surrogate pair, "
                    "or bytes that are not UTF-8",
                }
            ],
        },
    )
    assert Interaction.objects.count() == 2


def submit_listens(user: User, name: str) -> Any:
    api = APIClient(HTTP_AUTHORIZATION=f"Token {create_listen_token(user.pk)}")
    return api.post("/1/submit-listens", (CASES / name).read_bytes(), content_type="application/json")


def read_events(name: str, user: User, catalogue: CatalogueFactory) -> bytes:
    """Return the body with the ids of a listener and of a track that exist."""
    track = catalogue.tracks(1)[0]
    body = (CASES / name).read_bytes()
    for field, value in (("track_id", track.pk), ("user_id", user.pk)):
        body = body.replace(f'"{field}": 1,'.encode(), f'"{field}": {value},'.encode())
    return body
