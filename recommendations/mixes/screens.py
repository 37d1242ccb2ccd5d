"""Choose what of the stored mixes is shown now, in which order and under which titles.

Mixes are stored for a day, but a listener may block or dislike something at any time. So whatever they must not be
offered is left out here, and tracks that are stored below take its place.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.mixes import BECAUSE_YOU_LOVE, DAILY_MIX, DISCOVERY, MIN_TRACKS, NEW_RELEASES, ON_REPEAT, REDISCOVER
from engine.pipeline import NO_CAPS, Caps, Ranking, append_picks
from recommendations.mixes.shelves import GENRE, POPULAR, TRENDING, Shelf
from recommendations.serving.filters import Filters, build_filters
from recommendations.serving.model_cache import LoadedModel, model_cache
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.slate import NO_TRACKS, build_slate, listener_state, plan_slate
from tracks.card_cache import TrackCard

KINDS = [DAILY_MIX, DISCOVERY, BECAUSE_YOU_LOVE, ON_REPEAT, REDISCOVER, NEW_RELEASES, TRENDING, POPULAR, GENRE]
_HOME = [ON_REPEAT, DAILY_MIX, DISCOVERY, BECAUSE_YOU_LOVE, NEW_RELEASES, TRENDING, REDISCOVER, POPULAR, GENRE]
_HOME_LATER = {POPULAR: 2, GENRE: 2}  # with the third shelves of other kinds, which listeners with a history have
_CAPS = {ON_REPEAT: NO_CAPS, REDISCOVER: NO_CAPS, DAILY_MIX: Caps(per_artist=3)}
_DESCRIPTIONS = {
    DISCOVERY: ("Discover", "Tracks that are new to you, picked for your taste"),
    ON_REPEAT: ("On repeat", "What you have played most lately"),
    REDISCOVER: ("Rediscover", "What you loved, and have not played for a long time"),
    POPULAR: ("Popular", "What most listeners play"),
}


class ShownShelf(NamedTuple):
    """A shelf as it is shown.

    Attributes:
        ranking: the tracks, best first.
        cards: of all its tracks, by track id.
    """

    shelf: Shelf
    title: str
    description: str
    ranking: Ranking
    cards: dict[int, TrackCard]


def order_for_home(shelves: Sequence[Shelf]) -> list[Shelf]:
    """Return the first shelf of each kind, then the second ones, and so on."""
    return sorted(shelves, key=lambda s: (s.number + _HOME_LATER.get(s.kind, 0), _HOME.index(s.kind)))


def order_for_mixes(shelves: Sequence[Shelf]) -> list[Shelf]:
    return sorted(shelves, key=lambda shelf: (KINDS.index(shelf.kind), shelf.number))


def show(
    shelves: Sequence[Shelf],
    request: RecommendationRequest,
    context: RequestContext,
    model: LoadedModel,
    count: int | None,
) -> list[ShownShelf]:
    """Return the shelves without what the listener must not be offered now, and without repeated recordings.

    Shelves with too few tracks are left out; if these are all, there is one of popular tracks, unless nothing may be
    offered at all.

    Args:
        shelves: in the order in which they are shown. A track that is on several of them stays on the first.
        request: its limit is the number of tracks of each shelf.
        count: the number of shelves; None for all.
    """
    offer = _Offer.load(shelves, request, context, model)
    shown: list[ShownShelf] = []
    taken: set[int] = set()
    for shelf in shelves:
        if len(shown) == count:
            break
        if not offer.has_reason(shelf):
            continue
        if shelf.tag and ("genre", shelf.tag.id) in context.blocks:
            shelf = replace(shelf, tag=None)  # tracks that have other tags, too, need not be blocked
        picks = [pick for pick in shelf.picks if offer.may_show(shelf, pick.track_id, taken)]
        caps = _CAPS.get(shelf.kind, Caps())
        ranking = append_picks(model.bundle, Ranking(), picks, caps, request.limit)
        if len(ranking.picks) >= min(MIN_TRACKS, request.limit):
            taken |= {offer.recordings[pick.track_id] for pick in ranking.picks}
            artists = _main_artists([(pick.source, offer.cards[pick.track_id]) for pick in picks])
            shown.append(ShownShelf(shelf, *_title(shelf, artists), ranking, offer.cards))
    if not shown:
        slate = build_slate(plan_slate(request, context, model, context.policies["popular"]))
        if slate.ranking.picks:
            shelf = Shelf(POPULAR, 1, slate.ranking.picks, model_version=model.bundle.version or "")
            shown.append(ShownShelf(shelf, *_DESCRIPTIONS[POPULAR], slate.ranking, slate.cards))
    return shown


@dataclass(frozen=True)
class _Offer:
    """What may be offered to the listener of a request, of the tracks of some shelves.

    Attributes:
        cards: of those tracks that are available, by id.
        recordings: of all tracks, by id.
        forbidden: the recordings that the listener must not be offered.
        known: ids of the tracks that they play, as far as their plays count.
    """

    cards: dict[int, TrackCard]
    recordings: dict[int, int]
    forbidden: set[int]
    known: set[int]

    @classmethod
    def load(
        cls, shelves: Sequence[Shelf], request: RecommendationRequest, context: RequestContext, model: LoadedModel
    ) -> "_Offer":
        filters: Filters = build_filters(request, context, NO_TRACKS)
        never, pairs = listener_state(context, filters).never_offered, context.history.pairs
        shown = [pick.track_id for shelf in shelves for pick in shelf.picks]
        seeds = [track_id for shelf in shelves if shelf.artist for track_id in shelf.seeds]
        track_ids = np.unique(np.array([*shown, *seeds], np.int64))
        recordings = dict(zip(track_ids.tolist(), _recordings(track_ids, model).tolist(), strict=True))
        return cls(
            filters.available(track_ids.tolist()),
            recordings,
            {*never.tolist(), *_recordings(never, model).tolist()},
            set(pairs.track[pairs.is_positive].tolist()),
        )

    def has_reason(self, shelf: Shelf) -> bool:
        """Return whether what a shelf is about still counts: no longer if all plays that it rests on are left out.

        An artist of whom nothing may be offered is not named either.
        """
        if shelf.artist is None:
            return not shelf.seeds or not self.known.isdisjoint(shelf.seeds)
        return any(track_id in self.known and self.is_offered(track_id) for track_id in shelf.seeds)

    def is_offered(self, track_id: int) -> bool:
        return track_id in self.cards and not {track_id, self.recordings[track_id]} & self.forbidden

    def may_show(self, shelf: Shelf, track_id: int, taken: set[int]) -> bool:
        if self.recordings[track_id] in taken or not self.is_offered(track_id):
            return False
        return shelf.kind not in (ON_REPEAT, REDISCOVER) or track_id in self.known


def _recordings(track_ids: NDArray[np.int64], model: LoadedModel) -> NDArray[np.int64]:
    """Return the recording of each track, int64 (k,): the track itself where it is not known."""
    recordings = track_ids.copy()
    for bundle in (model_cache.popularity_model().bundle, model.bundle):
        rows, is_known = bundle.items.rows(track_ids)
        recordings[is_known] = bundle.features.recording[rows[is_known]]
    return recordings


def _main_artists(tracks: Sequence[tuple[str, TrackCard]]) -> list[str]:
    """Return the names of the artists of most tracks of a mix; the tracks that the listener knows count double."""
    counts: Counter[str] = Counter()
    for source, card in tracks:
        counts[card.artist_name] += 2 if source == "repeat" else 1
    return [name for name, _ in counts.most_common(3)]


def _title(shelf: Shelf, artists: Sequence[str]) -> tuple[str, str]:
    """Return title and description of a shelf of tracks by these artists."""
    tag = shelf.tag.name[:1].upper() + shelf.tag.name[1:] if shelf.tag else ""
    match shelf.kind:
        case "daily_mix":
            names = ", ".join(artists[:2]) + (" and more" if len(artists) > 2 else "")
            return (f"{tag}: {names}" if tag else names), "What you play, and what goes with it"
        case "because_you_love" if shelf.artist:
            return f"Because you love {shelf.artist.name}", f"What listeners of {shelf.artist.name} play as well"
        case "new_releases" if shelf.is_personal:
            return "New releases for you", "New from your artists, and new tracks for your taste"
        case "new_releases":
            return "New releases", "What came out in the last weeks"
        case "trending" if shelf.is_local:
            return "Trending near you", "What more listeners than usual play in your country this week"
        case "trending":
            return "Trending", "What more listeners than usual play this week"
        case "genre":
            return f"Popular in {tag}", "What most listeners play of this genre"
    return _DESCRIPTIONS[shelf.kind]
