"""Why each track of a page was picked, in words."""

from typing import Any

from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.pipeline import Pick, Ranking
from engine.ranking.explain import explain_by_history
from tracks.card_cache import track_card_cache

_FROM_PLAYS = {"personal", "early", "neighbours", "similar"}


def explanations(
    bundle: ModelBundle, ranking: Ranking, wanted: NDArray[Any], catalogue: int | None
) -> dict[int, dict[str, Any]]:
    """By track id. wanted: int64 (k,), tracks that the listener is known to want, or the one asked about · catalogue:
    its revision."""
    tracks = {
        p.track_id: explain_by_history(bundle, p.track_id, wanted) if p.source in _FROM_PLAYS else []
        for p in ranking.picks
    }
    known = track_card_cache.get_cards({i for ids in tracks.values() for i in ids}, catalogue)
    return {
        p.track_id: {
            "text": _sentence(p, [known[i].title for i in tracks[p.track_id] if i in known]),
            "because_track_ids": tracks[p.track_id],
        }
        for p in ranking.picks
    }


def _sentence(pick: Pick, titles: list[str]) -> str:
    match pick.source:
        case "personal" | "neighbours" | "early":
            return f"Because you played {' and '.join(titles)}" if titles else "From what you have been playing"
        case "similar":
            return "Played by the same listeners"
        case "content":
            return "Shares artist, album or tags"
        case "popular":
            return f"Popular with {int(pick.score):,} listener{'s' if pick.score != 1 else ''}"
        case _:
            return "Something different from the catalogue"
