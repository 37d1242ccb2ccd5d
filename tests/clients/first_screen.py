"""The first screen of an app by the generated client: sign in, picks, similar tracks, events, an error."""

import importlib
import json
import pkgutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import musicrec_client
from musicrec_client import ApiClient, ApiException, Configuration


def catch(request: Callable[[], object]) -> ApiException:
    """Return the exception of a request that must fail."""
    try:
        request()
    except ApiException as error:
        return error
    raise AssertionError("the request succeeded")


base, username, password = sys.argv[1:]
for module in pkgutil.walk_packages(musicrec_client.__path__, "musicrec_client."):
    importlib.import_module(module.name)

sign_in = musicrec_client.SignInApi(ApiClient(Configuration(host=base)))
tokens = sign_in.sign_in(musicrec_client.SignInRequest(username=username, password=password))
client = ApiClient(Configuration(host=base, access_token=tokens.access))
recommendations = musicrec_client.RecommendationsApi(client)

response = recommendations.recommend_tracks_with_http_info("me", limit=5, explain=True)
picks = response.data
assert (len(picks.results), picks.strategy, picks.fallback_reason) == (5, "personal", None), picks
first = picks.results[0]
assert (first.position, first.source) == (1, "personal"), first
reason = first.explanation
assert (reason.kind, reason.because_track_ids[0]) == ("plays", reason.because[0].track_id), reason
assert 0 < reason.because[0].share <= reason.share <= 1, reason

etag = {name.lower(): value for name, value in response.headers.items()}["etag"]
unchanged = catch(lambda: recommendations.recommend_tracks("me", limit=5, explain=True, if_none_match=etag))
assert unchanged.status == 304, "the same picks are not sent again"

similar = recommendations.recommend_similar_tracks(str(first.track_id), limit=3)
assert len(similar.results) == 3, similar

now = datetime.now(UTC)
play = {"type": "play_end", "ms_played": 1000, "recommendation_id": picks.recommendation_id, "position": 1}
events = [
    musicrec_client.Event(event_id=uuid4(), track_id=str(first.track_id), occurred_at=now, **fields)
    for fields in (play, play | {"type": "impression", "ms_played": None})
]
batch = musicrec_client.EventsRequest(events=events, sent_at=now)
receipt = musicrec_client.EventsApi(client).send_events(batch, idempotency_key=str(uuid4()))
assert (receipt.accepted, receipt.rejected) == (2, []), receipt

refused = catch(lambda: recommendations.recommend_tracks("me", market="Germany"))
assert (refused.status, json.loads(refused.body)["errors"][0]["pointer"]) == (400, "?market"), refused

print(f"{len(picks.results)} picks, {len(similar.results)} similar tracks, {receipt.accepted} events")
