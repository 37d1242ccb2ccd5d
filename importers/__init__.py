"""Importers of catalogues and plays: `IMPORTERS[name].read(paths, …)` streams records.

To add a format, write a module with an Importer and register it below. Readers of a single listener's history, as
other services export it, are in `importers.histories`.
"""

from __future__ import annotations

from importers import csv_files, hetrec2011, music30, parquet, synthetic, yambda
from importers.errors import BadValue, FormatError
from importers.records import PlayRecord, Record, RefusedRow, TagRecord, TrackRecord
from importers.registry import IMPORTERS, Importer, register_importer

__all__ = [
    "IMPORTERS",
    "BadValue",
    "FormatError",
    "Importer",
    "PlayRecord",
    "Record",
    "RefusedRow",
    "TagRecord",
    "TrackRecord",
    "register_importer",
]

register_importer(hetrec2011.IMPORTER)
register_importer(music30.IMPORTER)
register_importer(csv_files.IMPORTER)
register_importer(parquet.IMPORTER)
register_importer(yambda.IMPORTER)
register_importer(synthetic.IMPORTER)
