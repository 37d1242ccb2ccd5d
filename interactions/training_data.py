"""Read interactions as columns of numbers for training."""

from array import array
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

import numpy as np
from django.db.models import BigIntegerField, Case, Max, Min, Q, When
from django.db.models.functions import Cast

from access.models import User
from common.database_columns import ITERATOR_ROWS, UnixSeconds, read_columns
from engine.data.play_contexts import ACTIVITY, DEVICE, PlayContexts, context_code
from engine.data.plays import Plays
from interactions.models import Interaction
from interactions.selectors import BY_CONSENTING_LISTENER, CONSENTING, HEARD, QUALIFIED, signal_expression
from interactions.taste.sliders import load_sliders_by_listener, weigh_plays

CHUNK_ROWS = 500_000
MAX_CONTEXT_PLAYS = 1_000_000  # the newest, whose device or activity is learnt from
# The bits of the fourth column: four for the signal, one for a qualified and one for a shuffled play, and the number of
# plays above them.
SIGNAL_MASK = 0b1111
QUALIFIED_BIT = 0b10000
SHUFFLED_BIT = 0b100000
PLAYS_SHIFT = 6


def iter_play_chunks(rows: int = CHUNK_ROWS) -> Iterator[Plays]:
    """Yield the interactions of consenting listeners that are not left out, in the order of their primary keys.

    The listeners' sliders weight them. Each chunk is read by its own query, so that memory is needed for one chunk and
    not for the table; it holds what the table contained at that moment.

    Args:
        rows: the largest number of interactions of a chunk.
    """
    span = Interaction.objects.aggregate(first=Min("pk"), last=Max("pk"))
    if span["first"] is None:
        return
    sliders = load_sliders_by_listener()
    excluded = np.fromiter(User.objects.exclude(CONSENTING).values_list("pk", flat=True).iterator(), np.int64)
    for first in range(span["first"], span["last"] + 1, rows):
        chunk = read_plays_between(first, first + rows - 1)
        if sliders:
            chunk = replace(chunk, weight=weigh_plays(chunk.user, chunk.track, sliders))
        if len(chunk):
            yield chunk.where(~np.isin(chunk.user, excluded)) if len(excluded) else chunk


def load_play_contexts() -> PlayContexts:
    """Return the newest plays whose device or context is known, as far as recommenders may learn from them."""
    known = Interaction.objects.filter(HEARD, BY_CONSENTING_LISTENER, ~Q(device="") | ~Q(context=""), plays=1)
    columns = ("user_id", "track_id", UnixSeconds("played_at"), "device", "context")
    rows = known.order_by("-played_at", "-pk").values_list(*columns)[:MAX_CONTEXT_PLAYS]
    code = lru_cache(maxsize=None)(context_code)
    numbers = array("q")
    for user, track, time, device, context in rows.iterator(chunk_size=ITERATOR_ROWS):
        numbers.extend((user, track, time, code(DEVICE, device), code(ACTIVITY, context)))
    return PlayContexts(*np.frombuffer(numbers, np.int64).reshape(-1, 5).T.copy())


def read_plays_between(first: int, last: int) -> Plays:
    """Read the interactions with ids from `first` to `last` that are not left out.

    Those of listeners without consent are among them.
    """
    # Listener, track, time, and all else in one number, since each column costs as much as a whole row.
    plays = Cast("plays", BigIntegerField()) * (1 << PLAYS_SHIFT)
    flags = Case(When(QUALIFIED, then=QUALIFIED_BIT), default=0) + Case(
        When(shuffled=True, then=SHUFFLED_BIT), default=0
    )
    other = plays + flags + signal_expression()
    chunk = Interaction.objects.filter(pk__gte=first, pk__lte=last, left_out=False).order_by("pk")
    columns = [("user_id", int), ("track_id", int), ("played_at", datetime), (other, int)]
    user, track, time, packed = read_columns(chunk, columns)
    return Plays(
        user,
        track,
        (packed >> PLAYS_SHIFT).astype(np.float32),
        (packed & QUALIFIED_BIT) > 0,
        time,
        (packed & SIGNAL_MASK).astype(np.int8),
        (packed & SHUFFLED_BIT) > 0,
    )
