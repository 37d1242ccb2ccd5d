"""Make the mixes of a day: those of a listener, and those for everybody in a market."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from django.utils import timezone

from access.selectors import ListenerSettings
from engine.mixes import BECAUSE_YOU_LOVE, DAILY_MIX, LENGTH, MIN_TRACKS, NEW_RELEASES, NEWEST, Mix, build_mixes
from engine.pipeline import Pick, Policy, Ranking, append_picks
from interactions.charts.selectors import load_trending
from interactions.selectors import NO_SESSION
from recommendations.mixes.selectors import Topic, strongest_tags
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.recommend import assign_policy
from recommendations.serving.request_context import RecommendationRequest, RequestContext, Revisions
from recommendations.serving.slate import SlatePlan, build_slate, plan_slate
from tracks.selectors import artist_cards

TRENDING, POPULAR, GENRE = "trending", "popular", "genre"
EPOCH = date(1970, 1, 1)
POOL = 400  # popular tracks, among which those of each genre are found
GENRES = 4
TAGGED = 20  # tracks of a daily mix whose tags name it
_TRENDING = Policy("trending", {"trending": 1.0}, may_repeat=False)


@dataclass(frozen=True)
class Shelf:
    """A mix as it is stored: with more tracks than are shown, so that others can take the place of some.

    Attributes:
        kind: of `engine.mixes`, or one of those above.
        number: from 1, among the shelves of its kind.
        picks: the tracks, best first.
        seeds: ids of tracks of the listener; it is shown while at least one of them counts. Without any, it always is.
        artist: id and name of the artist that it is about.
        tag: id and name of the tag that it is about.
        is_personal: whether it rests on what the listener did.
        is_local: whether it rests on what listeners in one market did.
        model_version: the version that made it; empty without a model.
        generated_at: when it was made.
    """

    kind: str
    number: int
    picks: list[Pick]
    seeds: Sequence[int] = ()
    artist: Topic | None = None
    tag: Topic | None = None
    is_personal: bool = False
    is_local: bool = False
    model_version: str = ""
    generated_at: datetime = field(default_factory=timezone.now)

    @property
    def shelf_id(self) -> str:
        """The id in the API, by which an app recognizes the shelf from day to day."""
        name = self.kind.replace("_", "-")
        if self.kind == GENRE and self.tag:
            return f"{name}-{self.tag.id}"
        return f"{name}-{self.number}" if self.kind in (DAILY_MIX, BECAUSE_YOU_LOVE) else name

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "number": self.number,
            "picks": [[pick.track_id, pick.score, pick.source] for pick in self.picks],
            "seeds": list(self.seeds),
            "artist": self.artist,
            "tag": self.tag,
            "is_personal": self.is_personal,
            "is_local": self.is_local,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any], model_version: str, generated_at: datetime) -> "Shelf":
        artist, tag = stored["artist"], stored["tag"]
        return cls(
            stored["kind"],
            stored["number"],
            [Pick(track_id, score, source, (source,)) for track_id, score, source in stored["picks"]],
            stored["seeds"],
            Topic(*artist) if artist else None,
            Topic(*tag) if tag else None,
            stored["is_personal"],
            stored["is_local"],
            model_version,
            generated_at,
        )


def make_personal_shelves(context: RequestContext, model: LoadedModel, day: date) -> list[Shelf]:
    """Return the mixes that rest on what a listener did; none without consent or without interactions."""
    if not (context.settings.consent and context.history.interactions):
        return []
    request = RecommendationRequest("personal", LENGTH, context.listener_id)
    plan = plan_slate(request, context, model, assign_policy(request, context))
    return _name(build_mixes(model.bundle, plan.query, plan.policy, (day - EPOCH).days))


def _name(mixes: Sequence[Mix]) -> list[Shelf]:
    """Find the artists and tags that mixes are about."""
    tagged = [[pick.track_id for pick in mix.picks[:TAGGED]] if mix.kind == DAILY_MIX else [] for mix in mixes]
    tags = strongest_tags({track_id for track_ids in tagged for track_id in track_ids})
    artists = artist_cards([mix.artist for mix in mixes if mix.artist is not None])
    shelves = []
    for mix, track_ids in zip(mixes, tagged, strict=True):
        artist = artists.get(mix.artist or 0)
        if mix.artist is not None and artist is None:
            continue  # deleted since the version was trained
        common = Counter(tags[track_id] for track_id in track_ids if track_id in tags).most_common(1)
        shelves.append(
            Shelf(
                mix.kind,
                mix.number,
                mix.picks,
                mix.seeds.tolist(),
                Topic(artist["artist_id"], artist["name"]) if artist else None,
                common[0][0] if common else None,
                is_personal=True,
            )
        )
    return shelves


def make_shared_shelves(context: RequestContext, model: LoadedModel, market: str) -> list[Shelf]:
    """Return the mixes that are the same for all listeners in a market: what is trending, new and popular there.

    Args:
        context: of any request; what it says of a listener does not count.
        market: "" for all.
    """
    nobody = replace(
        context,
        listener_id=None,
        settings=ListenerSettings(market=market),
        blocks=frozenset(),
        history_rows=None,
        sliders=(),
        session=NO_SESSION,
        cached=Revisions(),
    )
    plan = plan_slate(RecommendationRequest("legacy", POOL), nobody, model, context.policies["popular"])
    popular = build_slate(plan).ranking.picks
    shelves = [
        _make_trending(plan, market),
        Shelf(NEW_RELEASES, 1, _rank(plan, NEWEST)),
        Shelf(POPULAR, 1, popular[:LENGTH]),
        *_group_by_genre(popular, plan),
    ]
    return [shelf for shelf in shelves if len(shelf.picks) >= MIN_TRACKS or (shelf.kind == POPULAR and shelf.picks)]


def _make_trending(plan: SlatePlan, market: str) -> Shelf:
    """Return what more listeners in a market play than usual; if these are too few, what is trending everywhere."""
    trending = (load_trending(market) or []) if market else []
    known = plan.filters.available([track_id for track_id, _ in trending[:POOL]])
    picks = [Pick(i, round(score, 6), "trending", ("trending",)) for i, score in trending if i in known]
    nearby = append_picks(plan.model.bundle, Ranking(), picks, _TRENDING.caps, LENGTH).picks
    if len(nearby) >= MIN_TRACKS:
        return Shelf(TRENDING, 1, nearby, is_local=True)
    return Shelf(TRENDING, 1, _rank(plan, _TRENDING))


def _rank(plan: SlatePlan, policy: Policy) -> list[Pick]:
    return build_slate(replace(plan, policy=policy, query=replace(plan.query, limit=LENGTH))).ranking.picks


def _group_by_genre(popular: Sequence[Pick], plan: SlatePlan) -> list[Shelf]:
    """Return the popular tracks of each of the genres that have the most of them."""
    tags = strongest_tags([pick.track_id for pick in popular])
    by_tag: dict[Topic, list[Pick]] = {}
    for pick in popular:
        if tag := tags.get(pick.track_id):
            by_tag.setdefault(tag, []).append(pick)
    largest = sorted(by_tag, key=lambda tag: (-len(by_tag[tag]), tag.id))[:GENRES]
    slates = [append_picks(plan.model.bundle, Ranking(), by_tag[tag], plan.policy.caps, LENGTH) for tag in largest]
    return [
        Shelf(GENRE, n, slate.picks, tag=tag) for n, (tag, slate) in enumerate(zip(largest, slates, strict=True), 1)
    ]
