"""Turn what a request names, as JSON or as a prompt, into the seeds of a radio."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from access.models import User
from common.http.references import ExternalId
from recommendations.radio.prompts import TIME_RANGES, PromptError, PromptTerm, parse_prompt
from recommendations.radio.selectors import (
    find_artist,
    most_played_tracks,
    tracks_of_artist,
    tracks_with_tags,
)
from recommendations.serving.recommend import assign_policy, model_for
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.slate import build_slate, plan_slate
from tracks.models import Artist, Tag, Track
from tracks.selectors import find_ids, find_tags, track_cards

RECOMMENDED_TRACKS = 50  # that stand for what is recommended to a listener
TAG_KINDS = {"genre": Tag.Kind.GENRE, "mood": Tag.Kind.MOOD, "tag": None}
StoredSeed = dict[str, Any]
"""A seed as it is stored: kind, id, name, weight, track_ids, and the shares of these tracks if they differ."""


class SeedError(ValueError):
    """A seed that cannot be resolved; the message says why, and `field` is the part of the request that names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class PromptSeeds:
    """What a prompt asks for.

    Attributes:
        seeds: at least one.
        mode: None if the prompt names none.
        only_seeds: whether the tracks of the seeds are wanted, and no similar ones.
    """

    seeds: list[StoredSeed]
    mode: str | None
    only_seeds: bool


def resolve_seed(kind: str, reference: int | ExternalId | None, name: str, weight: float) -> StoredSeed:
    """Return a seed that a request names by its id or its name.

    Args:
        kind: "track", "artist", "tag", "genre", "mood" or "taste".
        reference: its id; None if the name is given.
        name: of an artist or a tag.

    Raises:
        SeedError: the catalogue has no such thing, or no track of it.
    """
    match kind:
        case "taste":
            return _seed("taste", None, "", weight, [])
        case "track":
            track_id = None if reference is None else find_ids(Track, [reference]).get(reference)
            card = track_cards([] if track_id is None else [track_id]).get(track_id or 0)
            if card is None or track_id is None:
                raise SeedError("id", f"there is no track {reference} in the catalogue")
            return _seed("track", track_id, card["title"], weight, [track_id])
        case "artist":
            if reference is None:
                artist = find_artist(name)
            else:
                artist = Artist.objects.filter(pk__in=find_ids(Artist, [reference]).values()).first()
            if artist is None:
                field, named = ("name", repr(name)) if reference is None else ("id", str(reference))
                raise SeedError(
                    field,
                    f"there is no artist {named} in the catalogue; GET /search/artists finds the way it is written",
                )
            return _with_tracks(_seed("artist", artist.pk, artist.name, weight, tracks_of_artist(artist.pk)))
    if reference is None:
        tags = find_tags(name, TAG_KINDS[kind])
        if not tags:
            raise SeedError(
                "name", f"there is no {kind} {name!r} in the catalogue; track pages list the tags of a track"
            )
    else:
        tags = list(Tag.objects.filter(pk=reference)) if isinstance(reference, int) else []
        if not tags or TAG_KINDS[kind] not in (None, tags[0].kind):
            raise SeedError("id", f"there is no {kind} {reference}; use the tag_id of a track page, or the name")
    tag_ids = [tag.pk for tag in tags]
    return _with_tracks(_seed(kind, tag_ids[0], tags[0].name, weight, tracks_with_tags([tag_ids])))


def resolve_prompt(prompt: str, context: RequestContext) -> PromptSeeds:
    """Return what a prompt of ListenBrainz Radio asks for.

    Args:
        context: of the radio's listener, if it has one.

    Raises:
        SeedError: the prompt cannot be understood, or names something that the catalogue does not have.
    """
    try:
        terms = parse_prompt(prompt)
    except PromptError as error:
        raise SeedError("prompt", str(error)) from error
    modes = {term.mode: term for term in terms if term.mode}
    if len(modes) > 1:
        raise SeedError(
            "prompt",
            f"{' and '.join(term.text for term in modes.values())}: name different modes, and a radio has one; "
            f"name it once, or start a radio for each",
        )
    with_similar = [term for term in terms if "nosim" not in term.options]
    if with_similar and len(with_similar) < len(terms):
        raise SeedError(
            "prompt",
            f"{with_similar[0].text}: lacks nosim, which other elements have; it holds for a radio as a whole, so give "
            "it to all or to none",
        )
    seeds = []
    for term in terms:
        try:
            seeds.append(_resolve_term(term, context))
        except SeedError as error:
            raise SeedError("prompt", f"{term.text}: {error}") from error
    return PromptSeeds(seeds, next(iter(modes), None), only_seeds=not with_similar)


def _resolve_term(term: PromptTerm, context: RequestContext) -> StoredSeed:
    weight = float(term.weight)
    if term.element == "artist":
        return resolve_seed("artist", None, term.values[0], weight)
    if term.element == "tag":
        return _resolve_tags(term.values, weight, is_any="or" in term.options)
    return _resolve_listener(term, weight, context)


def _resolve_tags(names: Sequence[str], weight: float, is_any: bool) -> StoredSeed:
    """Return a seed of the tracks that have all of some tags, or any of them."""
    groups = []
    for name in names:
        tags = find_tags(name)
        if not tags:
            raise SeedError("name", f"there is no tag {name!r} in the catalogue; track pages list the tags of a track")
        groups.append([tag.pk for tag in tags])
    track_ids = tracks_with_tags([[*chain(*groups)]] if is_any else groups)
    tag_id = groups[0][0] if len(groups) == 1 else None
    return _with_tracks(_seed("tag", tag_id, (" or " if is_any else " and ").join(names), weight, track_ids))


def _resolve_listener(term: PromptTerm, weight: float, context: RequestContext) -> StoredSeed:
    """Return a seed of what the radio's own listener plays, or of what is recommended to them."""
    listener_id, name = context.listener_id, term.values[0]
    listener = User.objects.filter(pk=listener_id or 0).values("pk", "username", "external_id").first()
    if listener is None or not context.settings.exists:
        raise SeedError("prompt", "needs a listener; name them as user_id, or use a listener's token")
    names = {"me", *(str(value).casefold() for value in listener.values() if value is not None)}
    if name.casefold() not in names:
        raise SeedError("prompt", f"{name!r} is not the listener of this radio, whose taste alone it may use; write me")
    if not context.settings.consent:
        raise SeedError(
            "prompt", "the listener's consent is off, so nothing is known of their taste; name artists or tags"
        )
    match term.element:
        case "user":
            return resolve_seed("taste", None, "", weight)
        case "stats":
            time_range = next((option for option in term.options if option in TIME_RANGES), "all_time")
            plays = most_played_tracks(listener["pk"], time_range)
            if not plays:
                raise SeedError(
                    "prompt", f"the listener has played nothing in this range ({time_range}); name a longer one"
                )
            return _seed("stats", None, time_range, weight, list(plays)) | {"shares": list(plays.values())}
    is_listened = "listened" in term.options
    request = RecommendationRequest(
        "personal", RECOMMENDED_TRACKS, context.listener_id, exclude_played=None if is_listened else True
    )
    if is_listened:
        request = request._replace(familiarity=1.0)
    model, policy = model_for(request, context), assign_policy(request, context)
    picks = build_slate(plan_slate(request, context, model, policy)).ranking.picks
    return _with_tracks(_seed("recs", None, "", weight, [pick.track_id for pick in picks]))


def _seed(kind: str, seed_id: int | None, name: str, weight: float, track_ids: list[int]) -> StoredSeed:
    return {"kind": kind, "id": seed_id, "name": name, "weight": weight, "track_ids": track_ids}


def _with_tracks(seed: StoredSeed) -> StoredSeed:
    if not seed["track_ids"]:
        raise SeedError("name", f"the catalogue has no tracks of {seed['kind']} {seed['name']}")
    return seed
