"""Write files of listening histories, and read them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from importers import histories
from importers.records import ListenRecord, RefusedRow

NOW = 1_790_000_000


def archive(path: Path, members: dict[str, str | bytes]) -> Path:
    """Write a zip archive with these members, and return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def write(folder: Path, name: str, content: Any) -> Path:
    """Write text, bytes, or anything else as JSON, and return the path."""
    path = folder / name
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def detect_format(path: Path) -> str:
    """Return the format of a file, or of the first file with listens."""
    return histories.select_files([path]).files[0].importer.name


def read(*paths: Path, format: str = "auto") -> tuple[list[ListenRecord], list[RefusedRow]]:
    """Return the listens and the refused rows of the files."""
    records = [record for selected in histories.select_files(paths, format).files for record in selected.read(NOW)]
    listens = [record for record in records if isinstance(record, ListenRecord)]
    return listens, [record for record in records if isinstance(record, RefusedRow)]


def highly_compressed_archive(path: Path, size: int) -> Path:
    """Write a small archive that unpacks to `size` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened, opened.open("listens/2024/1.jsonl", "w") as member:
        block = b" " * (1 << 20)
        for _ in range(size >> 20):
            member.write(block)
    return path


def encrypted_archive(path: Path) -> Path:
    """Write an archive whose only member is marked as encrypted."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("listens/2024/1.jsonl", "{}")
    data = bytearray(buffer.getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(bytes(data))
    return path
