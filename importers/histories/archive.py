"""What an upload is made of: one file, or the files in an archive, which are read where they are and never unpacked."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from importers.errors import FormatError
from importers.text_lines import BLOCK

MAX_MEMBERS = 10_000
MAX_UNPACKED = 4 << 30  # bytes of all members
MAX_RATIO = 100  # unpacked to packed; histories reach about 30
_SMALL = 64 << 20  # below it the ratio does not matter
_ENCRYPTED = 1
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


class HistoryFile(NamedTuple):
    """member: its name in the archive `path`, "" where the file itself is meant · size: bytes, unpacked."""

    path: Path
    member: str
    size: int

    @property
    def name(self) -> str:
        return self.member or self.path.name

    def __str__(self) -> str:
        return f"{self.path.name}: {self.member}" if self.member else self.path.name


def list_files(path: Path) -> list[HistoryFile]:
    """The file, or, of an archive, the files in it by name. Raises FormatError."""
    try:
        if not zipfile.is_zipfile(path):
            return [HistoryFile(path, "", path.stat().st_size)]
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except _DAMAGE as error:
        raise FormatError(f"{path.name}: cannot be opened ({error}); is it complete?") from error
    _check(path, members)
    return sorted(HistoryFile(path, member.filename, member.file_size) for member in members)


def read_blocks(part: HistoryFile, on_bytes: Callable[[int], None] = lambda n: None) -> Iterator[bytes]:
    """Its bytes, unpacked, some at a time. Raises FormatError where it is damaged."""
    try:
        with ExitStack() as opened:
            if part.member:
                archive = opened.enter_context(zipfile.ZipFile(part.path))
                file = opened.enter_context(archive.open(part.member))
            else:
                file = opened.enter_context(part.path.open("rb"))
            while block := file.read(BLOCK):
                yield block
                on_bytes(len(block))
    except _DAMAGE as error:
        raise FormatError(f"{part}: cannot be read ({error}); is it complete?") from error


def _check(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Nothing is unpacked, so no name could do harm; an archive that tries is no export all the same."""
    if len(members) > MAX_MEMBERS:
        raise FormatError(f"{path.name}: has {len(members):,} files; an export has at most {MAX_MEMBERS:,}")
    for member in members:
        if member.filename.startswith(("/", "\\")) or ".." in member.filename.replace("\\", "/").split("/"):
            raise FormatError(f"{path.name}: names a file outside of itself; this is no export")
        if member.flag_bits & _ENCRYPTED:
            raise FormatError(f"{path.name}: is encrypted; unpack it and give the files")
    unpacked, packed = sum(m.file_size for m in members), path.stat().st_size
    if unpacked > MAX_UNPACKED or unpacked > max(_SMALL, MAX_RATIO * packed):
        raise FormatError(
            f"{path.name}: would unpack to {unpacked:,} bytes, {unpacked // max(1, packed):,} times its size; "
            "unpack it and give the files"
        )
