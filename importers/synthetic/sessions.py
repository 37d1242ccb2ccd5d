"""The behaviour of the listeners of a synthetic world: sessions with plays, skips and likes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from importers.records import PlayRecord, play_event_id
from importers.synthetic.catalogue import SyntheticCatalogue
from importers.synthetic.listeners import DAYPARTS, SyntheticListener

DAY = 86_400  # seconds
_DAYPART_HOURS = ((6, 10), (10, 17), (17, 22), (22, 30))  # UTC; 30 is six in the morning
_MEAN_SESSION_LENGTH = 12  # plays
_CONTEXTS, _CONTEXT_SHARES = ("album", "playlist", "radio", "search"), (0.25, 0.4, 0.2, 0.15)
_DEVICES = (("phone", "car", "speaker"), ("desktop", "phone"), ("speaker", "phone", "tv"), ("phone", "speaker"))
_MAX_SKIP_MS = 30_000
_MILESTONE_STEP = 25  # percent


class SyntheticSession(NamedTuple):
    """A series of plays without a break.

    Attributes:
        start: UNIX seconds.
        daypart: an index of DAYPARTS.
        plays: the number of plays.
    """

    name: str
    start: int
    daypart: int
    plays: int
    device: str
    context: str


def generate_sessions(
    listener: SyntheticListener, days: int, as_of: int, rng: np.random.Generator
) -> list[SyntheticSession]:
    """Return the listener's sessions in the `days` before `as_of`, in order of time, with `listener.plays` in all."""
    lengths: list[int] = []
    while (remaining := listener.plays - sum(lengths)) > 0:
        lengths.append(min(remaining, int(rng.geometric(1 / _MEAN_SESSION_LENGTH))))
    today = as_of // DAY
    # The last session starts the day before yesterday, so that it has ended even if it starts late and is long.
    dates = np.arange(min(today - days + 1, today - 2), today - 1)
    is_weekend = (dates + 3) % 7 >= 5  # day 0 of UNIX time was a Thursday
    date_weights = np.where(is_weekend, listener.weekend_weight, 1.0)
    session_dates = rng.choice(dates, size=len(lengths), p=date_weights / date_weights.sum())
    dayparts = rng.choice(len(DAYPARTS), size=len(lengths), p=listener.daypart_shares)
    starts = [
        int(date * DAY + 3600 * rng.uniform(*_DAYPART_HOURS[daypart]))
        for date, daypart in zip(session_dates, dayparts, strict=True)
    ]
    order = np.argsort(starts, kind="stable")
    return [
        SyntheticSession(
            name=f"{listener.name.rpartition(':')[2]}-{number:04}",
            start=starts[row],
            daypart=int(dayparts[row]),
            plays=length,
            device=str(rng.choice(_DEVICES[dayparts[row]])),
            context=str(rng.choice(_CONTEXTS, p=_CONTEXT_SHARES)),
        )
        for number, (row, length) in enumerate(zip(order.tolist(), lengths, strict=True), 1)
    ]


def generate_events(
    listener: SyntheticListener,
    days: int,
    catalogue: SyntheticCatalogue,
    namespace: str,
    as_of: int,
    rng: np.random.Generator,
) -> Iterator[PlayRecord]:
    """Yield the listener's plays in order of time, each like after the play that caused it; none after `as_of`."""
    clock, liked_tracks = 0, set[int]()
    for session in generate_sessions(listener, days, as_of, rng):
        clock = max(clock + 60, session.start)
        tracks = _choose_tracks(listener, session, catalogue, rng)
        for track, like_draw in zip(tracks, rng.random(session.plays), strict=True):
            taste, duration_ms = float(listener.taste[track]), int(catalogue.duration_ms[track])
            ms_played = _draw_ms_played(taste, duration_ms, rng)
            time, external_id = min(clock, as_of - 1), catalogue.records[track].external_id
            play = PlayRecord(
                user=listener.name,
                track=external_id,
                time=time,
                ms_played=ms_played,
                milestone=100 * ms_played // duration_ms // _MILESTONE_STEP * _MILESTONE_STEP,
                is_completed=ms_played == duration_ms,
                session=session.name,
                device=session.device,
                context=session.context,
                event_id=play_event_id(namespace, listener.name, external_id, time, "play"),
            )
            yield play
            like_probability = listener.like_rate * (1.0 if taste > 0.1 else 0.1)
            if play.is_completed and track not in liked_tracks and like_draw < like_probability:
                liked_tracks.add(track)
                like_time = min(clock + ms_played // 2000, as_of)  # half way through the track
                yield play._replace(
                    time=like_time,
                    kind="like",
                    ms_played=None,
                    milestone=0,
                    is_completed=False,
                    event_id=play_event_id(namespace, play.user, play.track, like_time, "like"),
                )
            clock += ms_played // 1000 + 1


def _choose_tracks(
    listener: SyntheticListener, session: SyntheticSession, catalogue: SyntheticCatalogue, rng: np.random.Generator
) -> list[int]:
    """Return indices of tracks, drawn by taste and daypart.

    In an album session the tracks after a drawn one follow, up to the end of its album.
    """
    draws = np.searchsorted(listener.cumulative_odds[session.daypart], rng.random(session.plays))
    draws = np.minimum(draws, len(catalogue.album) - 1).tolist()  # rounding can leave the last sum below 1
    if session.context != "album":
        return [int(track) for track in draws]
    tracks: list[int] = []
    for track in draws:
        next_track = tracks[-1] + 1 if tracks else 0
        continues_album = (
            0 < next_track < len(catalogue.album) and catalogue.album[next_track] == catalogue.album[tracks[-1]]
        )
        tracks.append(next_track if continues_album else int(track))
    return tracks


def _draw_ms_played(taste: float, duration_ms: int, rng: np.random.Generator) -> int:
    """Return milliseconds: a skip under 30 s, a part, or the whole track. Tracks of little taste are skipped more."""
    skip_probability = 0.07 + 0.4 * float(np.exp(-12 * taste))
    draw = rng.random()
    if draw < skip_probability:
        return int(rng.integers(2_000, min(_MAX_SKIP_MS, duration_ms)))
    return int(duration_ms * rng.uniform(0.3, 0.97)) if draw < skip_probability + 0.1 else duration_ms
