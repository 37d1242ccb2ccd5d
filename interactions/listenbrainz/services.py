"""Listens of tracks that a client knows by name: found in the catalogue and kept, or kept until they can be found."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid5

from access.selectors import consent_by_user_id
from importers.cell_parsers import MAX_NAME_LENGTH
from importers.records import ListenRecord
from interactions.bulk import NewInteraction, insert_interactions, retry_on_conflict
from interactions.events.playback import SKIP_MS, Playback, derive_playback
from interactions.models import Interaction, PopularTrack, UnmatchedListen
from interactions.services import refresh_popular_tracks
from tracks.match_keys import match_key
from tracks.matching import TrackQuery, match_tracks
from tracks.selectors import track_durations

LISTENBRAINZ = "listenbrainz"
COUNTED = frozenset({LISTENBRAINZ, "import:listenbrainz", "import:lastfm"})  # sources that send listens only
LISTEN_MILESTONE = 50  # percent: what a listen says at least, by the rule of those sources
_EVENTS = UUID("5ee33b1a-9a8c-5c5f-9d3b-0a3f0b8e5a11")
_AT_ONCE = 1_000  # rows of a statement or a look


@dataclass
class IngestReport:
    """What became of listens. known: there already · unmatched: of tracks that the catalogue does not have."""

    added: int = 0
    known: int = 0
    unmatched: int = 0


def listen_event_id(user_id: int, listen: ListenRecord) -> UUID:
    """The same for the same listen, whichever way it comes, so that it is kept once."""
    return uuid5(_EVENTS, f"{user_id}\0{listen.time}\0{listen.artist}\0{listen.title}")


def store_listens(user_id: int, listens: Sequence[ListenRecord], source: str) -> IngestReport:
    """Each once. Of a listener whose consent is off, or whose account is closed, nothing is kept."""
    return retry_on_conflict(partial(_keep, user_id, listens, source))


def match_waiting_listens() -> int:
    """Turn the listens that waited for their track into interactions, each once; gives how many."""
    added = last = 0
    agreed = UnmatchedListen.objects.filter(user__consent=True, user__is_active=True).order_by("pk")
    while ids := list(agreed.filter(pk__gt=last).values_list("pk", flat=True)[:_AT_ONCE]):
        added += retry_on_conflict(partial(_match, ids))
        last = ids[-1]
    if added:
        refresh_popular_tracks()
    return added


def derive_listen_playback(listen: UnmatchedListen | ListenRecord, duration_ms: int | None, source: str) -> Playback:
    """What a listen says. Where both its time and the track's length are known, that decides, as for any playback.
    Else a source that sends listens only has seen half of it or four minutes; and who let a track end has heard it."""
    if listen.ms_played is None or not duration_ms:
        told = derive_playback(listen.ms_played, None, listen.end_reason)
        if listen.end_reason == Interaction.EndReason.FINISHED and (listen.ms_played or 0) >= SKIP_MS:
            return told._replace(milestone=100, is_completed=True, is_listen=True)
        return told._replace(milestone=LISTEN_MILESTONE, is_listen=True) if source in COUNTED else told
    return derive_playback(listen.ms_played, duration_ms, listen.end_reason)


def _keep(user_id: int, listens: Sequence[ListenRecord], source: str) -> IngestReport:
    if not consent_by_user_id([user_id]).get(user_id, False):
        return IngestReport()
    sought = {listen: _sought(listen.mbid, listen.isrc, listen.artist, listen.title) for listen in listens}
    found = match_tracks(set(sought.values()), _listeners)
    waiting, rows = [], []
    lengths = track_durations(set(found.values()))
    for listen, wanted in sought.items():
        if (track := found.get(wanted)) is None:
            waiting.append(_waiting(user_id, listen, wanted, source))
        else:
            rows.append(_row(user_id, listen, track, lengths.get(track), source))
    added = insert_interactions(rows)
    _wait(waiting)
    return IngestReport(added, len(rows) - added, len(waiting))


def _sought(mbid: str | UUID | None, isrc: str, artist: str, title: str) -> TrackQuery:
    return TrackQuery(UUID(str(mbid)) if mbid else None, isrc, match_key(artist, title))


def _listeners(tracks: Collection[int]) -> Mapping[int, int]:
    return dict(PopularTrack.objects.filter(pk__in=tracks).values_list("pk", "listeners"))


def _row(user_id: int, listen: ListenRecord, track_id: int, duration_ms: int | None, source: str) -> NewInteraction:
    said = derive_listen_playback(listen, duration_ms or listen.duration_ms, source)
    return NewInteraction(
        user_id=user_id,
        track_id=track_id,
        kind=Interaction.Kind.PLAY.value,
        played_at=datetime.fromtimestamp(listen.time, UTC),
        plays=1,
        ms_played=listen.ms_played,
        milestone=said.milestone,
        is_completed=said.is_completed,
        session_id="",
        device=listen.device,
        context=listen.context,
        source=source,
        event_id=listen_event_id(user_id, listen),
        end_reason=listen.end_reason,
        is_skip=said.is_skip,
        is_listen=said.is_listen,
    )


def _waiting(user_id: int, listen: ListenRecord, wanted: TrackQuery, source: str) -> UnmatchedListen:
    return UnmatchedListen(
        user_id=user_id,
        event_id=listen_event_id(user_id, listen),
        listened_at=datetime.fromtimestamp(listen.time, UTC),
        artist=listen.artist[:MAX_NAME_LENGTH],
        title=listen.title[:MAX_NAME_LENGTH],
        match_key=wanted.match_key,
        isrc=listen.isrc,
        mbid=wanted.mbid,
        ms_played=listen.ms_played,
        duration_ms=listen.duration_ms,
        end_reason=listen.end_reason,
        device=listen.device,
        context=listen.context,
        source=source,
    )


def _wait(listens: Iterable[UnmatchedListen]) -> None:
    ordered = sorted(listens, key=lambda listen: listen.event_id)  # as `insert_interactions` does, and for its reason
    UnmatchedListen.objects.bulk_create(ordered, batch_size=_AT_ONCE, ignore_conflicts=True)


def _match(ids: Collection[int]) -> int:
    agreed = UnmatchedListen.objects.filter(user__consent=True, user__is_active=True, pk__in=ids).order_by("pk")
    waiting = list(agreed.select_for_update())
    sought = {listen.pk: TrackQuery(listen.mbid, listen.isrc, listen.match_key) for listen in waiting}
    found = match_tracks(set(sought.values()), _listeners)
    matched = [(listen, found[sought[listen.pk]]) for listen in waiting if sought[listen.pk] in found]
    lengths = track_durations({track for _, track in matched})
    added = insert_interactions([_row_of(listen, track, lengths.get(track)) for listen, track in matched])
    UnmatchedListen.objects.filter(pk__in=[listen.pk for listen, _ in matched]).delete()
    return added


def _row_of(waiting: UnmatchedListen, track_id: int, duration_ms: int | None) -> NewInteraction:
    listen = ListenRecord(
        waiting.artist,
        waiting.title,
        int(waiting.listened_at.timestamp()),
        ms_played=waiting.ms_played,
        duration_ms=waiting.duration_ms,
        end_reason=waiting.end_reason,
        device=waiting.device,
        context=waiting.context,
    )
    row = _row(waiting.user_id, listen, track_id, duration_ms, waiting.source)
    return row._replace(event_id=waiting.event_id)  # names may have been cut here
