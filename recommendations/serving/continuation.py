"""The next page of a slate: the same request again, without the tracks of the earlier pages, below which it stands.

The slate log has all that is needed, so that a page may be answered by another process, after a restart and by another
version than the page before. A page does not depend on anything but its request, the earlier pages, which do not
change, and the listener's current state.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.pipeline import Ranking
from experiments.models import Slate
from recommendations.serving.request_context import RecommendationRequest
from recommendations.serving.slate import NO_TRACKS

CONTINUED_FIELDS = (
    "kind",
    "limit",
    "track_id",
    "similarity",
    "exclude_played",
    "familiarity",
    "diversity",
    "explain",
    "market",
    "explicit",
    "session_id",
    "genre",
    "device",
    "activity",
)


class EarlierTracks(NamedTuple):
    """What an answer must not repeat.

    Attributes:
        pages: the tracks of the pages before it in the order of their positions, int64 (n,).
        shelves: the tracks of the shelves before it on the same screen, int64 (k,).
    """

    pages: NDArray[np.int64] = NO_TRACKS
    shelves: NDArray[np.int64] = NO_TRACKS

    @property
    def all(self) -> NDArray[np.int64]:
        return np.concatenate([self.pages, self.shelves])


NO_EARLIER_TRACKS = EarlierTracks()


def describe_request(request: RecommendationRequest, ranking: Ranking, shelves: NDArray[np.int64]) -> dict[str, Any]:
    """Return what has to be stored with a slate to continue it: the fields that differ from their defaults.

    Pages of tracks that the listener has played, because nothing else was left, are continued by played tracks.
    """
    if ranking.repeats:
        request = request._replace(exclude_played=False, familiarity=None)
    defaults = RecommendationRequest._field_defaults
    fields = {name: getattr(request, name) for name in CONTINUED_FIELDS}
    described = {name: value for name, value in fields.items() if name not in defaults or value != defaults[name]}
    return described | ({"shelves": shelves.tolist()} if len(shelves) else {})


def continue_request(pages: Sequence[Slate], listener_id: int | None) -> tuple[RecommendationRequest, EarlierTracks]:
    """Return the request for the page after a slate, and the tracks that it must not repeat.

    Args:
        pages: the slate and those before it, the newest first.
        listener_id: the listener whose current state counts.
    """
    last = pages[0]
    fields = dict(last.request or {})
    shelves = np.array(fields.pop("shelves", []), np.int64)
    shown = np.array([track_id for page in reversed(pages) for track_id in page.track_ids], np.int64)
    request = RecommendationRequest(**fields, listener_id=listener_id, placement=last.placement, after=last.pk)
    return request, EarlierTracks(shown, shelves)
