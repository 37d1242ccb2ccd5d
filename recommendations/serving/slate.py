"""From a query to a full page of tracks that exist and may be offered."""

from dataclasses import replace

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.pipeline import POPULAR, Pick, Policy, Ranking, recommend
from engine.retrieval.candidates import Query
from recommendations.metrics import Timer, top_k_seconds
from recommendations.serving.filters import Filters, invalidate_unavailable
from recommendations.serving.model_cache import model_cache
from tracks.card_cache import TrackCard
from tracks.selectors import content_neighbours

Placards = dict[int, TrackCard]
Page = tuple[Ranking, Placards]
_SPARE = 50  # asked for beyond the page, since the catalogue at hand may be half a minute old
_RETRIES = 3  # tracks deleted or taken down since they were listed leave gaps; each try fills those seen so far


def page(bundle: ModelBundle, policy: Policy, query: Query, filters: Filters, known: Ranking | None = None) -> Page:
    """The ranking, and what lists show of its tracks. Tracks that are gone or held back by now are left out and
    replaced; where the version knows hardly any other (another database, say), by what the catalogue has.

    known: the answer to the query, where it has been computed already.
    """
    ranking = known or _ranked(bundle, query, policy)
    for tries_left in reversed(range(_RETRIES)):
        found = filters.offered([p.track_id for p in ranking.picks])
        gone = [p.track_id for p in ranking.picks if p.track_id not in found]
        if not gone and (ranking.picks or not policy.may_repeat):
            return ranking, found
        invalidate_unavailable()
        query = _without(query, gone)
        if tries_left:
            ranking = _ranked(bundle, query, policy)
    left = _there(ranking, found)
    if not policy.may_repeat:
        return left, found
    rest = replace(_without(query, [p.track_id for p in left.picks]), limit=query.limit + _SPARE)
    more = recommend(model_cache.catalogue(), rest, replace(POPULAR, may_repeat=not left.picks))
    found |= filters.offered([p.track_id for p in more.picks])
    filled = _there(Ranking(left.picks + more.picks, more.repeats), found)
    return Ranking(filled.picks[: query.limit], filled.repeats), found


def filled(query: Query, ranking: Ranking, filters: Filters) -> Page:
    """A short page of tracks similar to `query.track_id`, filled by content and then by popularity."""
    assert query.track_id is not None
    taken = {query.track_id, *(p.track_id for p in ranking.picks), *query.forbidden.tolist()}
    near = [Pick(i, round(s, 6), "content") for i, s in content_neighbours(query.track_id) if i not in taken]
    there = filters.offered([p.track_id for p in near])  # before the page is cut: any number of them may be held back
    picks = ranking.picks + [p for p in near if p.track_id in there][: query.limit + _SPARE]
    taken |= {p.track_id for p in picks}
    rest = replace(query, limit=query.limit + _SPARE, exclude=np.array(sorted(taken), np.int64))
    picks += recommend(model_cache.catalogue(), rest, replace(POPULAR, may_repeat=False)).picks
    found = filters.offered([p.track_id for p in picks])
    return Ranking(_there(Ranking(picks), found).picks[: query.limit]), found


def _ranked(bundle: ModelBundle, query: Query, policy: Policy) -> Ranking:
    with Timer(top_k_seconds):
        return recommend(bundle, query, policy)


def _without(query: Query, track_ids: list[int]) -> Query:
    return replace(query, forbidden=np.union1d(query.forbidden, np.array(track_ids, np.int64)))


def _there(ranking: Ranking, found: Placards) -> Ranking:
    """Without the tracks that the catalogue no longer has, or holds back."""
    return Ranking([p for p in ranking.picks if p.track_id in found], ranking.repeats)
