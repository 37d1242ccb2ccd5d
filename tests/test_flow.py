"""The main job, over HTTP: import → train → publish → recommend → play → recommend again."""

import time
import uuid
from collections.abc import Iterator

import pytest

from tests.play_files import write_checkerboard_csv
from tests.stack import PASSWORD, ApiResponse, Stack, new_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    installed = new_stack(tmp_path_factory.mktemp("flow"), MUSICREC_FACTORS="2")
    with installed.run_servers():
        yield installed


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    return f"Api-Key {stack.create_service_key('recommend', 'tracks', 'events')}"


def test_from_a_listening_history_to_recommendations_in_an_app(stack: Stack, key: str) -> None:
    # An empty catalogue: an empty answer that states the reason.
    answer = stack.request("/recommend/user/1/ml", auth=key)
    assert (answer.status, answer.tracks, answer.body["degraded"]) == (200, [], True)

    # Import twice: the second import adds nothing.
    plays = write_checkerboard_csv(stack.var, bands=20)
    assert (
        "20 tracks added, 0 changed; 180 plays added"
        in stack.manage("import_plays", str(plays), "--format", "csv").stdout
    )
    again = stack.manage("import_plays", str(plays), "--format", "csv").stdout
    assert "0 tracks added, 0 changed; 0 plays added, 180 known already; 0 refused" in again

    # Train and publish; the running server loads the new version by itself.
    result = stack.manage("train_model")
    assert "Published: version" in result.stdout
    assert "NDCG@10" in result.stdout
    version = stack.run_python(
        "from recommendations.version_store import version_in_service; print(version_in_service())"
    )
    assert _wait_for_served_version(stack) == version

    # The listener signs in; their first recommendation is the only track of their group that they have not played.
    stack.prepare_listener("u2", "ann")
    signed_in = stack.request("/token", body={"username": "ann", "password": PASSWORD})
    token = f"Bearer {signed_in.body['access']}"
    answer = stack.request("/recommend/user/me/ml?limit=5", auth=token)
    assert (answer.body["strategy"], answer.body["model_version"]) == ("personal", version)
    assert answer.body["results"][0]["title"] == "Song 2"
    first = answer.tracks[0]
    assert stack.request(f"/recommend/user/{signed_in.body['user_id']}/ml?limit=5", auth=key).tracks == answer.tracks

    # They play it; the next answer does not contain it, and the ETag of the old answer no longer matches.
    event = {
        "event_id": str(uuid.uuid4()),
        "type": "play_end",
        "track_id": first,
        "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    sent = stack.request("/events", auth=token, body=[event | {"ms_played": 180_000}])
    assert (sent.status, sent.body) == (202, {"accepted": 1, "duplicates": 0, "rejected": []})
    after = stack.request(
        "/recommend/user/me/ml?limit=5", auth=token, headers={"If-None-Match": answer.headers["etag"]}
    )
    assert after.status == 200
    assert first not in after.tracks

    # Similar tracks are those of the same listeners.
    similar = stack.request(f"/recommend/similar/{first}?limit=9", auth=token)
    assert {r["title"] for r in similar.body["results"]} == {f"Song {t}" for t in range(0, 20, 2) if t != 2}


def test_a_new_listener_becomes_personal_with_the_fifth_play(stack: Stack) -> None:
    stack.run_python(f"from access.models import User; User.objects.create_user('new', password='{PASSWORD}')")
    token = "Bearer " + stack.request("/token", body={"username": "new", "password": PASSWORD}).body["access"]
    popular = stack.request("/recommend/user/me/ml?limit=20", auth=token)
    assert (popular.body["strategy"], popular.body["fallback_reason"]) == ("popular", "cold_user")
    odd = [r["track_id"] for r in popular.body["results"] if int(r["title"].removeprefix("Song ")) % 2]
    for number, track in enumerate(odd[:5], 1):
        event = {"event_id": str(uuid.uuid4()), "type": "play_end", "track_id": track, "ms_played": 200_000}
        stack.request("/events", auth=token, body=[event | {"occurred_at": f"2026-01-01T10:{number:02}:00Z"}])
        answer = stack.request("/recommend/user/me/ml?limit=5&exclude_played=true", auth=token)
        assert answer.body["strategy"] == ("personal" if number == 5 else "early")
    assert set(answer.tracks) == set(odd[5:])


@pytest.mark.parametrize("path", ["/schema", "/schema/docs", "/health/live", "/health/ready", "/"])
def test_public_urls_are_answered_without_credentials(stack: Stack, path: str) -> None:
    assert stack.request(path).status == 200


@pytest.mark.parametrize("path", ["/%00", "/recommend/similar/%00", "/recommend/user/%ff/ml", "/../etc", "/admin/%00"])
def test_hostile_paths_are_never_a_500(stack: Stack, key: str, path: str) -> None:
    assert stack.request(path, auth=key).status < 500


def test_the_static_files_of_the_listener_page_are_served(stack: Stack) -> None:
    page = stack.request("/").body.decode()
    assert "/static/web/listener.css" in page
    assert stack.request("/static/web/app.js").status == 200


def _wait_for_served_version(stack: Stack) -> str | None:
    versions: dict[int, str] = {}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        body = stack.request("/health/ready").body
        versions[body["pid"]] = body["model_version"]
        if len(versions) == 2 and len(set(versions.values())) == 1 and None not in versions.values():
            return body["model_version"]  # type: ignore[no-any-return]
    return None


def test_events_affect_the_next_answer_of_every_process(stack: Stack, key: str) -> None:
    """The two web processes share only the database, and either of them may answer a request."""
    user = int(
        stack.run_python(
            "from access.models import User; print(User.objects.create(username='other', external_id='n').pk)"
        )
    )
    even = [int(track) for track in _track_ids(stack)[::2]]

    def answers(path: str = f"/recommend/user/{user}/ml?limit=8") -> list[ApiResponse]:
        return [stack.request(path, auth=key) for _ in range(6)]

    def send(kind: str, track: int) -> None:
        event = {"event_id": str(uuid.uuid4()), "type": kind, "user_id": user, "track_id": track}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        response = stack.request("/events", auth=key, body=[event | {"occurred_at": now, "ms_played": 200_000}])
        assert response.body["accepted"] == 1
        assert all(track not in answer.tracks for answer in answers())

    assert {a.body["strategy"] for a in answers()} == {"popular"}
    for number, track in enumerate(even[:5], 1):
        send("play_end", track)
        assert {a.body["strategy"] for a in answers()} == {"early" if number < 5 else "personal"}
    before = answers()[0].tracks
    assert set(before) & set(even) == set(even[5:])
    send("dislike", before[0])
    send("skip", before[1])
    assert {a.body["strategy"] for a in answers()} == {"personal"}
    response = stack.request(f"/users/{user}/blocks/track/{before[2]}", auth=key, method="PUT")
    assert response.status == 204
    similar = f"/recommend/similar/{even[0]}?user_id={user}"
    for path in (f"/recommend/user/{user}/ml", f"/recommend/user/{user}", similar):
        assert not {before[0], before[2]} & {t for a in answers(path) for t in a.tracks}


def _track_ids(stack: Stack) -> list[str]:
    """Return the ids of the tracks, in the order of the numbers in their titles."""
    code = "from tracks.models import Track; print(*[Track.objects.get(title=f'Song {n}').pk for n in range(20)])"
    return stack.run_python(code).split()
