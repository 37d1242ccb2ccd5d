"""Store what clients of ListenBrainz report: listens, the track that is playing, feedback, and the state of imports.

Tracks are named by text. A listen of an unknown track waits until the catalogue has it.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid5

from django.utils import timezone

from access.selectors import consent_of_locked_listeners
from importers.cell_parsers import MAX_NAME_LENGTH
from importers.records import ListenRecord
from interactions.bulk import NewInteraction, retry_on_conflict
from interactions.events.playback import SKIP_MS, Playback, derive_playback
from interactions.listenbrainz.msids import find_tracks_by_msid
from interactions.listenbrainz.selectors import find_recordings
from interactions.listenbrainz.track_metadata import describe_names, describe_track
from interactions.models import (
    Interaction,
    InteractionKind,
    LatestImport,
    PlayingNow,
    UnmatchedListen,
)
from interactions.play_reports import LISTEN_SOURCES, make_report
from interactions.preferences.services import ConsentMissing, TargetNotFound, clear_opinion, set_opinion
from interactions.scrobbles import encode_reports, record_scrobbles, record_waiting_listens
from interactions.selectors import count_listeners_of_tracks
from interactions.services import refresh_popular_tracks
from tracks.match_keys import make_match_key
from tracks.matching import TrackQuery, match_tracks
from tracks.models import Track
from tracks.selectors import track_durations

LISTEN_MILESTONE = 50  # percent
EVENT_ID_NAMESPACE = UUID("5ee33b1a-9a8c-5c5f-9d3b-0a3f0b8e5a11")
BATCH_SIZE = 1_000
PLAYING_NOW_LIFETIME = timedelta(minutes=10)  # of a track of unknown length


@dataclass
class IngestReport:
    """How many of the reported listens are new.

    Attributes:
        added: listens that are stored as interactions now.
        known: listens that were stored or waited before, or are further reports of a play in the same batch.
        unmatched: listens that wait from now on, because the catalogue lacks their tracks.
    """

    added: int = 0
    known: int = 0
    unmatched: int = 0


def store_listens(user_id: int, listens: Sequence[ListenRecord], source: str) -> IngestReport:
    """Store each listen once; store nothing if the listener's consent is off or their account is closed.

    Args:
        source: where the listens come from: `LISTENBRAINZ`, or "import:" and the format.
    """
    return retry_on_conflict(lambda: _store_listens(user_id, listens, source))


def _store_listens(user_id: int, listens: Sequence[ListenRecord], source: str) -> IngestReport:
    if not consent_of_locked_listeners([user_id]).get(user_id, False):
        return IngestReport()
    queries = [_track_query(listen) for listen in listens]
    track_ids = _find_tracks(listens, queries)
    durations = track_durations({track_id for track_id in track_ids if track_id is not None})
    scrobbles: list[NewInteraction] = []
    waiting: list[UnmatchedListen] = []
    for listen, query, track_id in zip(listens, queries, track_ids, strict=True):
        event_id = listen_event_id(user_id, listen)
        reports = None
        if listen.time_precision > 1:
            report = make_report(source, listen.device, listen.time, listen.time_precision)
            reports = encode_reports([report], source, listen.device)
        if track_id is not None:
            duration_ms = durations.get(track_id)
            scrobbles.append(_new_interaction(user_id, event_id, listen, track_id, duration_ms, source, reports))
            continue
        waiting.append(
            UnmatchedListen(
                user_id=user_id,
                event_id=event_id,
                listened_at=datetime.fromtimestamp(listen.time, UTC),
                artist=listen.artist[:MAX_NAME_LENGTH],
                title=listen.title[:MAX_NAME_LENGTH],
                match_key=query.match_key,
                isrc=listen.isrc,
                mbid=query.mbid,
                ms_played=listen.ms_played,
                duration_ms=listen.duration_ms,
                end_reason=listen.end_reason,
                device=listen.device,
                context=listen.context,
                source=source,
                reports=reports,
            )
        )
    added = record_scrobbles(user_id, scrobbles, durations)
    unmatched = record_waiting_listens(user_id, waiting)
    return IngestReport(added, len(listens) - added - unmatched, unmatched)


def _track_query(listen: ListenRecord) -> TrackQuery:
    mbid = UUID(str(listen.mbid)) if listen.mbid else None
    return TrackQuery(mbid, listen.isrc, make_match_key(listen.artist, listen.title))


def _find_tracks(listens: Sequence[ListenRecord], queries: Sequence[TrackQuery]) -> list[int | None]:
    """Return the track of each listen: of tracks with the same names, the one that its msid names."""
    by_msid = find_tracks_by_msid({UUID(listen.msid) for listen in listens if listen.msid})
    matches = match_tracks(set(queries), count_listeners_of_tracks)
    return [
        (by_msid.get(UUID(listen.msid)) if listen.msid else None) or matches.get(query)
        for listen, query in zip(listens, queries, strict=True)
    ]


def store_playing_now(user_id: int, listen: ListenRecord) -> str:
    """Store the track that is playing until it ends, and return its msid.

    Nothing is stored if the listener's consent is off or their account is closed.
    """
    [track_id] = _find_tracks([listen], [_track_query(listen)])
    track = Track.objects.select_related("artist", "album").filter(pk=track_id or 0).first()
    if track is None:
        mbid = UUID(listen.mbid) if listen.mbid else None
        metadata = describe_names(listen.artist, listen.title, listen.album, mbid, listen.isrc, listen.duration_ms)
    else:
        metadata = describe_track(track)
    info = metadata["additional_info"]
    if listen.device:
        info["media_player"] = listen.device
    duration_ms = listen.duration_ms or info.get("duration_ms")
    length = timedelta(milliseconds=duration_ms) if duration_ms else PLAYING_NOW_LIFETIME
    row = {"track_metadata": metadata, "expires_at": timezone.now() + length}

    def store() -> None:
        if consent_of_locked_listeners([user_id]).get(user_id, False):
            PlayingNow.objects.update_or_create(user_id=user_id, defaults=row)

    retry_on_conflict(store)
    return str(info["recording_msid"])


class RecordingNotFound(Exception):
    """The catalogue has no track with one of these ids."""


def set_feedback(user_id: int, score: int, msid: UUID | None, mbid: UUID | None) -> None:
    """Like (1) or dislike (-1) a track, or withdraw both (0); do nothing if the listener's consent is off.

    Raises:
        RecordingNotFound: no track of the catalogue has the mbid or the msid.
    """
    track_ids = find_recordings([msid] if msid else [], [mbid] if mbid else [])
    track_id = next((track_ids[recording] for recording in (mbid, msid) if recording in track_ids), None)
    if track_id is None:
        raise RecordingNotFound
    try:
        if score == 0:
            clear_opinion(user_id, track_id, InteractionKind.LIKE)
            clear_opinion(user_id, track_id, InteractionKind.DISLIKE)
        else:
            set_opinion(user_id, track_id, InteractionKind.LIKE if score > 0 else InteractionKind.DISLIKE)
    except ConsentMissing:
        return
    except TargetNotFound as error:
        raise RecordingNotFound from error


def advance_latest_import(user_id: int, service: str, listened_at: datetime) -> None:
    """Store how far a service was imported, unless it was imported further; do nothing if consent is off."""

    def store() -> None:
        if consent_of_locked_listeners([user_id]).get(user_id, False):
            imports = LatestImport.objects.filter(user=user_id, service=service)
            if not imports.filter(listened_at__gte=listened_at).exists():
                LatestImport.objects.update_or_create(
                    user_id=user_id, service=service, defaults={"listened_at": listened_at}
                )

    retry_on_conflict(store)


def match_waiting_listens() -> int:
    """Store the waiting listens whose track the catalogue has now as interactions; return how many were added."""
    added = last_id = 0
    waiting = UnmatchedListen.objects.filter(user__consent=True, user__is_active=True).order_by("pk")
    while ids := list(waiting.filter(pk__gt=last_id).values_list("pk", flat=True)[:BATCH_SIZE]):
        added += retry_on_conflict(partial(_match_waiting_batch, ids))
        last_id = ids[-1]
    if added:
        refresh_popular_tracks()
    return added


def _match_waiting_batch(ids: Collection[int]) -> int:
    waiting = UnmatchedListen.objects.filter(pk__in=ids)
    # The listeners are locked before their listens, in the order of `store_listens`.
    consents = consent_of_locked_listeners(set(waiting.values_list("user_id", flat=True)))
    rows = [row for row in waiting.select_for_update().order_by("pk") if consents.get(row.user_id)]
    queries = [TrackQuery(row.mbid, row.isrc, row.match_key) for row in rows]
    matches = match_tracks(set(queries), count_listeners_of_tracks)
    durations = track_durations(set(matches.values()))
    plays: dict[int, list[NewInteraction]] = defaultdict(list)
    matched_ids: list[int] = []
    for row, query in zip(rows, queries, strict=True):
        if (track_id := matches.get(query)) is None:
            continue
        matched_ids.append(row.pk)
        listen = ListenRecord(
            row.artist,
            row.title,
            int(row.listened_at.timestamp()),
            ms_played=row.ms_played,
            duration_ms=row.duration_ms,
            end_reason=row.end_reason,
            device=row.device,
            context=row.context,
        )
        # The stored event id, because the stored names may have been shortened.
        duration_ms = durations.get(track_id)
        plays[row.user_id].append(
            _new_interaction(row.user_id, row.event_id, listen, track_id, duration_ms, row.source, row.reports)
        )
    added = sum(record_scrobbles(user_id, plays[user_id], durations) for user_id in sorted(plays))
    UnmatchedListen.objects.filter(pk__in=matched_ids).delete()
    return added


def listen_event_id(user_id: int, listen: ListenRecord) -> UUID:
    """Return an id that is the same for the same listen whichever way it arrives, so that it is stored once."""
    return uuid5(EVENT_ID_NAMESPACE, f"{user_id}\0{listen.time}\0{listen.artist}\0{listen.title}")


def derive_listen_playback(listen: ListenRecord, duration_ms: int | None, source: str) -> Playback:
    """Derive how much of the track was heard in one listen.

    As for any playback, the time played and the length of the track decide if both are known. Otherwise a track that
    ended by itself was heard to its end, and a listen from one of `LISTEN_SOURCES` that was not skipped, and of which
    not less than 30 seconds were heard, counts as half of the track.
    """
    if listen.ms_played is not None and duration_ms:
        return derive_playback(listen.ms_played, duration_ms, listen.end_reason)
    playback = derive_playback(listen.ms_played, None, listen.end_reason)
    if listen.end_reason == Interaction.EndReason.FINISHED and (listen.ms_played or 0) >= SKIP_MS:
        return playback._replace(milestone=100, is_completed=True, is_listen=True)
    is_brief = listen.ms_played is not None and listen.ms_played < SKIP_MS
    is_listen = source in LISTEN_SOURCES and listen.end_reason != Interaction.EndReason.SKIPPED and not is_brief
    return playback._replace(milestone=LISTEN_MILESTONE, is_listen=True) if is_listen else playback


def _new_interaction(
    user_id: int,
    event_id: UUID,
    listen: ListenRecord,
    track_id: int,
    duration_ms: int | None,
    source: str,
    reports: list[list[Any]] | None,
) -> NewInteraction:
    return NewInteraction(
        user_id=user_id,
        track_id=track_id,
        kind=Interaction.Kind.PLAY.value,
        played_at=datetime.fromtimestamp(listen.time, UTC),
        source=source,
        event_id=event_id,
        ms_played=listen.ms_played,
        end_reason=listen.end_reason,
        device=listen.device,
        context=listen.context,
        reports=reports,
        **derive_listen_playback(listen, duration_ms or listen.duration_ms, source)._asdict(),
    )
