"""Likes and dislikes by clients of ListenBrainz."""

import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import User
from interactions.listenbrainz.msids import make_msid
from interactions.models import Interaction
from interactions.preferences.services import load_preferences
from tests.people import store_track
from tracks.models import Artist, Track

MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
OTHER_MBID = "164f0d73-1234-4e2c-8743-d77bf2191051"
Json = dict[str, Any]


@pytest.fixture
def song(db: None) -> Track:
    return store_track(title="Song", artist=Artist.objects.create(name="Band"), mbid=MBID)


def msid_of(track: Track) -> str:
    return str(make_msid(track.pk, track.match_key))


def give(scrobbler: APIClient, score: Any, **recording: Any) -> Any:
    return scrobbler.post("/1/feedback/recording-feedback", {"score": score} | recording, format="json")


def read_feedback(scrobbler: APIClient, query: str = "") -> Json:
    response = scrobbler.get(f"/1/feedback/user/alice/get-feedback{query}")
    assert response.status_code == 200, response.content
    answer: Json = response.json()
    return answer


def test_a_score_becomes_a_like_a_dislike_or_none(scrobbler: APIClient, song: Track, alice: User) -> None:
    opinions = []
    for score in (1, "1", -1, 0, 0, 1):
        response = give(scrobbler, score, recording_mbid=MBID)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
        preferences = load_preferences(alice.pk)
        opinions.append((preferences["likes"], preferences["dislikes"]))
    like, dislike, none = ([song.pk], []), ([], [song.pk]), ([], [])
    assert opinions == [like, like, dislike, none, none, like]
    assert Interaction.objects.count() == 4


def test_a_recording_is_found_by_its_msid_too(scrobbler: APIClient, song: Track, alice: User) -> None:
    other = store_track(title="Other", artist=song.artist)
    assert give(scrobbler, 1, recording_msid=msid_of(other), recording_mbid=None).status_code == 200
    assert load_preferences(alice.pk)["likes"] == [other.pk]


@pytest.mark.usefixtures("song")
def test_a_recording_that_the_catalogue_lacks_is_a_404(scrobbler: APIClient) -> None:
    for recording in ({"recording_mbid": OTHER_MBID}, {"recording_msid": str(uuid.uuid4())}):
        response = give(scrobbler, 1, **recording)
        assert (response.status_code, response.json()["code"]) == (404, 404)
    assert not Interaction.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"recording_mbid": MBID},
        {"score": 2, "recording_mbid": MBID},
        {"score": True, "recording_mbid": MBID},
        {"score": [1], "recording_mbid": MBID},
        {"score": 1},
        {"score": 1, "recording_mbid": "no"},
        {"score": 1, "recording_mbid": 7},
        {"score": 1, "recording_msid": [MBID]},
        [],
    ],
)
def test_an_invalid_body_is_a_400(scrobbler: APIClient, song: Track, body: Any) -> None:
    response = scrobbler.post("/1/feedback/recording-feedback", body, format="json")
    assert (response.status_code, response.json().keys()) == (400, {"code", "error"}), response.content
    assert not Interaction.objects.exists()


def test_without_consent_nothing_is_stored(scrobbler: APIClient, song: Track, alice: User) -> None:
    alice.consent = False
    alice.save()
    for score in (1, 0, -1):
        assert give(scrobbler, score, recording_mbid=MBID).json() == {"status": "ok"}
    assert not Interaction.objects.exists()


def test_feedback_is_listed_with_the_latest_first(scrobbler: APIClient, song: Track) -> None:
    other = store_track(title="Other", artist=song.artist)
    withdrawn = store_track(title="Withdrawn", artist=song.artist)
    for track, score in ((song, 1), (withdrawn, 1), (other, -1), (withdrawn, 0)):
        assert give(scrobbler, score, recording_msid=msid_of(track)).status_code == 200
    answer = read_feedback(scrobbler)
    created = [item.pop("created") for item in answer["feedback"]]
    assert created == sorted(created, reverse=True)
    disliked = {"recording_mbid": None, "recording_msid": msid_of(other), "score": -1}
    liked = {"recording_mbid": MBID, "recording_msid": msid_of(song), "score": 1}
    common = {"user_id": "alice", "track_metadata": None}
    assert answer == {"feedback": [disliked | common, liked | common], "count": 2, "total_count": 2, "offset": 0}

    for query, scores in (
        ("?score=1", [1]),
        ("?score=-1", [-1]),
        ("?count=1", [-1]),
        ("?offset=1", [1]),
        ("?count=0", []),
    ):
        assert [item["score"] for item in read_feedback(scrobbler, query)["feedback"]] == scores
    assert read_feedback(scrobbler, "?offset=1&count=5")["total_count"] == 2
    named = read_feedback(scrobbler, "?metadata=true&score=1")["feedback"][0]["track_metadata"]
    assert (named["artist_name"], named["track_name"]) == ("Band", "Song")
    assert named["mbid_mapping"]["recording_mbid"] == MBID


@pytest.mark.parametrize("query", ["?score=2", "?score=x", "?offset=-1", "?count=-1"])
def test_an_invalid_parameter_is_a_400(scrobbler: APIClient, query: str) -> None:
    response = scrobbler.get(f"/1/feedback/user/alice/get-feedback{query}")
    assert (response.status_code, response.json().keys()) == (400, {"code", "error"})


def test_the_score_of_some_recordings_is_0_without_an_opinion(scrobbler: APIClient, song: Track) -> None:
    give(scrobbler, 1, recording_mbid=MBID)
    path, unknown = "/1/feedback/user/alice/get-feedback-for-recordings", str(uuid.uuid4())
    by_get = scrobbler.get(f"{path}?recording_mbids={MBID},{OTHER_MBID}&recording_msids={msid_of(song)},{unknown}")
    by_post = scrobbler.post(
        path,
        {"recording_mbids": [MBID, OTHER_MBID], "recording_msids": [msid_of(song), unknown]},
        format="json",
    )
    assert by_get.json() == by_post.json()
    rows = by_get.json()["feedback"]
    assert [(row["recording_msid"], row["recording_mbid"], row["score"]) for row in rows] == [
        (msid_of(song), None, 1),
        (unknown, None, 0),
        (None, MBID, 1),
        (None, OTHER_MBID, 0),
    ]
    assert [row["created"] is None for row in rows] == [False, True, False, True]
    as_text = scrobbler.post(path, {"recording_mbids": f"{MBID},{OTHER_MBID}"}, format="json")
    assert [row["score"] for row in as_text.json()["feedback"]] == [1, 0]


@pytest.mark.parametrize("body", [{}, {"recording_mbids": ["no"]}, {"recording_mbids": 7}, {"recording_mbids": [7]},
                                  {"recording_mbids": {"a": 1}}, {"recording_mbids": [MBID] * 1_001}])  # fmt: skip
def test_recordings_must_be_uuids(scrobbler: APIClient, body: Json) -> None:
    response = scrobbler.post("/1/feedback/user/alice/get-feedback-for-recordings", body, format="json")
    assert (response.status_code, response.json().keys()) == (400, {"code", "error"}), response.content
