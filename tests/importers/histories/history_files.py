"""Files of listeners' own histories, and what the readers make of them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from importers import histories
from importers.records import ListenRecord, RefusedRow

NOW = 1_790_000_000


def archive(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(*paths: Path, format: str = "auto") -> tuple[list[ListenRecord], list[RefusedRow]]:
    records = list(histories.read_history(paths, format, now=NOW))
    listens = [record for record in records if isinstance(record, ListenRecord)]
    return listens, [record for record in records if isinstance(record, RefusedRow)]


def lying_archive(path: Path, size: int) -> Path:
    """A small archive of very many equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made, made.open("listens/2024/1.jsonl", "w") as member:
        block = b" " * (1 << 20)
        for _ in range(size >> 20):
            member.write(block)
    return path


def encrypted(path: Path) -> Path:
    """An archive whose one member says that it is encrypted."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("listens/2024/1.jsonl", "{}")
    data = bytearray(out.getvalue())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(bytes(data))
    return path
