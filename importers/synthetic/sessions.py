"""What a listener of the synthetic world plays: sessions, and in them plays, skips and likes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from importers.play_signals import play_event_id
from importers.records import PlayRecord
from importers.synthetic.catalogue import SyntheticCatalogue
from importers.synthetic.listeners import DAYPARTS, SyntheticListener

DAY = 86_400  # seconds
_HOURS = ((6, 10), (10, 17), (17, 22), (22, 30))  # UTC, of each daypart; 30 is six in the morning
_SESSION = 12  # plays of a typical session
_CONTEXTS, _CONTEXT_SHARES = ("album", "playlist", "radio", "search"), (0.25, 0.4, 0.2, 0.15)
_DEVICES = (("phone", "car", "speaker"), ("desktop", "phone"), ("speaker", "phone", "tv"), ("phone", "speaker"))
_SKIPPED_BELOW = 30_000  # ms
_STEP = 25  # percent, in which milestones are counted


class SyntheticSession(NamedTuple):
    """start: UNIX seconds · daypart: row of DAYPARTS · plays: how many."""

    name: str
    start: int
    daypart: int
    plays: int
    device: str
    context: str


def generate_sessions(
    listener: SyntheticListener, days: int, as_of: int, rng: np.random.Generator
) -> list[SyntheticSession]:
    """In the order of time, `listener.plays` in all, from `days` before `as_of` on."""
    sizes: list[int] = []
    while (left := listener.plays - sum(sizes)) > 0:
        sizes.append(min(left, int(rng.geometric(1 / _SESSION))))
    today = as_of // DAY
    dates = np.arange(min(today - days + 1, today - 2), today - 1)  # what begins late on the last one has yet ended
    weights = np.where((dates + 3) % 7 >= 5, listener.weekend, 1.0)  # day 0 of UNIX time was a Thursday
    drawn = rng.choice(dates, size=len(sizes), p=weights / weights.sum())
    parts = rng.choice(len(DAYPARTS), size=len(sizes), p=listener.dayparts)
    starts = [int(date * DAY + 3600 * rng.uniform(*_HOURS[part])) for date, part in zip(drawn, parts, strict=True)]
    order = np.argsort(starts, kind="stable")
    return [
        SyntheticSession(
            name=f"{listener.name.rpartition(':')[2]}-{number:04}",
            start=starts[row],
            daypart=int(parts[row]),
            plays=size,
            device=str(rng.choice(_DEVICES[parts[row]])),
            context=str(rng.choice(_CONTEXTS, p=_CONTEXT_SHARES)),
        )
        for number, (row, size) in enumerate(zip(order.tolist(), sizes, strict=True), 1)
    ]


def generate_events(
    listener: SyntheticListener,
    days: int,
    catalogue: SyntheticCatalogue,
    namespace: str,
    as_of: int,
    rng: np.random.Generator,
) -> Iterator[PlayRecord]:
    """Plays in the order of time, each like right after the play that brought it about. Never after `as_of`."""
    clock, liked = 0, set[int]()
    for session in generate_sessions(listener, days, as_of, rng):
        clock = max(clock + 60, session.start)
        for track, chance in zip(_choose(listener, session, catalogue, rng), rng.random(session.plays), strict=True):
            heard = _heard_ms(float(listener.taste[track]), int(catalogue.duration_ms[track]), rng)
            play = _play(listener.name, track, min(clock, as_of - 1), heard, session, catalogue, namespace)
            yield play
            pleased = listener.likes * (1.0 if listener.taste[track] > 0.1 else 0.1)
            if play.is_completed and track not in liked and chance < pleased:
                liked.add(track)
                yield _like(play, namespace, min(clock + heard // 2000, as_of))
            clock += heard // 1000 + 1


def _choose(
    listener: SyntheticListener, session: SyntheticSession, catalogue: SyntheticCatalogue, rng: np.random.Generator
) -> list[int]:
    """Rows of tracks: by taste and daypart; in an album session each album from there to its end."""
    drawn = np.searchsorted(listener.odds[session.daypart], rng.random(session.plays))
    drawn = np.minimum(drawn, len(catalogue.album) - 1).tolist()
    if session.context != "album":
        return [int(track) for track in drawn]
    chosen: list[int] = []
    for track in drawn:
        following = chosen[-1] + 1 if chosen else 0
        goes_on = 0 < following < len(catalogue.album) and catalogue.album[following] == catalogue.album[chosen[-1]]
        chosen.append(following if goes_on else int(track))
    return chosen


def _heard_ms(taste: float, duration_ms: int, rng: np.random.Generator) -> int:
    """A skip under 30 s, a part, or the whole of it; the less it is to the listener's taste the more often skipped."""
    skip = 0.07 + 0.4 * float(np.exp(-12 * taste))
    chance = rng.random()
    if chance < skip:
        return int(rng.integers(2_000, min(_SKIPPED_BELOW, duration_ms)))
    return int(duration_ms * rng.uniform(0.3, 0.97)) if chance < skip + 0.1 else duration_ms


def _play(
    user: str, row: int, time: int, heard: int, session: SyntheticSession, catalogue: SyntheticCatalogue, namespace: str
) -> PlayRecord:
    duration, track = int(catalogue.duration_ms[row]), catalogue.records[row].external_id
    return PlayRecord(
        user=user,
        track=track,
        time=time,
        ms_played=heard,
        milestone=100 * heard // duration // _STEP * _STEP,
        is_completed=heard == duration,
        session=session.name,
        device=session.device,
        context=session.context,
        event_id=play_event_id(namespace, user, track, time, "play"),
    )


def _like(play: PlayRecord, namespace: str, time: int) -> PlayRecord:
    return play._replace(
        time=time,
        kind="like",
        ms_played=None,
        milestone=0,
        is_completed=False,
        event_id=play_event_id(namespace, play.user, play.track, time, "like"),
    )
