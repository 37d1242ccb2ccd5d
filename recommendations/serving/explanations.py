"""Say in words why each track of a slate was picked."""

from typing import Any

from engine.bundle.model_bundle import ModelBundle
from engine.pipeline import Pick
from engine.ranking.explain import explain_by_history
from recommendations.serving.slate import RankedSlate
from tracks.card_cache import track_card_cache

_REPEAT = "You have played this track before"
_FROM_HISTORY = {"personal", "early", "neighbours", "similar"}


def explain_picks(bundle: ModelBundle, slate: RankedSlate, catalogue_revision: int | None) -> dict[int, dict[str, Any]]:
    """Return the text of each pick and the tracks it names, by track id."""
    known = set(slate.evidence.tolist())  # of similar tracks the one asked about, which is not among the picks
    reasons = {
        pick.track_id: explain_by_history(bundle, pick.track_id, slate.evidence)
        if pick.source in _FROM_HISTORY and pick.track_id not in known
        else []
        for pick in slate.ranking.picks
    }
    cards = track_card_cache.get_cards({i for track_ids in reasons.values() for i in track_ids}, catalogue_revision)
    return {
        pick.track_id: {
            "text": _REPEAT
            if pick.track_id in known
            else _sentence(pick, [cards[i].title for i in reasons[pick.track_id] if i in cards]),
            "because_track_ids": reasons[pick.track_id],
        }
        for pick in slate.ranking.picks
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
