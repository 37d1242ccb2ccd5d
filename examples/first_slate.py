"""From an empty installation to a phone's first personal slate, using only HTTP.

An app's back end fills musicrec through its API, lets it train, and gives a token to a phone. The phone asks for a
slate, turns the page, reports what was heard, and gets another slate. At last a new track comes out. Nothing but the
standard library is needed:

    manage.py create_service_key example --scope catalogue --scope listeners --scope events --scope training \\
      --scope tokens
    MUSICREC_URL=http://127.0.0.1:8000 MUSICREC_KEY=… python examples/first_slate.py

A worker has to run, since it trains; without a broker, a web process starts the training itself. Everything that is
sent is made up, and the same on every run.
"""

import json
import os
import random
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

URL = os.environ.get("MUSICREC_URL", "http://127.0.0.1:8000")
KEY = f"Api-Key {os.environ.get('MUSICREC_KEY', '')}"

GENRES = ["ambient", "blues", "classical", "disco", "electronic", "folk", "gospel", "hip-hop", "indie", "jazz"]
ARTISTS_PER_GENRE = 10
TRACKS_PER_ARTIST = 10
LISTENERS = 100
PLAYS_PER_LISTENER = 60
EVENTS_PER_REQUEST = 500

dice = random.Random(16)
now = datetime.now(UTC)


def main() -> None:
    print("The back end sends the catalogue …")
    tracks = make_tracks()
    answer = call("PUT", "/tracks", KEY, {"tracks": tracks})
    assert (answer["created"] + answer["updated"] + answer["unchanged"], answer["rejected"]) == (1000, []), answer
    print(f"  {answer['created']} tracks are new")

    print("… its listeners …")
    listeners = [{"external_id": f"listener-{number}", "market": "DE"} for number in range(LISTENERS)]
    answer = call("PUT", "/listeners", KEY, {"listeners": listeners})
    assert answer["rejected"] == [], answer
    print(f"  {answer['created']} listeners are new")

    print("… and what they have played in the last months.")
    tastes = {listener["external_id"]: dice.sample(GENRES, 2) for listener in listeners}
    events = make_plays(tastes, tracks)
    for start in range(0, len(events), EVENTS_PER_REQUEST):
        receipt = call("POST", "/events", KEY, events[start : start + EVENTS_PER_REQUEST])
        assert receipt["rejected"] == [], receipt
    print(f"  {len(events)} plays are stored")

    print("It starts a training run.")
    run = wait_for_training(call("POST", "/training-runs", KEY))
    print(f"  version {run['version']} is published")

    print("A listener signs in at the app, and the back end gets a token for their phone.")
    listener = "listener-7"
    token = call("POST", f"/listeners/external:{listener}/token", KEY)
    phone = f"{token['token_type']} {token['access']}"

    print(f"The phone asks for a slate. This listener plays {' and '.join(tastes[listener])}:")
    slate = get_slate("/recommend/user/me/ml?limit=10&explain=true", phone)
    assert (slate["strategy"], slate["degraded"]) == ("personal", False), slate
    show(slate)
    in_taste = sum(genre_of(track) in tastes[listener] for track in slate["results"])
    assert in_taste >= 8, f"only {in_taste} of 10 tracks are of the genres that the listener plays"

    print("It turns the page:")
    page = call("GET", slate["next"], phone)
    show(page)
    seen = {track["track_id"] for track in slate["results"]}
    assert len(page["results"]) == 10, page
    assert seen.isdisjoint(track["track_id"] for track in page["results"])

    print("The listener hears the first track to its end, and dislikes the second:")
    heard, disliked = slate["results"][:2]
    reported = [
        make_event("play_end", heard, ms_played=heard["duration_ms"], end_reason="finished"),
        make_event("dislike", disliked),
    ]
    for position, event in enumerate(reported, start=1):
        event |= {"recommendation_id": slate["recommendation_id"], "position": position}
    receipt = call("POST", "/events", phone, {"events": reported, "sent_at": datetime.now(UTC).isoformat()})
    assert (receipt["accepted"], receipt["rejected"]) == (2, []), receipt

    print("The next slate takes it into account:")
    changed = get_slate("/recommend/user/me/ml?limit=10", phone)
    show(changed)
    assert changed["recommendation_id"] != slate["recommendation_id"]
    assert {heard["track_id"], disliked["track_id"]}.isdisjoint(track["track_id"] for track in changed["results"])

    genre = tastes[listener][0]
    print(
        f"The back end adds a track of a new artist, with the tag {genre}. Nobody has played it, and it has "
        "similar tracks:"
    )
    new = make_track(f"{genre}-new-0", f"{genre.title()} No. 100", f"{genre.title()} Newcomers", genre)
    call("PUT", f"/tracks/external:{new.pop('external_id')}", KEY, new)
    similar = get_similar_tracks(f"external:{genre}-new-0", phone)
    show(similar)
    assert similar["strategy"] == "similar", similar
    assert sum(genre_of(track) == genre for track in similar["results"]) >= 4, similar
    print("Done.")


def make_tracks() -> list[dict[str, Any]]:
    """Return 1,000 tracks: ten artists in each of ten genres, with ten tracks each."""
    return [
        make_track(
            f"{genre}-{artist}-{number}",
            f"{genre.title()} No. {10 * artist + number}",
            f"{genre.title()} Band {artist}",
            genre,
        )
        for genre in GENRES
        for artist in range(ARTISTS_PER_GENRE)
        for number in range(TRACKS_PER_ARTIST)
    ]


def make_track(external_id: str, title: str, artist: str, genre: str) -> dict[str, Any]:
    return {
        "external_id": external_id,
        "title": title,
        "artist": {"external_id": external_id.rsplit("-", 1)[0], "name": artist},
        "duration_ms": 1000 * dice.randint(120, 360),
        "tags": [{"name": genre, "kind": "genre"}],
    }


def make_plays(tastes: dict[str, list[str]], tracks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return plays of the last 90 days: nine in ten are of the listener's two genres."""
    events = []
    for listener, genres in tastes.items():
        favourites = [track for track in tracks if track["tags"][0]["name"] in genres]
        for _ in range(PLAYS_PER_LISTENER):
            track = dice.choice(favourites if dice.random() < 0.9 else tracks)
            events.append(
                {
                    # The same id on every run, so that the same play is stored once.
                    "event_id": str(UUID(int=dice.getrandbits(128), version=4)),
                    "type": "play_end",
                    "user_id": f"external:{listener}",
                    "track_id": f"external:{track['external_id']}",
                    "occurred_at": (now - timedelta(days=90 * dice.random())).isoformat(),
                    "ms_played": track["duration_ms"],
                    "end_reason": "finished",
                }
            )
    return events


def make_event(type: str, track: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an event of the phone, about a track of a slate."""
    event_id = str(UUID(int=random.getrandbits(128), version=4))
    return {
        "event_id": event_id,
        "type": type,
        "track_id": track["track_id"],
        "occurred_at": datetime.now(UTC).isoformat(),
        **fields,
    }


def wait_for_training(run: dict[str, Any]) -> dict[str, Any]:
    """Wait until a training run has ended, and return it."""
    while run["status"] in ("waiting", "running"):
        time.sleep(1)
        run = call("GET", f"/training-runs/{run['training_run_id']}", KEY)
    assert run["status"] == "published", run
    return run


def get_slate(path: str, phone: str) -> dict[str, Any]:
    """Return a slate from the new version: each process of the server loads it within seconds of its publication."""
    deadline = time.monotonic() + 15
    while True:
        slate: dict[str, Any] = call("GET", path, phone)
        if not slate["degraded"] or time.monotonic() > deadline:
            return slate
        time.sleep(0.5)


def get_similar_tracks(track: str, phone: str) -> dict[str, Any]:
    """Return the tracks similar to a new one as soon as the model finds them: on a busy machine, within seconds."""
    deadline = time.monotonic() + 15
    while True:
        answer: dict[str, Any] = call("GET", f"/recommend/similar/{track}?limit=5&explain=true", phone)
        if answer["strategy"] == "similar" or time.monotonic() > deadline:
            return answer
        time.sleep(0.5)


def genre_of(track: dict[str, Any]) -> str:
    return str(track["external_id"].rsplit("-", 2)[0])


def show(slate: dict[str, Any]) -> None:
    for track in slate["results"]:
        reason = track.get("explanation", {}).get("text", track["source"])
        print(f"  {track['position']:2} {track['title']:20} {track['artist_name']:20} {reason}")


def call(method: str, path: str, authorization: str, body: Any = None) -> Any:
    """Send a request and return the decoded answer. An error status ends the script with the problem document."""
    request = urllib.request.Request(URL + path, method=method, headers={"Authorization": authorization})
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{method} {path}: {error.code}\n{error.read().decode()}") from error


if __name__ == "__main__":
    main()
