"""The tab about one slate: where its tracks come from, what was left out and why, and how ranking changed it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings

from engine.trace import FilteredCandidate, SourceTrace
from interactions.lists.selectors import load_blocks
from recommendations.admin.formatting import format_count
from recommendations.admin.listener_page.traced_slate import TracedSlate
from recommendations.models import Listener
from recommendations.serving.request_context import RequestContext
from tracks.availability import track_ids_by_block
from tracks.card_cache import TrackCard, track_card_cache

SHOWN_CANDIDATES, SHOWN_FILTERED, MAX_BLOCKS = 10, 8, 1_000
FALLBACK_REASONS = {
    "no_consent": "The listener does not consent, so they get popular tracks.",
    "cold_user": "The listener has fewer than {cold_below} interactions, so {policy} took the place of {requested}.",
    "no_known_tracks": "The model knows none of their tracks.",
    "nothing_new": "Every track has been played, so known ones are offered again.",
    "no_model": "No version is in service.",
    "model_unavailable": "The version in service cannot be read.",
    "foreign_model": "The version in service was trained on another database.",
}
RELAXED = {
    "artist_cap": "more tracks of an artist than the cap allows",
    "artist_gap": "tracks of an artist closer together than the gap allows",
    "familiarity": "another share of known tracks than the dial asks for",
    "new_artist_share": "fewer tracks of new artists than the policy asks for",
    "recordings": "a recording more than once",
}
STAGES = {
    "gather": "Candidates of all sources",
    "score": "Scores and dials",
    "place": "Variety, caps and gaps",
    "cards": "Names, and whether tracks still exist",
    "explanations": "Explanations",
}


class NamedTrack(NamedTuple):
    """A track with its names, and a note."""

    track_id: int
    title: str
    artist: str
    note: str = ""
    css: str = ""


class TracedPosition(NamedTuple):
    """A position: the track by relevance alone and what became of it, and the track of the slate and where it was."""

    position: int
    before: NamedTrack | None
    after: NamedTrack | None
    sources: str = ""
    value: str = ""
    reason: str = ""
    because: str = ""


class SourceSummary(NamedTuple):
    """What one source proposed."""

    name: str
    weight: str
    candidates: str
    on_slate: int
    milliseconds: str
    best: list[NamedTrack]


class FilterSummary(NamedTuple):
    """Candidates that were left out for the same reason."""

    reason: str
    total: int
    tracks: list[NamedTrack]

    @property
    def more(self) -> int:
        return self.total - len(self.tracks)


def slate_tab(listener: Listener, context: RequestContext, traced: TracedSlate) -> dict[str, Any]:
    """Return the context of the tab."""
    trace, plan, slate = traced.trace, traced.plan, traced.slate
    # Tracks to repeat are looked for first; the main source is what one wants to see first.
    sources = sorted(_merge_sources(trace.sources), key=lambda source: source.source != plan.policy.main_source)
    filtered = _merge_filtered(trace.filtered)
    because = {i for explanation in traced.explanations.values() for i in explanation["because_track_ids"]}
    reasons = _filter_reasons(listener, context, traced, filtered)
    shown = [
        *(pick.track_id for pick in (*trace.before, *slate.ranking.picks)),
        *(i for source in sources for i in source.track_ids[:SHOWN_CANDIDATES]),
        *(candidate.track_id for candidate in filtered),
        *because,
    ]
    names = Names(track_card_cache.get_cards(dict.fromkeys(shown), context.revisions.catalogue))
    return {
        "policy": plan.policy,
        "notes": _notes(traced),
        "rows": _slate_rows(traced, names),
        "sources": [_summarize_source(source, traced, names) for source in sources],
        "filters": _summarize_filters(filtered, reasons, names, context, plan.policy.dials.repeat_after_hours),
        "timings": [
            (STAGES.get(stage, stage), f"{1000 * s:.1f} ms") for stage, s in (trace.seconds | traced.seconds).items()
        ],
        "candidates": plan.policy.candidates,
    }


@dataclass(frozen=True)
class Names:
    """The cards of tracks by id, to show them by name."""

    cards: dict[int, TrackCard]

    def track(self, track_id: int, note: str = "", css: str = "") -> NamedTrack:
        card = self.cards.get(track_id)
        if card is None:
            return NamedTrack(track_id, f"track {track_id}, deleted", "", note, css)
        return NamedTrack(track_id, card.title, card.artist_name, note, css)

    def artist(self, track_id: int) -> int | None:
        card = self.cards.get(track_id)
        return card.artist_id if card else None


def _notes(traced: TracedSlate) -> list[str]:
    """Return sentences about what is special with the slate."""
    slate, notes = traced.slate, []
    if sentence := FALLBACK_REASONS.get(slate.fallback_reason or ""):
        cold_below = settings.MUSICREC["COLD_BELOW"]
        policy, requested = traced.plan.policy.label, traced.requested.label
        notes.append(sentence.format(cold_below=cold_below, policy=policy, requested=requested))
    notes += [
        f"Relaxed from position {index + 1} on: {RELAXED.get(name, name)}. The candidates do not allow it otherwise."
        for name, index in slate.ranking.relaxed_at.items()
        if index < len(slate.ranking.picks)
    ]
    if costs := traced.trace.new_artist_cost:
        notes.append(f"Positions for new artists gave up {sum(costs.values()):.2f} in value.")
    if not slate.ranking.picks:
        notes.append("No track can be offered: every track of the catalogue is blocked, disliked or unavailable.")
    return notes


def _slate_rows(traced: TracedSlate, names: Names) -> list[TracedPosition]:
    """Put the order by relevance alone and the slate side by side."""
    trace, picks = traced.trace, traced.slate.ranking.picks
    position_after = {pick.track_id: position for position, pick in enumerate(picks, 1)}
    position_before = {pick.track_id: position for position, pick in enumerate(trace.before, 1)}
    others = [candidate for candidate in trace.candidates if candidate.track_id not in position_before]
    others.sort(key=lambda candidate: -candidate.parts["relevance"])
    first = len(position_before) + 1
    position_before |= {candidate.track_id: position for position, candidate in enumerate(others, first)}
    parts = {candidate.track_id: candidate.parts for candidate in trace.candidates}
    rows = []
    for index in range(max(len(picks), len(trace.before))):
        before = after = None
        row = TracedPosition(index + 1, None, None)
        if index < len(trace.before):
            track_id = trace.before[index].track_id
            if position := position_after.get(track_id):
                before = names.track(track_id, "stays" if position == index + 1 else f"now {position}")
            else:
                before = names.track(track_id, f"left out: {_why_left_out(track_id, traced, names)}", "worse")
        if index < len(picks):
            pick = picks[index]
            if pick.source == "repeat":
                after = names.track(pick.track_id, "a track that they know")
            else:
                after = names.track(pick.track_id, *_movement(index + 1, position_before.get(pick.track_id)))
            explanation = traced.explanations[pick.track_id]
            row = row._replace(
                sources=", ".join(dict.fromkeys((pick.source, *pick.sources))),
                value=_describe_parts(parts.get(pick.track_id, {})),
                reason=explanation["text"],
                because=_describe_shares(explanation, names),
            )
        rows.append(row._replace(before=before, after=after))
    return rows


def _movement(position: int, before: int | None) -> tuple[str, str]:
    """Return how far a track moved from its place by relevance, and the class of its colour."""
    if before is None:
        return "fills the slate", ""
    if before == position:
        return "", ""
    return (f"↑ from {before}", "better") if before > position else (f"↓ from {before}", "worse")


def _why_left_out(track_id: int, traced: TracedSlate, names: Names) -> str:
    """Return why a track that would be on the slate by relevance alone is not."""
    caps, dials, picks = traced.plan.policy.caps, traced.plan.policy.dials, traced.slate.ranking.picks
    bundle = traced.plan.model.bundle
    recordings = bundle.features.recording[bundle.items.known_rows([track_id, *(pick.track_id for pick in picks)])]
    if caps.merge_recordings and len(recordings) and recordings[0] in recordings[1:]:
        return "another track of the same recording is on the slate"
    same_artist = [pick for pick in picks if names.artist(pick.track_id) == names.artist(track_id)]
    if 0 < caps.per_artist <= len(same_artist):
        return f"its artist has {len(same_artist)} on the slate, and the cap is {caps.per_artist} in {caps.window}"
    if dials.diversity:
        return "others have more value, or are less similar to those before them"
    if any(value for name, value in vars(dials).items() if name != "repeat_after_hours"):
        return "others have more value"
    return "others took its place"


def _describe_parts(parts: dict[str, float]) -> str:
    """Return the parts of a candidate's value that are not 0; relevance alone without its name."""
    return ", ".join(
        f"{name.replace('_', ' ')} {value:{'.2f' if name == 'relevance' else '+.2f'}}"
        for name, value in parts.items()
        if value or name == "relevance"
    )


def _describe_shares(explanation: dict[str, Any], names: Names) -> str:
    """Return how much each track that an explanation names has contributed."""
    because = explanation.get("because", ())
    return ", ".join(f"{names.track(item['track_id']).title} {item['share']:.0%}" for item in because)


def _merge_sources(sources: Iterable[SourceTrace]) -> list[SourceTrace]:
    """Merge the calls of the same source: one that fills positions is called until there are enough candidates."""
    merged: dict[str, SourceTrace] = {}
    for source in sources:
        before = merged.get(source.source)
        merged[source.source] = (
            source
            if before is None
            else before._replace(
                track_ids=before.track_ids + source.track_ids,
                scores=before.scores + source.scores,
                seconds=before.seconds + source.seconds,
            )
        )
    return list(merged.values())


def _merge_filtered(filtered: Iterable[FilteredCandidate]) -> list[FilteredCandidate]:
    """Return each filtered track once, even if several sources would have proposed it."""
    return list({candidate.track_id: candidate for candidate in reversed(list(filtered))}.values())[::-1]


def _summarize_source(source: SourceTrace, traced: TracedSlate, names: Names) -> SourceSummary:
    on_slate = Counter(pick.source for pick in traced.slate.ranking.picks)
    best = [
        names.track(track_id, f"{score:,.4g}")
        for track_id, score in zip(source.track_ids[:SHOWN_CANDIDATES], source.scores, strict=False)
    ]
    weights = traced.plan.policy.sources
    weight = "main" if source.source == traced.plan.policy.main_source else f"{weights.get(source.source, 0):g}"
    if source.source not in weights:
        weight = "repeats" if source.source == "repeat" else "fills"
    count = format_count(len(source.track_ids))
    return SourceSummary(source.source, weight, count, on_slate[source.source], f"{1000 * source.seconds:.1f} ms", best)


def _filter_reasons(
    listener: Listener, context: RequestContext, traced: TracedSlate, filtered: list[FilteredCandidate]
) -> dict[int, str]:
    """Return why each forbidden track is: disliked, or blocked by which block."""
    history = context.history.pairs  # without consent, the query has no history, but dislikes count
    forbidden = {candidate.track_id for candidate in filtered if candidate.reason == "forbidden"}
    reasons = dict.fromkeys(forbidden & set(history.track[history.disliked].tolist()), "disliked")
    if forbidden - reasons.keys() and context.blocks:
        blocks = load_blocks(listener.pk, MAX_BLOCKS).items
        names = {(block["kind"], block["target_id"]): block["name"] for block in blocks}
        for block, track_ids in track_ids_by_block(context.blocks).items():
            covered = forbidden.intersection(track_ids.tolist()) - reasons.keys()
            reasons |= dict.fromkeys(covered, f"blocked: the {block[0]} {names.get(block) or block[1]}")
    return reasons


def _summarize_filters(
    filtered: list[FilteredCandidate],
    reasons: dict[int, str],
    names: Names,
    context: RequestContext,
    repeat_after_hours: float,
) -> list[FilterSummary]:
    """Group the filtered candidates by reason, the most frequent first."""
    texts = {
        "known": "played or skipped before",
        "recording": "the same recording as a track that is left out",
        "just_played": f"played less than {repeat_after_hours:g} hours ago",
    }
    groups: dict[str, list[int]] = defaultdict(list)
    for track_id, _, reason in filtered:
        if reason == "forbidden":
            text = reasons.get(track_id, "blocked, or the same recording as a track that is")
        elif reason == "unavailable":
            text = _why_unavailable(names.cards.get(track_id), context)
        else:
            text = texts.get(reason, reason)
        groups[text].append(track_id)
    return [
        FilterSummary(text, len(track_ids), [names.track(i) for i in track_ids[:SHOWN_FILTERED]])
        for text, track_ids in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]


def _why_unavailable(card: TrackCard | None, context: RequestContext) -> str:
    if card is None:
        return "deleted"
    if card.taken_down:
        return "taken down"
    if card.explicit and not context.settings.allow_explicit:
        return "explicit, which they do not want"
    return f"not available in their market, {context.settings.market}"
