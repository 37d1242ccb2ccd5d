"""Listeners who play one kind of music in one context, and another kind in another."""

import numpy as np

from engine.data.confidence import DAY_SECONDS, HOUR_SECONDS
from engine.data.play_contexts import DEVICE, PlayContexts, context_code
from engine.data.plays import Plays
from engine.models.als import ALS
from tests.engine.factories import make_config

KINDS, TRACKS_PER_KIND, LISTENERS, DAYS = 4, 20, 120, 10
TRACK_IDS = np.arange(100, 100 + KINDS * TRACKS_PER_KIND)
MONDAY = 1_700_438_400  # 2023-11-20, 00:00 UTC
MORNING, EVENING = 7, 19
LAST_DAYS = MONDAY + 8 * DAY_SECONDS
PHONE, SPEAKER = (context_code(DEVICE, name) for name in ("phone", "speaker"))
CONFIG = make_config(ALS(factors=4, iterations=10))


def kind_of(track_ids: np.ndarray) -> np.ndarray:
    """Return the kind of music of tracks."""
    return (track_ids - TRACK_IDS[0]) // TRACKS_PER_KIND


def tastes(listener: int) -> tuple[int, int]:
    """Return a kind from the first half and one from the second: the favourites of a listener, in their order."""
    first, second = listener % 2, 2 + listener // 2 % 2
    return (first, second) if listener // 4 % 2 else (second, first)


def listening_world(*, at_own_hours: bool = True, seed: int = 1) -> tuple[Plays, PlayContexts]:
    """Return plays of ten days, and the devices they were heard on.

    A listener plays a new track of a favourite kind in the morning and one of the other kind in the evening. Kind 0 is
    played on the speaker, the others on the phone.

    Args:
        at_own_hours: otherwise either may be played at both times.
        seed: of the tracks.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for listener in range(LISTENERS):
        new = {kind: iter(rng.permutation(TRACKS_PER_KIND).tolist()) for kind in tastes(listener)}
        for day in range(DAYS):
            kinds = tastes(listener) if at_own_hours else rng.choice(tastes(listener), 2).tolist()
            for hour, kind in zip((MORNING, EVENING), kinds, strict=True):
                track = int(TRACK_IDS[0]) + kind * TRACKS_PER_KIND + next(new[kind])
                time = MONDAY + day * DAY_SECONDS + hour * HOUR_SECONDS + listener
                rows.append((1000 + listener, track, 1, True, time))
    plays = Plays.from_rows(rows)
    device = np.where(kind_of(plays.track) == 0, SPEAKER, PHONE)
    return plays, PlayContexts(plays.user, plays.track, plays.time, device, np.zeros_like(device))
