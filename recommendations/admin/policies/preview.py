"""What a policy would answer to a listener, beside what they get now. Nothing is logged, cached or written."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import perf_counter

from django.db.models import Q

from access.models import User
from common.http.references import INT64_MAX
from engine.pipeline import Policy
from interactions.selectors import recently_active_listeners
from recommendations.policies.documents import compare_policies
from recommendations.serving.model_cache import model_cache
from recommendations.serving.recommend import assign_policy, model_for
from recommendations.serving.request_context import UNKNOWN, RecommendationRequest, RequestContext, load_contexts
from recommendations.serving.slate import RankedSlate, build_slate, plan_slate
from tracks.models import Track

LIMITS = {"personal": 20, "similar": 10}
MAX_MATCHES = 8


@dataclass(frozen=True)
class Subject:
    """A listener, or for similar tracks a track, whom a preview is about; `key` finds it again."""

    key: str
    title: str
    detail: str = ""


@dataclass(frozen=True)
class PreviewRow:
    """A position of a slate. `move` is "new", "gone", "" or the number of positions up or down, with an arrow."""

    position: int
    title: str
    artist: str | None
    source: str
    other_sources: str
    score: str
    move: str


@dataclass(frozen=True)
class PreviewSlate:
    """One of the two slates of a preview."""

    policy: str
    rows: list[PreviewRow]
    relaxed: tuple[str, ...]
    fallback_reason: str | None
    milliseconds: float


@dataclass(frozen=True)
class Preview:
    """Two slates beside each other, the fields in which their policies differ, and what the operator should know."""

    subject: Subject
    slates: tuple[PreviewSlate, PreviewSlate]
    changes: list[tuple[str, str, str]]
    notes: list[str]


def find_subjects(policy_name: str, text: str) -> list[Subject]:
    """Return the listeners, or for similar tracks the tracks, that a text may mean.

    It is an id, an external id, or a part of a name. An id or an external id that fits exactly is the only result.
    """
    text = text.strip()
    if not text:
        return []
    exact = Q(external_id=text) | (
        Q(pk=int(text)) if text.isascii() and text.isdecimal() and int(text) <= INT64_MAX else Q()
    )
    if policy_name == "similar":
        tracks = Track.objects.select_related("artist")
        found = tracks.filter(exact)[:1] or tracks.filter(title__icontains=text).order_by("title")[:MAX_MATCHES]
        return [Subject(str(t.pk), t.title, t.artist.name if t.artist else "") for t in found]
    listeners = User.objects.filter(is_active=True)
    named = Q(username__icontains=text) | Q(display_name__icontains=text)
    users = listeners.filter(exact)[:1] or listeners.filter(named).order_by("username")[:MAX_MATCHES]
    return [Subject(str(u.pk), u.display_name or u.username, u.external_id or "") for u in users]


def suggest_subject(policy_name: str) -> str:
    """Return the key of a subject to begin with: a listener with interactions, or the most popular track."""
    if policy_name == "similar":
        bundle = model_cache.current().bundle
        return str(bundle.items.ids[bundle.popular_rows[0]]) if len(bundle.popular_rows) else ""
    listeners = recently_active_listeners(datetime.fromtimestamp(0, UTC), 0, 1)
    return str(listeners[0]) if listeners else ""


def build_preview(subject: Subject, before: Policy, after: Policy) -> Preview:
    """Build the slate of a subject by two versions of one policy: the one in use, and the edited one."""
    if before.name == "similar":
        request = RecommendationRequest("similar", LIMITS["similar"], track_id=int(subject.key))
        context = load_contexts([UNKNOWN])[UNKNOWN]
    else:
        request = RecommendationRequest("personal", LIMITS["personal"], int(subject.key))
        context = load_contexts([int(subject.key)])[int(subject.key)]
    usual = plan_slate(request, context, model_for(request, context), assign_policy(request, context)).policy
    notes = []
    if usual.name != before.name:
        notes.append(
            f"This listener is answered by {usual.label}: {context.history.interactions} interactions"
            f"{'' if context.settings.consent else ', no consent'}. Below is what {before.name} would answer."
        )
    before_slate, before_seconds = _build(request, context, before)
    after_slate, after_seconds = _build(request, context, after)
    slates = (
        _describe(f"In use: {before.label}", before_slate, before_seconds, after_slate, is_after=False),
        _describe("As edited", after_slate, after_seconds, before_slate, is_after=True),
    )
    return Preview(
        subject,
        slates,
        compare_policies(before, after),
        notes,
    )


def _build(request: RecommendationRequest, context: RequestContext, policy: Policy) -> tuple[RankedSlate, float]:
    """Build a slate by a policy, also for a listener whom another one would answer; return it with the seconds."""
    started = perf_counter()
    plan = plan_slate(request, context, model_for(request, context), policy)
    return build_slate(replace(plan, policy=policy)), perf_counter() - started


def _describe(policy: str, slate: RankedSlate, seconds: float, other: RankedSlate, is_after: bool) -> PreviewSlate:
    there = {pick.track_id: position for position, pick in enumerate(other.ranking.picks, 1)}
    rows = []
    for position, pick in enumerate(slate.ranking.picks, 1):
        if pick.track_id not in there:
            move = "new" if is_after else "gone"
        elif is_after and (up := there[pick.track_id] - position):
            move = f"▲ {up}" if up > 0 else f"▼ {-up}"
        else:
            move = ""
        row = PreviewRow(
            position,
            slate.cards[pick.track_id].title,
            slate.cards[pick.track_id].artist_name,
            pick.source,
            ", ".join(name for name in pick.sources if name != pick.source),
            f"{pick.score:.4g}",
            move,
        )
        rows.append(row)
    return PreviewSlate(policy, rows, slate.ranking.relaxed, slate.fallback_reason, round(seconds * 1000, 1))
