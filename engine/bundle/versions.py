"""The folder of versions. Data first, pointer last: replacing `current.json` is the one moment of change."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.bundle.files import UnsupportedFormat, read_bundle, read_manifest, write_bundle, write_json
from engine.bundle.index_files import IndexConfig
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.npz import DamagedFile

POINTER = "current.json"
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,63}")
_TEMPORARY = ".tmp"
LOAD_ERRORS = (DamagedFile, UnsupportedFormat, OSError, ValueError)
"""What reading a version or the pointer may raise; ValueError is a version name that is none."""


@dataclass(frozen=True)
class Pointer:
    """Which version serves, and which served before it."""

    version: str
    previous: str | None = None


@dataclass(frozen=True)
class VersionStore:
    """Versions in `root`, a folder each. Callers hold a lock while they write; reading needs none."""

    root: Path

    def folder(self, version: str) -> Path:
        if not VERSION.fullmatch(version):
            raise ValueError(f"{version!r} is not a version name")
        return self.root / version

    def write(self, bundle: ModelBundle, manifest: dict[str, Any], indexing: IndexConfig | None = None) -> Path:
        """A complete folder for `bundle.version`, or none: written beside, fsynced, then renamed."""
        final = self.folder(str(bundle.version))
        temporary = final.with_name(final.name + _TEMPORARY)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        write_bundle(temporary, bundle, manifest, indexing)
        _fsync_folder(temporary)
        os.rename(temporary, final)
        _fsync_folder(self.root)
        return final

    def load(self, version: str, *, verify: bool = True) -> ModelBundle:
        """Raises FileNotFoundError, DamagedFile or UnknownFormat; the message names file and fault."""
        return read_bundle(self.folder(version), verify=verify)

    def manifest(self, version: str) -> dict[str, Any]:
        return read_manifest(self.folder(version))

    def size(self, version: str) -> int:
        """Bytes on disk."""
        return sum(f.stat().st_size for f in self.folder(version).iterdir())

    def versions(self) -> list[str]:
        """Complete versions, the oldest name first."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and not p.name.endswith(_TEMPORARY))

    def pointer(self) -> Pointer | None:
        """None where nothing was published yet. Raises DamagedFile where the pointer cannot be read."""
        try:
            content = json.loads((self.root / POINTER).read_bytes())
            pointer = Pointer(content["version"], content["previous"])
            self.folder(pointer.version)
            return pointer
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedFile(f"{POINTER}: {error}; publish a version again to replace it") from error

    def pointer_stamp(self) -> tuple[int, int, int] | None:
        """Changes whenever the pointer is replaced; a single stat."""
        try:
            s = os.stat(self.root / POINTER)
        except OSError:  # reading the pointer will say what it is
            return None
        return s.st_mtime_ns, s.st_ino, s.st_size

    def publish(self, version: str) -> Pointer:
        """Point to `version`, which must load; the version pointed to until now becomes the previous one."""
        self.load(version)
        before = self._pointer_or_none()
        if before is None:
            pointer = Pointer(version)
        else:
            pointer = Pointer(version, before.previous if before.version == version else before.version)
        temporary = self.root / (POINTER + _TEMPORARY)
        write_json(temporary, asdict(pointer))
        os.replace(temporary, self.root / POINTER)
        _fsync_folder(self.root)
        return pointer

    def prune(self, keep: int, known: Sequence[str] | None = None) -> list[str]:
        """Remove all but the newest `keep` versions, never the current nor the previous one; gives the removed.

        known: the versions to count, oldest first (default: all, by name); a complete folder not among them was left
        by a killed run and goes too.
        """
        pointer = self._pointer_or_none()
        safe = {pointer.version, pointer.previous} if pointer else set()
        versions = self.versions()
        recorded = versions if known is None else [v for v in known if v in versions]
        safe |= set(recorded[len(recorded) - keep :] if keep < len(recorded) else recorded)
        removed = [v for v in versions if v not in safe]
        for version in removed:
            shutil.rmtree(self.folder(version))
        return removed

    def remove_unfinished(self) -> None:
        """Remove what a killed writer left unfinished."""
        for leftover in self.root.glob("*" + _TEMPORARY):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()

    def _pointer_or_none(self) -> Pointer | None:
        try:
            return self.pointer()
        except DamagedFile:
            return None


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
