"""Clients of ListenBrainz read listens, their number, the track that is playing, and the state of imports."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from importers.histories import HISTORY_IMPORTERS
from interactions.bulk import NewInteraction, insert_interactions
from interactions.imports.listening_history import import_history
from interactions.listenbrainz.selectors import WINDOW_S
from interactions.models import Clock, Interaction, LatestImport, PlayingNow, UnmatchedListen
from interactions.services import delete_old_events
from tests.people import store_track
from tracks.models import Album, Artist, Track

NOW = int(time.time())
MBID, ARTIST_MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae", "164f0d73-1234-4e2c-8743-d77bf2191051"
Json = dict[str, Any]


def new_listen(title: str, at: int | None, artist: str = "Band", **info: Any) -> Json:
    metadata = {"artist_name": artist, "track_name": title, "additional_info": info}
    return {"track_metadata": metadata} | ({} if at is None else {"listened_at": at})


def submit(scrobbler: APIClient, *listens: Json, kind: str = "import", query: str = "") -> Json:
    body = {"listen_type": kind, "payload": listens}
    response = scrobbler.post(f"/1/submit-listens{query}", body, format="json")
    assert response.status_code == 200, response.content
    answer: Json = response.json()
    return answer


def read_listens(scrobbler: APIClient, query: str = "") -> Json:
    response = scrobbler.get(f"/1/user/alice/listens{query}")
    assert response.status_code == 200, response.content
    payload: Json = response.json()["payload"]
    return payload


def titles(payload: Json) -> list[str]:
    return [listen["track_metadata"]["track_name"] for listen in payload["listens"]]


def store_app_play(user: User, track: Track, ended_at: int, ms_played: int | None = 200_000, **columns: Any) -> None:
    columns = {"milestone": 100, "is_completed": True, "is_listen": True, "ms_played": ms_played} | columns
    ended = datetime.fromtimestamp(ended_at, UTC)
    insert_interactions([NewInteraction(user.pk, track.pk, "play", ended, "api", uuid.uuid4(), **columns)])


@pytest.fixture
def song(db: None) -> Track:
    band = Artist.objects.create(name="Band", mbid=ARTIST_MBID)
    album = Album.objects.create(title="Record", artist=band)
    return store_track(title="Song", artist=band, album=album, duration_ms=200_000, mbid=MBID, isrc="GBAYE0601498")


def test_a_listen_is_returned_in_the_form_of_listenbrainz(scrobbler: APIClient, song: Track) -> None:
    submit(scrobbler, new_listen("SONG", NOW - 600, media_player="Winamp", duration_played=150))
    payload = read_listens(scrobbler)
    [listen] = payload.pop("listens")
    msid = listen["recording_msid"]
    assert uuid.UUID(msid).version == 4
    assert payload == {"count": 1, "user_id": "alice", "latest_listen_ts": NOW - 600, "oldest_listen_ts": NOW - 600}
    assert listen == {
        "listened_at": NOW - 600,
        "inserted_at": NOW - 600,
        "recording_msid": msid,
        "user_name": "alice",
        "track_metadata": {
            "artist_name": "Band",
            "track_name": "Song",
            "release_name": "Record",
            "additional_info": {
                "recording_msid": msid,
                "recording_mbid": MBID,
                "isrc": "GBAYE0601498",
                "duration_ms": 200_000,
                "media_player": "Winamp",
                "duration_played": 150,
            },
            "mbid_mapping": {
                "recording_mbid": MBID,
                "recording_name": "Song",
                "release_mbid": None,
                "artist_mbids": [ARTIST_MBID],
            },
        },
    }


def test_a_listen_that_waits_for_its_track_is_returned_too(scrobbler: APIClient, song: Track) -> None:
    submit(scrobbler, new_listen("Unknown", NOW - 60, duration_ms=100_000), new_listen("Song", NOW - 600))
    payload = read_listens(scrobbler)
    assert titles(payload) == ["Unknown", "Song"]
    info = payload["listens"][0]["track_metadata"]["additional_info"]
    assert (info["duration_ms"], info["recording_msid"]) == (100_000, payload["listens"][0]["recording_msid"])
    assert abs(payload["listens"][0]["inserted_at"] - time.time()) < 60
    assert scrobbler.get("/1/user/alice/listen-count").json() == {"payload": {"count": 2}}


def test_without_listens_the_list_is_empty(scrobbler: APIClient) -> None:
    empty = {"count": 0, "user_id": "alice", "latest_listen_ts": 0, "oldest_listen_ts": 0, "listens": []}
    assert read_listens(scrobbler) == empty
    assert scrobbler.get("/1/user/alice/listen-count").json() == {"payload": {"count": 0}}


def test_a_play_of_the_app_is_returned_with_the_time_at_which_it_began(
    scrobbler: APIClient, song: Track, alice: User
) -> None:
    store_app_play(alice, song, NOW - 1_000)
    store_app_play(alice, song, NOW, ms_played=None)
    payload = read_listens(scrobbler)
    assert [listen["listened_at"] for listen in payload["listens"]] == [NOW - 200, NOW - 1_200]
    assert (payload["oldest_listen_ts"], payload["latest_listen_ts"]) == (NOW - 1_200, NOW - 200)


def test_plays_that_are_no_listens_are_left_out(scrobbler: APIClient, song: Track, alice: User) -> None:
    less = {"milestone": 20, "is_completed": False, "is_listen": False}
    store_app_play(alice, song, NOW - 1_000, ms_played=40_000, **less)
    store_app_play(alice, song, NOW - 5_000, clock=Clock.ARRIVAL)
    store_app_play(alice, song, NOW - 9_000, plays=7)
    assert read_listens(scrobbler)["count"] == 0
    submit(scrobbler, new_listen("Song", NOW - 20_000, duration_played=20))  # whatever a scrobbler submits is a listen
    assert read_listens(scrobbler)["count"] == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("?count=2", [5, 4]),
        ("?count=0", []),
        ("?count=5000", [5, 4, 3, 2, 1]),
        ("?max_ts={3}&count=1", [2]),
        ("?max_ts={3}", [2, 1]),
        ("?min_ts={2}", [5, 4, 3]),
        ("?min_ts={2}&count=2", [4, 3]),
        ("?min_ts={1}&max_ts={5}&count=2", [3, 2]),
        ("?max_ts={1}", []),
        ("?min_ts={5}", []),
        ("?max_ts=999999999999999999", [5, 4, 3, 2, 1]),
        ("?min_ts=-5", [5, 4, 3, 2, 1]),
        ("?unknown=parameter", [5, 4, 3, 2, 1]),
    ],
)
@pytest.mark.parametrize("spacing", [1_000, WINDOW_S // 2, WINDOW_S * 3])
def test_pages_are_cut_by_time(
    scrobbler: APIClient, song: Track, alice: User, query: str, expected: list[int], spacing: int
) -> None:
    """The second and the fourth of five listens are plays of the app, and the third waits for its track."""
    times = [NOW - (6 - number) * spacing for number in range(6)]
    submit(scrobbler, *(new_listen("Unknown" if n == 3 else "Song", times[n]) for n in (1, 3, 5)))
    for number in (2, 4):
        store_app_play(alice, song, times[number] + 200)
    listens = read_listens(scrobbler, query.format(*times))["listens"]
    assert [listen["listened_at"] for listen in listens] == [times[number] for number in expected]


def test_a_client_that_turns_the_pages_sees_every_listen_once(scrobbler: APIClient, song: Track) -> None:
    submit(scrobbler, *(new_listen("Song" if n % 2 else "Other", NOW - n * 500) for n in range(1, 24)))
    seen, query = [], "?count=5"
    while page := read_listens(scrobbler, query)["listens"]:
        seen += [listen["listened_at"] for listen in page]
        query = f"?count=5&max_ts={seen[-1]}"
    assert seen == [NOW - n * 500 for n in range(1, 24)]


class TestWhatIsReturnedAndSubmittedAgain:
    def rows(self) -> tuple[int, int]:
        return Interaction.objects.count(), UnmatchedListen.objects.count()

    def assert_that_resubmission_adds_nothing(self, scrobbler: APIClient) -> None:
        before, payload = self.rows(), read_listens(scrobbler)
        assert payload["count"] == sum(before)
        copies = [{name: listen[name] for name in ("listened_at", "track_metadata")} for listen in payload["listens"]]
        for name in ("recording_mbid", "isrc", "mbid_mapping"):  # clients leave out what they do not know
            submit(scrobbler, *copies)
            assert self.rows() == before
            for copy in copies:
                copy["track_metadata"]["additional_info"].pop(name, None)
                copy["track_metadata"].pop(name, None)
        assert read_listens(scrobbler)["count"] == payload["count"]

    def test_adds_nothing(self, scrobbler: APIClient, song: Track, alice: User) -> None:
        submit(
            scrobbler,
            new_listen("SÓNG (Remastered)", NOW - 600, media_player="Winamp"),
            new_listen("Song", NOW - 5_000, duration_played=20),
            new_listen("Song", NOW - 9_000, ms_played=199_999),
            new_listen("Unknown", NOW - 11_000, media_player="Winamp"),
            new_listen("Unknown &amp; more", NOW - 12_000, isrc="USUM71600001"),
        )
        store_app_play(alice, song, NOW - 20_000, ms_played=123_456)
        self.assert_that_resubmission_adds_nothing(scrobbler)

    @pytest.mark.parametrize("source", ["import:csv", *(f"import:{name}" for name in HISTORY_IMPORTERS)])
    @pytest.mark.parametrize("second", [0, 17])
    def test_adds_nothing_to_an_imported_history(
        self, source: str, second: int, scrobbler: APIClient, song: Track, alice: User
    ) -> None:
        event_id, begun = uuid.uuid4(), datetime.fromtimestamp(NOW // 60 * 60 - 600 + second, UTC)
        row = NewInteraction(alice.pk, song.pk, "play", begun, source, event_id, milestone=100, is_completed=True)
        insert_interactions([row])
        self.assert_that_resubmission_adds_nothing(scrobbler)
        if source == "import:csv":  # otherwise the next import of the same data set would add the play again
            assert Interaction.objects.get().event_id == event_id

    def test_goes_to_the_same_one_of_several_tracks_with_the_same_names(
        self, scrobbler: APIClient, song: Track, alice: User
    ) -> None:
        twin = store_track(title="Song", artist=song.artist, duration_ms=200_000)
        store_app_play(alice, twin, NOW - 20_000)
        self.assert_that_resubmission_adds_nothing(scrobbler)

    @pytest.mark.usefixtures("song")
    def test_is_known_to_the_import_of_histories(self, scrobbler: APIClient, alice: User, tmp_path: Path) -> None:
        submit(scrobbler, new_listen("Song", NOW - 600), new_listen("Unknown", NOW - 60))
        path = tmp_path / "listens.json"
        path.write_bytes(scrobbler.get("/1/user/alice/listens").content)
        report = import_history(alice.pk, [path])
        assert (report.added, report.known, report.unmatched, report.refused) == (0, 2, 0, 0)


def test_an_msid_of_another_service_names_no_track(scrobbler: APIClient, song: Track) -> None:
    foreign = uuid.UUID(bytes=song.pk.to_bytes(6, "big") + b"0123456789", version=4)
    submit(scrobbler, new_listen("Unknown", NOW - 60, recording_msid=str(foreign)))
    assert UnmatchedListen.objects.get().title == "Unknown"


class TestPlayingNow:
    def read(self, scrobbler: APIClient) -> Json:
        response = scrobbler.get("/1/user/alice/playing-now")
        assert response.status_code == 200, response.content
        payload: Json = response.json()["payload"]
        return payload

    def test_nothing_is_playing_at_first(self, scrobbler: APIClient) -> None:
        assert self.read(scrobbler) == {"count": 0, "user_id": "alice", "playing_now": True, "listens": []}

    def test_the_last_report_is_returned_until_the_track_ends(
        self, scrobbler: APIClient, song: Track, alice: User
    ) -> None:
        submit(scrobbler, new_listen("Another", None), kind="playing_now")
        answer = submit(scrobbler, new_listen("song", None), kind="playing_now", query="?return_msid=true")
        payload = self.read(scrobbler)
        [listen] = payload["listens"]
        assert (payload["count"], listen["playing_now"], listen["user_name"]) == (1, True, "alice")
        assert "listened_at" not in listen
        metadata = listen["track_metadata"]
        assert (metadata["track_name"], metadata["release_name"]) == ("Song", "Record")
        assert answer == {"status": "ok", "recording_msid": metadata["additional_info"]["recording_msid"]}
        row = PlayingNow.objects.get()
        assert row.user == alice
        assert abs(row.expires_at - timezone.now() - timedelta(seconds=200)) < timedelta(seconds=30)
        PlayingNow.objects.update(expires_at=timezone.now())
        assert self.read(scrobbler)["count"] == 0
        assert (Interaction.objects.count(), UnmatchedListen.objects.count()) == (0, 0)

    def test_a_track_that_the_catalogue_lacks_plays_for_ten_minutes(self, scrobbler: APIClient) -> None:
        submit(scrobbler, new_listen("Unknown", None, isrc="USUM71600001", media_player="mpv"), kind="playing_now")
        metadata = self.read(scrobbler)["listens"][0]["track_metadata"]
        info = metadata["additional_info"]
        assert (metadata["artist_name"], info["isrc"], info["media_player"]) == ("Band", "USUM71600001", "mpv")
        expires_in = PlayingNow.objects.get().expires_at - timezone.now()
        assert timedelta(minutes=9) < expires_in <= timedelta(minutes=10)

    def test_without_consent_nothing_is_stored(self, scrobbler: APIClient, alice: User) -> None:
        alice.consent = False
        alice.save()
        assert submit(scrobbler, new_listen("Song", None), kind="playing_now") == {"status": "ok"}
        assert not PlayingNow.objects.exists()

    def test_expired_rows_are_deleted(self, scrobbler: APIClient) -> None:
        submit(scrobbler, new_listen("Song", None), kind="playing_now")
        assert delete_old_events(exposures_before=timezone.now())["playing now"] == 0
        PlayingNow.objects.update(expires_at=timezone.now())
        assert delete_old_events(exposures_before=timezone.now())["playing now"] == 1


class TestLatestImport:
    def test_it_advances_by_service(self, scrobbler: APIClient) -> None:
        nothing = {"musicbrainz_id": "alice", "latest_import": 0, "status": None, "error": None}
        assert scrobbler.get("/1/latest-import?user_name=alice").json() == nothing
        for ts in (NOW - 5_000, NOW - 9_000):
            response = scrobbler.post("/1/latest-import", {"ts": ts}, format="json")
            assert (response.status_code, response.json()) == (200, {"status": "ok"})
        assert scrobbler.post("/1/latest-import", {"ts": NOW, "service": "LibreFM"}, format="json").status_code == 200
        latest = {
            service: scrobbler.get(f"/1/latest-import?user_name=Alice&service={service}").json()["latest_import"]
            for service in ("lastfm", "librefm", "other")
        }
        assert latest == {"lastfm": NOW - 5_000, "librefm": NOW, "other": 0}

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b'{"ts": "soon"}', b'{"ts": -1}', b'{"ts": 99999999999}', b'{"ts": 1e999}', b'{"ts": []}',
         b'{"ts": 1, "service": 7}', b'{"ts": 1, "service": "a\\u0000"}', b'{"ts": 1, "service": "%s"}' % (b"x" * 65)],
    )  # fmt: skip
    def test_an_invalid_body_is_a_400(self, scrobbler: APIClient, body: bytes) -> None:
        response = scrobbler.generic("POST", "/1/latest-import", body)
        assert (response.status_code, response.json().keys()) == (400, {"code", "error"}), response.content
        assert not LatestImport.objects.exists()

    def test_without_consent_nothing_is_stored(self, scrobbler: APIClient, alice: User) -> None:
        alice.consent = False
        alice.save()
        assert scrobbler.post("/1/latest-import", {"ts": NOW}, format="json").json() == {"status": "ok"}
        assert not LatestImport.objects.exists()


READ_PATHS = [
    "/1/user/{}/listens",
    "/1/user/{}/listen-count",
    "/1/user/{}/playing-now",
    "/1/latest-import?user_name={}",
    "/1/feedback/user/{}/get-feedback",
    f"/1/feedback/user/{{}}/get-feedback-for-recordings?recording_mbids={MBID}",
]


@pytest.mark.parametrize("path", READ_PATHS)
class TestNames:
    def test_the_name_that_validate_token_returns_is_found(
        self, path: str, as_scrobbler: Callable[[User], APIClient]
    ) -> None:
        for name in ("alice", "Ánn@mine.example+7_x-y"):
            client = as_scrobbler(User.objects.create_user(name))
            user_name = quote(client.get("/1/validate-token").json()["user_name"])
            assert client.get(path.format(user_name)).status_code == 200

    def test_without_a_token_the_answer_is_a_401(self, path: str, alice: User) -> None:
        response = APIClient().get(path.format("alice"))
        assert (response.status_code, response.json()["code"]) == (401, 401)

    def test_another_listener_is_a_404(self, path: str, scrobbler: APIClient, bob: User) -> None:
        for name in ("bob", "nobody", "alice%00"):
            response = scrobbler.get(path.format(name))
            assert response.status_code == 404, response.content
            assert response.json()["error"].startswith("Cannot find user")

    def test_without_consent_what_was_stored_is_shown(self, path: str, scrobbler: APIClient, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(consent=False)
        assert scrobbler.get(path.format("alice")).status_code == 200

    def test_the_account_of_an_erased_listener_is_closed(self, path: str, scrobbler: APIClient, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(is_active=False)
        assert scrobbler.get(path.format("alice")).status_code == 401


@pytest.mark.parametrize(
    "query", ["?count=-1", "?count=many", "?min_ts=1.5", "?max_ts=²", "?min_ts=5&max_ts=5", "?count=1" + "0" * 5_000]
)
def test_an_invalid_parameter_is_a_400(scrobbler: APIClient, query: str) -> None:
    response = scrobbler.get(f"/1/user/alice/listens{query}")
    assert (response.status_code, response.json().keys()) == (400, {"code", "error"}), response.content
