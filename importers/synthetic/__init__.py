"""synthetic: a generated world of music and listeners. Nobody in it exists; every id says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from importers.records import Record
from importers.synthetic.catalogue import build_catalogue
from importers.synthetic.listeners import generate_listeners
from importers.synthetic.sessions import generate_events
from importers.synthetic.size import SyntheticWorld

__all__ = ["AS_OF", "NAMESPACE", "SyntheticWorld", "read", "total_bytes"]

AS_OF = 1_767_225_600  # 2026-01-01: another end of the world would be another world, with other events
NAMESPACE = "synthetic"
FILE = "synthetic"  # what its records name as their file
_REPORT_EVERY = 1_000  # plays between two calls of on_bytes


def read(
    paths: Sequence[Path],
    *,
    namespace: str,
    as_of: int,
    on_bytes: Callable[[int], None],
    world: SyntheticWorld = SyntheticWorld(),  # noqa: B008  (frozen)
) -> Iterator[Record]:
    """The catalogue, then listener by listener what they played in the days before `as_of`; the same for the same
    world, namespace and as_of. paths are ignored; on_bytes counts plays."""
    prefix, rng = f"{namespace}:" if namespace else "", np.random.default_rng(world.seed)
    catalogue = build_catalogue(world, prefix, rng)
    yield from catalogue.records
    number, reported = len(catalogue.records), 0
    done = 0
    for listener in generate_listeners(world, catalogue, prefix, rng):
        for event in generate_events(listener, world.days, catalogue, namespace, as_of, rng):
            number += 1
            done += event.kind == "play"
            yield event._replace(file=FILE, line=number)
            if done - reported >= _REPORT_EVERY:
                on_bytes(done - reported)
                reported = done
    on_bytes(done - reported)


def total_bytes(paths: Sequence[Path], world: SyntheticWorld = SyntheticWorld()) -> int:  # noqa: B008  (frozen)
    """The plays of the world, as on_bytes counts them."""
    return world.plays
