"""The files of an upload: the upload itself, or the members of a zip archive, which are read without unpacking it."""

from __future__ import annotations

import codecs
import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from importers.delimited_text import BLOCK_SIZE
from importers.errors import FormatError

MAX_MEMBERS = 10_000
MAX_UNPACKED_SIZE = 4 << 30  # bytes of all members
MAX_COMPRESSION_RATIO = 100  # unpacked to packed size; histories reach about 30
_UNCHECKED_SIZE = 64 << 20  # bytes; an archive that unpacks to less may have any compression ratio
_ENCRYPTED = 1  # flag of a member
_GZIP = b"\x1f\x8b"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SYSTEM_FILES = frozenset(("__macosx", ".ds_store", "thumbs.db", "desktop.ini"))
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


class HistoryFile(NamedTuple):
    """A file that may hold listens.

    Attributes:
        path: the file or archive on disk.
        member: the name of the file within the archive; "" if it is the file on disk.
        size: bytes, unpacked.
        label: the name of the file on disk, for reports.
        open: opens the file for reading. An archive stays open as long as a file of it is referenced, because opening
            one with many members takes a tenth of a second.
    """

    path: Path
    member: str
    size: int
    label: str
    open: Callable[[], IO[bytes] | gzip.GzipFile]

    def __str__(self) -> str:
        return f"{self.label}: {self.member}" if self.member else self.label


def list_files(path: Path, label: str) -> list[HistoryFile]:
    """Return the file itself or, for an archive, its members in the order of their names.

    The files that operating systems add to archives are left out.

    Raises:
        FormatError: the file cannot be opened, or the archive is too large, encrypted or malicious.
    """
    try:
        with path.open("rb") as file:
            is_gzipped = file.read(2) == _GZIP
        if is_gzipped:
            return [HistoryFile(path, "", _measure_gzip(path, label), label, lambda: gzip.open(path))]
        if not zipfile.is_zipfile(path):
            return [HistoryFile(path, "", path.stat().st_size, label, lambda: path.open("rb"))]
        archive = zipfile.ZipFile(path)  # see HistoryFile.open
        members = [member for member in archive.infolist() if not member.is_dir()]
    except _READ_ERRORS as error:
        raise FormatError(f"{label}: cannot be opened ({error}); download the export again") from error
    _check_members(path, label, members)
    return [
        HistoryFile(path, member.filename, member.file_size, label, partial(archive.open, member))
        for member in sorted(members, key=lambda member: member.filename)
        if not is_system_file(member.filename)
    ]


def is_system_file(name: str) -> bool:
    """Return whether an operating system has made this file, as Finder does when it compresses a folder."""
    parts = name.lower().replace("\\", "/").split("/")
    return any(part in _SYSTEM_FILES or part.startswith("._") for part in parts)


def read_blocks(file: HistoryFile, on_bytes: Callable[[int], None] = lambda n: None) -> Iterator[bytes]:
    """Yield the content of a file in blocks, unpacked, and in UTF-8 if it is UTF-16.

    Raises:
        FormatError: the file is damaged. The blocks before the damage are yielded first.
    """
    decoder: codecs.IncrementalDecoder | None = None
    is_first = True
    try:
        with file.open() as stream:
            while block := stream.read(BLOCK_SIZE):
                if is_first and block.startswith(_UTF_16):
                    decoder = codecs.getincrementaldecoder("utf-16")("replace")
                is_first = False
                yield decoder.decode(block).encode() if decoder else block
                on_bytes(len(block))
    except _READ_ERRORS as error:
        raise FormatError(f"{file}: cannot be read ({error}); download the export again") from error


def read_beginning(file: HistoryFile, length: int) -> bytes:
    """Return the first bytes of a file, or those before its damage. Raises FormatError if there are none."""
    beginning = b""
    try:
        for block in read_blocks(file):
            beginning += block
            if len(beginning) >= length:
                break
    except FormatError:
        if not beginning:
            raise
    return beginning[:length]


def _measure_gzip(path: Path, label: str) -> int:
    """Return the unpacked size of a file. Only unpacking it tells."""
    size, limit = 0, min(MAX_UNPACKED_SIZE, max(_UNCHECKED_SIZE, MAX_COMPRESSION_RATIO * path.stat().st_size))
    with gzip.open(path) as file:
        while block := file.read(1 << 20):
            size += len(block)
            if size > limit:
                raise FormatError(f"{label}: would unpack to more than {limit:,} bytes; unpack it and give the file")
    return size


def _check_members(path: Path, label: str, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise FormatError(f"{label}: has {len(members):,} files; an export has at most {MAX_MEMBERS:,}")
    for member in members:
        # Nothing is unpacked to disk, so such a name does no harm here, but no service exports it.
        if member.filename.startswith(("/", "\\")) or ".." in member.filename.replace("\\", "/").split("/"):
            raise FormatError(f"{label}: contains a path outside of the archive; give the original export")
        if member.flag_bits & _ENCRYPTED:
            raise FormatError(f"{label}: is encrypted; unpack it and give the files")
    unpacked, packed = sum(member.file_size for member in members), path.stat().st_size
    if unpacked > MAX_UNPACKED_SIZE or unpacked > max(_UNCHECKED_SIZE, MAX_COMPRESSION_RATIO * packed):
        raise FormatError(
            f"{label}: would unpack to {unpacked:,} bytes, {unpacked // max(1, packed):,} times its size; "
            "unpack it and give the files"
        )
