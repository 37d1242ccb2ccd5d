"""The API for scrobblers, by raw HTTP requests."""

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from access.listen_tokens import create_listen_token, revoke_listen_tokens
from access.models import ListenToken, User
from interactions.listenbrainz.payload import MAX_BYTES, MAX_LISTEN_BYTES, MAX_LISTENS
from interactions.listenbrainz.services import match_waiting_listens
from interactions.models import Exposure, Interaction, UnmatchedListen
from interactions.services import refresh_popular_tracks
from tests.people import CatalogueFactory, store_track
from tracks.models import Artist, Track
from tracks.services import save_artist

NOW = int(time.time())
MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
NAMES = {"track_name": "Song", "artist_name": "Band"}
Submit = Callable[..., Any]


def new_listen(title: str = "Song", at: int | None = NOW - 600, artist: str = "Band", **info: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"artist_name": artist, "track_name": title}
    if info:
        metadata["additional_info"] = info
    return {"track_metadata": metadata} | ({} if at is None else {"listened_at": at})


@pytest.fixture
def song(db: None) -> Track:
    return store_track(title="Song", artist=Artist.objects.create(name="Band"), duration_ms=200_000)


@pytest.fixture
def submit(alice: User) -> Submit:
    """Return a function that submits listens, or any body, with a token of Alice's."""
    token = create_listen_token(alice.pk, "test")

    def send(*listens: Any, kind: str = "import", body: bytes | None = None, **headers: str) -> Any:
        data = json.dumps({"listen_type": kind, "payload": listens}).encode() if body is None else body
        headers = {"HTTP_AUTHORIZATION": f"Token {token}"} | headers
        return APIClient().generic("POST", "/1/submit-listens", data, content_type="", **headers)

    return send


def assert_refused(response: Any, status: int = 400) -> str:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    assert response.json().keys() == {"code", "error"}
    assert response.json()["code"] == status
    assert not Interaction.objects.exists()
    assert not UnmatchedListen.objects.exists()
    return str(response.json()["error"])


def test_a_listen_becomes_an_interaction_and_a_retry_adds_nothing(submit: Submit, song: Track, alice: User) -> None:
    for _ in range(2):
        response = submit(new_listen(media_player="Winamp"), kind="single")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
    row = Interaction.objects.get()
    assert (row.user, row.track, row.kind, row.source, row.device) == (alice, song, "play", "listenbrainz", "Winamp")
    assert (row.milestone, row.is_listen, row.is_completed, row.ms_played) == (50, True, False, None)
    assert int(row.played_at.timestamp()) == NOW - 600


@pytest.mark.parametrize(
    ("info", "milestone", "is_listen", "is_completed"),
    [
        ({"ms_played": 200_000}, 100, True, True),
        ({"duration_played": 150}, 75, True, False),
        ({"ms_played": 20_000}, 10, False, False),
        ({"ms_played": -1}, 50, True, False),
        ({"ms_played": "many"}, 50, True, False),
    ],
)
def test_a_listen_counts_as_half_of_the_track_unless_the_client_says_more(
    submit: Submit, song: Track, info: dict[str, Any], milestone: int, is_listen: bool, is_completed: bool
) -> None:
    assert submit(new_listen(**info)).status_code == 200
    row = Interaction.objects.get()
    assert (row.milestone, row.is_listen, row.is_completed) == (milestone, is_listen, is_completed)


def test_a_brief_play_of_a_track_of_unknown_length_is_no_listen(submit: Submit, song: Track) -> None:
    Track.objects.update(duration_ms=None)
    submit(new_listen(ms_played=29_999), new_listen(at=NOW - 5_000, ms_played=30_000))
    rows = Interaction.objects.order_by("-played_at").values_list("ms_played", "milestone", "is_listen", "is_skip")
    assert list(rows) == [(29_999, 0, False, False), (30_000, 50, True, False)]


@pytest.mark.usefixtures("song")
def test_a_track_is_found_by_mbid_then_isrc_then_names(submit: Submit) -> None:
    band = Artist.objects.get()
    by_isrc = store_track(title="Two", artist=band, isrc="GBAYE0601498")
    by_mbid = store_track(title="Three", artist=band, mbid=MBID)
    submit(
        new_listen("Song", NOW - 100, recording_mbid=MBID, isrc="GBAYE0601498"),
        new_listen("Song", NOW - 90, isrc="GB-AYE-06-01498"),
        new_listen("SÓNG (Remastered 2011)", NOW - 80, artist="BAND feat. Somebody"),
    )
    by_time = Interaction.objects.order_by("played_at").values_list("track__title", flat=True)
    assert list(by_time) == [by_mbid.title, by_isrc.title, "Song"]


def test_the_most_popular_of_several_tracks_with_the_same_name_is_matched(
    submit: Submit, song: Track, catalogue: CatalogueFactory, bob: User
) -> None:
    other = store_track(title="Song (Remastered)", artist=song.artist)
    catalogue.play(bob, other)
    refresh_popular_tracks()
    submit(new_listen())
    assert Interaction.objects.get(source="listenbrainz").track == other


def test_an_unmatched_listen_waits_for_its_track_and_counts_once(submit: Submit, alice: User) -> None:
    for _ in range(2):
        assert submit(new_listen(ms_played=190_000), new_listen("Other"), kind="import").status_code == 200
    assert UnmatchedListen.objects.count() == 2
    assert match_waiting_listens() == 0
    band = Artist.objects.create(name="The Band")
    song = store_track(title="Song", artist=band, duration_ms=200_000)
    band.name = "Band"
    save_artist(band)
    assert match_waiting_listens() == 1
    assert match_waiting_listens() == 0
    row = Interaction.objects.get()
    assert (row.track, row.user, row.milestone, row.is_completed, row.is_listen) == (song, alice, 95, True, True)
    assert UnmatchedListen.objects.get().title == "Other"
    assert submit(new_listen(ms_played=190_000)).status_code == 200
    assert Interaction.objects.count() == 1


def test_playing_now_adds_no_listen(submit: Submit, song: Track) -> None:
    assert submit(new_listen(at=None), kind="playing_now").json() == {"status": "ok"}
    assert not Interaction.objects.exists()
    assert not Exposure.objects.exists()
    assert not UnmatchedListen.objects.exists()


def test_without_consent_listens_are_accepted_and_not_stored(submit: Submit, song: Track, alice: User) -> None:
    submit(new_listen("Unknown", NOW - 50))
    alice.consent = False
    alice.save()
    assert submit(new_listen(), new_listen("Other")).json() == {"status": "ok"}
    store_track(title="Unknown", artist=song.artist)
    assert match_waiting_listens() == 0
    assert not Interaction.objects.exists()
    assert UnmatchedListen.objects.count() == 1


@pytest.mark.parametrize(
    ("listens", "kind", "detail"),
    [
        ([new_listen(), new_listen()], "single", "exactly one"),
        ([new_listen(at=None), new_listen(at=None)], "playing_now", "exactly one"),
        ([], "import", "at least one"),
        ([new_listen()] * (MAX_LISTENS + 1), "import", "at most 1000"),
        ([new_listen()], "listening", "listen_type"),
        ([new_listen()], "playing_now", "must not have"),
        ([new_listen(at=None)], "single", "is required"),
        ([new_listen(at=NOW + 7200)], "single", "future"),
        ([new_listen(at=1_000_000_000)], "single", "2002-10-01"),
        ([new_listen(at="soon")], "single", "whole number"),  # type: ignore[arg-type]
        ([new_listen(at=[])], "single", "whole number"),  # type: ignore[arg-type]
        ([new_listen(""), new_listen("  ")], "import", "track_name"),
        ([new_listen(artist=7)], "import", "artist_name"),  # type: ignore[arg-type]
        ([new_listen("So\0ng")], "import", "null"),
        ([new_listen(recording_mbid="no")], "import", "recording_mbid"),
        ([new_listen(artist_mbids=["no"])], "import", "artist_mbids"),
        ([new_listen(artist_mbids=7)], "import", "artist_mbids"),
        ([new_listen(tags=["a"] * 51)], "import", "tags"),
        ([new_listen(tags=["a" * 65])], "import", "tags"),
        ([new_listen(duration=1, duration_ms=1000)], "import", "not both"),
        ([new_listen(duration_ms=0)], "import", "duration_ms"),
        ([new_listen(duration={})], "import", "duration"),
        ([new_listen(duration="long")], "import", "duration"),
        ([new_listen(duration=0.9)], "import", "duration"),
        ([new_listen(duration_ms=float("nan"))], "import", "duration_ms"),
        ([new_listen(duration_ms=1e400)], "import", "duration_ms"),
        ([new_listen(tags=[7])], "import", "tags"),
        ([new_listen("So\ud83cng")], "import", "surrogate"),
        ([new_listen(words="x" * 3 * MAX_LISTEN_BYTES)], "single", "too long"),
        ([new_listen() | {"user": 1}], "import", "user"),
        ([None], "import", "object"),
        ([{"listened_at": NOW}], "import", "track_metadata"),
        ([{"listened_at": NOW, "track_metadata": []}], "import", "track_metadata"),
        ([{"listened_at": NOW, "track_metadata": NAMES | {"additional_info": 1}}], "import", "additional_info"),
    ],
)  # fmt: skip
def test_a_submission_without_a_valid_listen_is_a_400(
    submit: Submit, song: Track, listens: list[Any], kind: str, detail: str
) -> None:
    assert detail in assert_refused(submit(*listens, kind=kind))


@pytest.mark.usefixtures("song")
@pytest.mark.parametrize(
    ("invalid", "fault"),
    [
        (new_listen(""), "track_name"),
        (new_listen("So\0ng"), "null characters"),
        (new_listen("So\ud83cng"), "halves of surrogate pairs"),
        (new_listen(at=None), "listened_at"),
        (new_listen(duration_ms=float("nan")), "duration_ms"),
        (new_listen(recording_mbid="no"), "recording_mbid"),
        (new_listen(words="x" * 3 * MAX_LISTEN_BYTES), "too long"),
        (None, "object"),
        ({"\ud83c": 1}, "listened_at"),
    ],
)
def test_an_invalid_listen_of_an_import_is_rejected_and_the_others_are_stored(
    submit: Submit, invalid: Any, fault: str
) -> None:
    response = submit(new_listen(), invalid, new_listen(at=NOW - 5_000))
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    [rejected] = response.json()["rejected"]
    assert rejected["index"] == 1
    assert fault in rejected["error"]
    assert sorted(int(row.played_at.timestamp()) for row in Interaction.objects.all()) == [NOW - 5_000, NOW - 600]


@pytest.mark.usefixtures("song")
def test_a_text_that_is_cut_off_within_a_character_costs_its_listen_only(submit: Submit) -> None:
    payload = json.dumps([new_listen("So-ng"), new_listen()]).encode().replace(b"So-ng", b"Song \xf0\x9f\x8e")
    response = submit(body=b'{"listen_type": "import", "payload": %s}' % payload)
    assert [(r["index"], r["error"][:9]) for r in response.json()["rejected"]] == [(0, "track_nam")]
    assert Interaction.objects.count() == 1


@pytest.mark.parametrize(
    ("metadata", "info", "duration_ms"),
    [
        ({"release_name": ""}, {}, None),
        ({"release_name": "  "}, {}, None),
        ({"release_name": None}, {}, None),
        ({"additional_info": []}, None, None),
        ({"additional_info": None}, None, None),
        ({"additional_info": ""}, None, None),
        ({"track_name": " Song\u200b "}, {}, None),
        ({}, {"duration": 199.7}, 199_000),
        ({}, {"duration": "199.7"}, 199_000),
        ({}, {"duration_ms": 199_700.4}, 199_700),
        ({}, {"duration_ms": " 199700 "}, 199_700),
        ({}, {"duration": None, "duration_ms": 199_700}, 199_700),
        ({}, {"tags": "loud"}, None),
        ({}, {"tags": {"loud": 1}}, None),
        ({}, {"tags": None}, None),
        ({}, {"recording_mbid": "", "artist_mbids": [None, ""], "work_mbids": {}}, None),
        ({}, {"device": "phone \ud83c", "anything": [1, {"a": float("nan")}]}, None),
        ({"anything": {"else": 1}}, {}, None),
    ],
)
def test_what_listenbrainz_accepts_or_drops_is_accepted(
    submit: Submit, alice: User, metadata: dict[str, Any], info: dict[str, Any] | None, duration_ms: int | None
) -> None:
    listen = new_listen("Song")
    listen["track_metadata"] |= metadata | ({} if info is None else {"additional_info": info})
    response = submit(listen, kind="single")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    waiting = UnmatchedListen.objects.get()
    assert (waiting.user, waiting.artist, waiting.duration_ms) == (alice, "Band", duration_ms)
    assert waiting.match_key == "band\x1fsong"


@pytest.mark.usefixtures("song")
@pytest.mark.parametrize("template", ["{}.0", "{}.75", '"{}"', '" {} "', '"{}.0"'])
def test_listened_at_may_be_a_float_or_a_text(submit: Submit, template: str) -> None:
    assert submit(new_listen(at=json.loads(template.format(NOW))), kind="single").status_code == 200
    assert int(Interaction.objects.get().played_at.timestamp()) == NOW


@pytest.mark.usefixtures("song")
def test_played_durations_are_truncated(submit: Submit) -> None:
    submit(new_listen(ms_played=150_000.9), new_listen(at=NOW - 5_000, duration_played="150.9"))
    assert list(Interaction.objects.values_list("ms_played", "milestone")) == [(150_000, 75)] * 2


def test_names_are_shortened_to_what_is_stored(submit: Submit, alice: User) -> None:
    assert submit(new_listen("x" * 600, artist="y" * 600)).status_code == 200
    assert UnmatchedListen.objects.values_list("title", "artist").get() == ("x" * 512, "y" * 512)


@pytest.mark.usefixtures("song")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"1", b'"x"', b"null", b'{"payload": 1}', b'{"listen_type": [], "payload": [1]}', b"\xff\xfe",
     b"[" * 5000, b'{"listen_type": "single", "payload": {"0": 1}}'],
)  # fmt: skip
def test_a_body_that_is_not_a_submission_is_a_400(submit: Submit, body: bytes) -> None:
    assert_refused(submit(body=body))


@pytest.mark.usefixtures("song")
def test_deeply_nested_fields_are_accepted(submit: Submit) -> None:
    nested: Any = "x"
    for _ in range(900):
        nested = [nested]
    assert submit(new_listen(deep=nested)).status_code == 200


@pytest.mark.usefixtures("song")
def test_unknown_and_malformed_optional_fields_are_ignored(submit: Submit) -> None:
    odd = {"recording_mbid": None, "artist_mbids": [None, MBID], "isrc": ["no"], "media_player": 7, "x": {"y": [1.5]}}
    assert submit(new_listen(**odd), new_listen("Song", at=str(NOW - 5))).status_code == 200  # type: ignore[arg-type]
    assert Interaction.objects.count() == 2


@pytest.mark.usefixtures("song")
def test_a_gzipped_body_is_read_unless_it_is_too_large(submit: Submit) -> None:
    body = json.dumps({"listen_type": "single", "payload": [new_listen()]}).encode()
    bomb = gzip.compress(b" " * (MAX_BYTES + 1000))
    for wrong in (bomb, body, gzip.compress(body)[:-9]):
        assert_refused(submit(body=wrong, HTTP_CONTENT_ENCODING="gzip"))
    assert submit(body=gzip.compress(body), HTTP_CONTENT_ENCODING="gzip").status_code == 200


@pytest.mark.usefixtures("song")
def test_a_thousand_listens_are_accepted_at_once_and_a_longer_body_is_not(submit: Submit) -> None:
    response = submit(*(new_listen(at=NOW - 10_000 - n, words="x" * 9000) for n in range(MAX_LISTENS)))
    assert response.status_code == 200, response.content
    assert Interaction.objects.count() == MAX_LISTENS
    too_long = submit(body=b" " * (MAX_BYTES + 1))
    assert (too_long.status_code, too_long.json()["code"]) == (400, 400)
    assert submit(body=b" " * (MAX_BYTES + 2)).status_code == 413


@pytest.mark.usefixtures("song")
@pytest.mark.parametrize("header", ["", "Token", "Token 123", "Bearer x", "Token \xff"])
def test_listens_without_a_valid_token_are_refused(submit: Submit, header: str) -> None:
    response = submit(new_listen(), HTTP_AUTHORIZATION=header)
    assert "oken" in assert_refused(response, 401)
    assert response["WWW-Authenticate"] == "Token"


def test_tokens_that_are_revoked_or_belong_to_a_closed_account_are_refused(
    submit: Submit, song: Track, alice: User
) -> None:
    alice.is_active = False
    alice.save()
    assert_refused(submit(new_listen()), 401)
    alice.is_active = True
    alice.save()
    assert revoke_listen_tokens(ListenToken.objects.all()) == 1
    assert_refused(submit(new_listen()), 401)


@pytest.mark.usefixtures("song")
def test_responses_carry_the_remaining_requests(submit: Submit, settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"RATE_LISTENER": "2/day"}
    first, second, third = (submit(new_listen(at=NOW - n)) for n in range(3))
    assert [r["X-RateLimit-Remaining"] for r in (first, second, third)] == ["1", "0", "0"]
    assert (first["X-RateLimit-Limit"], third.status_code, third.json()["code"]) == ("2", 429, 429)
    assert int(third["X-RateLimit-Reset-In"]) >= int(third["Retry-After"]) - 1 > 0


def test_a_token_is_validated_in_the_header_or_as_a_parameter(alice: User) -> None:
    token = create_listen_token(alice.pk)
    valid = {"code": 200, "message": "Token valid.", "valid": True, "user_name": "alice"}
    invalid = {"code": 200, "message": "Token invalid.", "valid": False}
    api = APIClient()
    assert api.get(f"/1/validate-token?token={token}").json() == valid
    assert api.get("/1/validate-token", HTTP_AUTHORIZATION=f"Token {token}").json() == valid
    assert api.get("/1/validate-token", HTTP_AUTHORIZATION=f"token {token.upper()}").json() == valid
    assert api.get("/1/validate-token?token=%FF%00").json() == invalid
    assert api.get("/1/validate-token", HTTP_AUTHORIZATION="Token nobody").json() == invalid
    nothing = api.get("/1/validate-token")
    assert (nothing.status_code, nothing.json()["code"]) == (400, 400)


def test_a_command_creates_a_token_of_which_only_the_digest_is_stored(alice: User, capsys: Any) -> None:
    call_command("create_listen_token", str(alice.pk), name="phone")
    token = capsys.readouterr().out.splitlines()[-1]
    row = ListenToken.objects.get()
    assert (row.user, row.name, row.prefix, row.last_used_at) == (alice, "phone", token[:8], None)
    assert token not in row.digest
    APIClient().post("/1/submit-listens", HTTP_AUTHORIZATION=f"Token {token}")
    assert ListenToken.objects.get().last_used_at is not None
    with pytest.raises(CommandError, match="no listener"):
        call_command("create_listen_token", "99999")
    with pytest.raises(CommandError, match="64"):
        call_command("create_listen_token", str(alice.pk), name="x" * 65)
