"""The files of an upload: the upload itself, or the members of a zip archive, which are read without unpacking it."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from importers.delimited_text import BLOCK_SIZE
from importers.errors import FormatError

MAX_MEMBERS = 10_000
MAX_UNPACKED_SIZE = 4 << 30  # bytes of all members
MAX_COMPRESSION_RATIO = 100  # unpacked to packed size; histories reach about 30
_UNCHECKED_SIZE = 64 << 20  # bytes; an archive that unpacks to less may have any compression ratio
_ENCRYPTED = 1  # flag of a member
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


class HistoryFile(NamedTuple):
    """A file with listens.

    Attributes:
        path: the uploaded file or archive.
        member: the name of the file within the archive; "" if the upload is the file.
        size: bytes, unpacked.
    """

    path: Path
    member: str
    size: int

    @property
    def name(self) -> str:
        return self.member or self.path.name

    def __str__(self) -> str:
        return f"{self.path.name}: {self.member}" if self.member else self.path.name


def list_files(path: Path) -> list[HistoryFile]:
    """Return the file itself or, for an archive, its members in the order of their names.

    Raises:
        FormatError: the file cannot be opened, or the archive is too large, encrypted or malicious.
    """
    try:
        if not zipfile.is_zipfile(path):
            return [HistoryFile(path, "", path.stat().st_size)]
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except _READ_ERRORS as error:
        raise FormatError(f"{path.name}: cannot be opened ({error}); download the export again") from error
    _check_members(path, members)
    return sorted(HistoryFile(path, member.filename, member.file_size) for member in members)


def read_blocks(file: HistoryFile, on_bytes: Callable[[int], None] = lambda n: None) -> Iterator[bytes]:
    """Yield the content of a file in blocks, unpacked. Raises FormatError if it is damaged."""
    try:
        with ExitStack() as stack:
            if file.member:
                archive = stack.enter_context(zipfile.ZipFile(file.path))
                stream = stack.enter_context(archive.open(file.member))
            else:
                stream = stack.enter_context(file.path.open("rb"))
            while block := stream.read(BLOCK_SIZE):
                yield block
                on_bytes(len(block))
    except _READ_ERRORS as error:
        raise FormatError(f"{file}: cannot be read ({error}); download the export again") from error


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise FormatError(f"{path.name}: has {len(members):,} files; an export has at most {MAX_MEMBERS:,}")
    for member in members:
        # Nothing is unpacked to disk, so such a name does no harm here, but no service exports it.
        if member.filename.startswith(("/", "\\")) or ".." in member.filename.replace("\\", "/").split("/"):
            raise FormatError(f"{path.name}: contains a path outside of the archive; give the original export")
        if member.flag_bits & _ENCRYPTED:
            raise FormatError(f"{path.name}: is encrypted; unpack it and give the files")
    unpacked, packed = sum(member.file_size for member in members), path.stat().st_size
    if unpacked > MAX_UNPACKED_SIZE or unpacked > max(_UNCHECKED_SIZE, MAX_COMPRESSION_RATIO * packed):
        raise FormatError(
            f"{path.name}: would unpack to {unpacked:,} bytes, {unpacked // max(1, packed):,} times its size; "
            "unpack it and give the files"
        )
