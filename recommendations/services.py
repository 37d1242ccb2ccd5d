"""Answer what to hear next, and put versions into service."""

import uuid
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone

from engine.bundle import ModelBundle
from engine.ids import INT64_MAX
from engine.serving.candidates import Query
from engine.serving.explain import because
from engine.serving.pipeline import PERSONAL, POPULAR, SIMILAR, Pick, Policy, Ranking, recommend
from interactions.selectors import History, history
from recommendations import metrics
from recommendations.model_cache import Loaded, cache
from tracks.selectors import cards, content_neighbours, track_exists

Answer = dict[str, Any]
Cards = dict[int, dict[str, Any]]
_SPARE = 50  # asked for beyond the page, since the catalogue at hand may be half a minute old
_DELETED_RETRIES = 3  # tracks deleted since the version was trained leave gaps; each try fills those seen so far


class UnknownTrack(Exception):
    """The catalogue has no such track."""


@dataclass(frozen=True)
class Request:
    """How an answer is wanted."""

    limit: int
    exclude_played: bool = True
    explain: bool = False


def recommend_for(user_id: int, request: Request) -> Answer:
    """What a listener should hear next: personal → popular → pseudo-random. A listener nobody knows gets what is
    popular."""
    loaded, past = cache.current(), _history(user_id)
    cold = past.interactions < settings.MUSICREC["COLD_BELOW"]
    policy = POPULAR if cold else PERSONAL
    query = _query(loaded.bundle, user_id, past, request)
    ranking, found = _with_cards(loaded.bundle, policy, query)
    reason = loaded.problem or ("cold_user" if cold else None if ranking.strategy == "personal" else "no_known_tracks")
    return _answer(loaded, ranking, found, reason, _reasons(loaded.bundle, ranking, past) if request.explain else {})


def recommend_without_model(user_id: int, request: Request) -> Answer:
    """The legacy answer: what is popular and the listener has not played; never the model."""
    catalogue, past = Loaded(cache.catalogue()), _history(user_id)
    query = _query(catalogue.bundle, user_id, past, request)
    ranking, found = _with_cards(catalogue.bundle, POPULAR, query)
    return _answer(
        catalogue, ranking, found, None, _reasons(catalogue.bundle, ranking, past) if request.explain else {}
    )


def recommend_similar(track_id: int, request: Request) -> Answer:
    """What is like a track: by who plays them, else by what is known of it, filled up with what is popular."""
    if track_id > INT64_MAX or not track_exists(track_id):
        raise UnknownTrack
    loaded = cache.current()
    query = Query(request.limit, seed=track_id, track_id=track_id, exclude=np.array([track_id], np.int64))
    ranking, found = _with_cards(loaded.bundle, SIMILAR, query)
    reason = loaded.problem
    if len(ranking.picks) < request.limit:
        reason = reason or ("cold_track" if not ranking.picks else None)
        ranking, found = _filled(query, ranking)
    about = History(track_ids=np.array([track_id], np.int64))
    return _answer(loaded, ranking, found, reason, _reasons(loaded.bundle, ranking, about) if request.explain else {})


def _history(user_id: int) -> History:
    return history(user_id) if user_id <= INT64_MAX else History()


def _query(bundle: ModelBundle, user_id: int, past: History, request: Request) -> Query:
    return Query(
        limit=request.limit,
        seed=user_id,
        user_row=bundle.user_row(user_id, past.stamp),
        played=past.track_ids,
        qualified=past.qualified,
        liked=past.liked,
        count=past.count,
        newest=past.newest,
        exclude=past.track_ids if request.exclude_played else np.zeros(0, np.int64),
    )


def _with_cards(bundle: ModelBundle, policy: Policy, query: Query) -> tuple[Ranking, Cards]:
    """The ranking, and the cards of its tracks. Tracks deleted since the version was trained are left out and replaced;
    where the version knows hardly any other (another database, say), by what the catalogue has."""
    for _ in range(_DELETED_RETRIES):
        ranking = recommend(bundle, query, policy)
        found = cards([p.track_id for p in ranking.picks])
        deleted = [p.track_id for p in ranking.picks if p.track_id not in found]
        if not deleted:
            return ranking, found
        query = _excluding(query, deleted)
    left = _there(ranking, found)
    if not policy.may_repeat:
        return left, found
    rest = replace(_excluding(query, [p.track_id for p in left.picks]), limit=query.limit + _SPARE)
    more = recommend(cache.catalogue(), rest, replace(POPULAR, may_repeat=not left.picks))
    found |= cards([p.track_id for p in more.picks])
    filled = _there(Ranking(left.picks + more.picks, more.repeats), found)
    return Ranking(filled.picks[: query.limit], filled.repeats), found


def _excluding(query: Query, track_ids: list[int]) -> Query:
    return replace(query, exclude=np.union1d(query.exclude, np.array(track_ids, np.int64)))


def _filled(query: Query, ranking: Ranking) -> tuple[Ranking, Cards]:
    """A short page of similar tracks, filled by content and then by popularity."""
    assert query.track_id is not None
    taken = {query.track_id, *(p.track_id for p in ranking.picks)}
    near = content_neighbours(query.track_id, query.limit + len(taken))
    content = [Pick(i, round(s, 6), "content") for i, s in near if i not in taken]
    picks = (ranking.picks + content)[: query.limit]
    taken |= {p.track_id for p in picks}
    if missing := query.limit - len(picks):
        rest = replace(query, limit=missing, exclude=np.array(sorted(taken), np.int64))
        picks = picks + recommend(cache.catalogue(), rest, replace(POPULAR, may_repeat=False)).picks
    found = cards([p.track_id for p in picks])
    return _there(Ranking(picks), found), found


def _there(ranking: Ranking, found: Cards) -> Ranking:
    """Without the tracks that the catalogue no longer has."""
    return Ranking([p for p in ranking.picks if p.track_id in found], ranking.repeats)


def _answer(
    loaded: Loaded, ranking: Ranking, found: Cards, reason: str | None, explanations: dict[int, Answer]
) -> Answer:
    metrics.answers.labels(ranking.strategy, str(loaded.problem is not None).lower()).inc()
    results = [
        found[pick.track_id] | {"score": pick.score, "position": position, "source": pick.source}
        for position, pick in enumerate(ranking.picks, 1)
    ]
    for result in results:
        if explanations:
            result["explanation"] = explanations[result["track_id"]]
    return {
        "recommendation_id": str(uuid.uuid4()),
        "strategy": ranking.strategy,
        "model_version": loaded.bundle.version,
        "generated_at": timezone.now(),
        "degraded": loaded.problem is not None,
        "fallback_reason": reason or ("nothing_new" if ranking.repeats else None),
        "results": results,
    }


def _reasons(bundle: ModelBundle, ranking: Ranking, past: History) -> dict[int, Answer]:
    """An explanation for each track of the page."""
    modelled = {"personal", "neighbours", "similar"}
    tracks = {
        p.track_id: because(bundle, p.track_id, past.track_ids) if p.source in modelled else [] for p in ranking.picks
    }
    titles = cards({i for ids in tracks.values() for i in ids})
    return {
        p.track_id: {
            "text": _sentence(p, [titles[i]["title"] for i in tracks[p.track_id] if i in titles]),
            "because_track_ids": tracks[p.track_id],
        }
        for p in ranking.picks
    }


def _sentence(pick: Pick, titles: list[str]) -> str:
    match pick.source:
        case "personal" | "neighbours":
            return f"Because you played {' and '.join(titles)}" if titles else "From what you have been playing"
        case "similar":
            return "Played by the same listeners"
        case "content":
            return "Shares artist, album or tags"
        case "popular":
            return f"Popular with {int(pick.score):,} listener{'s' if pick.score != 1 else ''}"
        case _:
            return "Something different from the catalogue"
