"""synthetic: a generated world of music and listeners. Everything is invented; ids begin with `synthetic:`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from importers.records import Record
from importers.registry import Importer
from importers.synthetic.catalogue import generate_catalogue
from importers.synthetic.listeners import generate_listeners
from importers.synthetic.sessions import generate_events
from importers.synthetic.world import SyntheticWorld

__all__ = ["IMPORTER", "SyntheticWorld", "read"]

LAST_DAY = 1_767_225_600  # 2026-01-01; fixed, so that every run generates the same plays
FILE = "synthetic"  # the file that its records name
_REPORT_INTERVAL = 1_000  # plays between two calls of on_bytes
_DEFAULT_WORLD = SyntheticWorld()


def read(
    paths: Sequence[Path],
    *,
    namespace: str,
    as_of: int,
    on_bytes: Callable[[int], None],
    world: SyntheticWorld = _DEFAULT_WORLD,
) -> Iterator[Record]:
    """Yield the catalogue, then for each listener the events of the days before `as_of`.

    The records are equal whenever world, namespace and as_of are. `paths` are ignored, and on_bytes counts plays.
    """
    prefix, rng = f"{namespace}:" if namespace else "", np.random.default_rng(world.seed)
    catalogue = generate_catalogue(world, prefix, rng)
    yield from catalogue.records
    line, unreported = len(catalogue.records), 0
    for listener in generate_listeners(world, catalogue, prefix, rng):
        for event in generate_events(listener, world.days, catalogue, namespace, as_of, rng):
            line += 1
            unreported += event.kind == "play"
            yield event._replace(file=FILE, line=line)
            if unreported >= _REPORT_INTERVAL:
                on_bytes(unreported)
                unreported = 0
    on_bytes(unreported)


IMPORTER = Importer(
    "synthetic",
    read,
    total_bytes=lambda paths: _DEFAULT_WORLD.plays,
    namespace="synthetic",
    as_of=LAST_DAY,
    needs_paths=False,
)
