"""The tab about dials: the slates that other settings of each dial would give. Nothing is logged, cached or written."""

from typing import Any, NamedTuple

import numpy as np
from django.http import QueryDict

from engine.pipeline import Ranking
from engine.pipeline import recommend as rank_tracks
from recommendations.admin.listener_page.slate import NamedTrack, Names
from recommendations.admin.policies.form import DIALS
from recommendations.serving.request_context import RequestContext
from recommendations.serving.slate import SlatePlan, set_dials
from tracks.card_cache import track_card_cache

SETTINGS = (0.0, 0.2, 0.5, 1.0)
SHOWN_CHANGES = 4


class DialSetting(NamedTuple):
    """A value of a dial, and how the slate would differ from the one with the present value.

    Attributes:
        value: of the dial.
        is_current: whether it is the present one.
        changed: how many tracks would be others; None for the present value.
        entering, leaving: the first of them.
        artists: the number of different artists.
        known: the number of tracks that the listener knows.
        popularity: the mean number of listeners.
        link: the query of the tab that shows the slate.
    """

    value: str
    is_current: bool
    changed: int | None
    entering: list[NamedTrack]
    leaving: list[NamedTrack]
    artists: int
    known: int
    popularity: str
    link: str

    @property
    def more(self) -> int:
        """The number of tracks that come in, and go out, beside those that are named."""
        return max((self.changed or 0) - SHOWN_CHANGES, 0)


class Dial(NamedTuple):
    """A dial with the settings that were tried."""

    name: str
    title: str
    hint: str
    settings: list[DialSetting]
    has_effect: bool


def dials_tab(context: RequestContext, plan: SlatePlan, parameters: QueryDict) -> dict[str, Any]:
    """Return the context of the tab: for each dial a few settings, while the others stay as they are.

    Args:
        parameters: of the request, which links to slates keep.
    """
    current = rank_tracks(plan.model.bundle, plan.query, plan.policy)
    rankings: dict[str, dict[float, Ranking]] = {}
    for name in DIALS:
        present = getattr(plan.policy.dials, name)
        values = sorted({*SETTINGS, present})
        rankings[name] = {
            value: current
            if value == present
            else rank_tracks(plan.model.bundle, *set_dials(plan.query, plan.policy, {name: value}))
            for value in values
        }
    picks = {pick.track_id for by_value in rankings.values() for r in by_value.values() for pick in r.picks}
    names = Names(track_card_cache.get_cards(picks, context.revisions.catalogue))
    return {
        "policy": plan.policy,
        "dials": [
            Dial(
                name,
                DIALS[name].label,
                DIALS[name].help,
                [
                    _setting(plan, value, ranking, current, names, _link(parameters, name, value))
                    for value, ranking in by_value.items()
                ],
                any(ranking.picks != current.picks for ranking in by_value.values()),
            )
            for name, by_value in rankings.items()
        ],
    }


def _setting(plan: SlatePlan, value: float, ranking: Ranking, current: Ranking, names: Names, link: str) -> DialSetting:
    before, after = ([pick.track_id for pick in r.picks] for r in (current, ranking))
    entering = [track_id for track_id in after if track_id not in before]
    leaving = [track_id for track_id in before if track_id not in after]
    bundle, history = plan.model.bundle, plan.query.history
    listeners = bundle.popularity[bundle.items.known_rows(np.array(after, np.int64))]
    return DialSetting(
        f"{value:g}",
        ranking is current,
        None if ranking is current else len(entering),
        [names.track(track_id) for track_id in entering[:SHOWN_CHANGES]],
        [names.track(track_id) for track_id in leaving[:SHOWN_CHANGES]],
        len({names.artist(track_id) for track_id in after}),
        len(set(after) & set(history.track[history.is_positive].tolist())),
        f"{listeners.mean():,.1f}" if len(listeners) else "–",
        link,
    )


def _link(parameters: QueryDict, dial: str, value: float) -> str:
    changed = parameters.copy()
    changed["tab"], changed[dial] = "slate", f"{value:g}"
    return f"?{changed.urlencode()}"
