"""The folder of versions. A version is written completely before `current.json`, the pointer, is replaced."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.bundle.files import UnsupportedFormat, read_bundle, read_judged, read_manifest, write_bundle, write_json
from engine.bundle.index_files import IndexConfig
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.npz import DamagedFile

POINTER = "current.json"
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,63}")
_TEMPORARY = ".tmp"
LOAD_ERRORS = (DamagedFile, UnsupportedFormat, OSError, ValueError)
"""The exceptions of reading a version or the pointer; ValueError is for an invalid version name."""


@dataclass(frozen=True)
class Pointer:
    """The version in service, and the one before it."""

    version: str
    previous: str | None = None


@dataclass(frozen=True)
class VersionStore:
    """The versions in `root`, a folder each. Callers hold a lock while they write; reading needs none."""

    root: Path

    def folder(self, version: str) -> Path:
        """Return the folder of a version.

        Raises:
            ValueError: the name is not a version name, and might lead out of `root`.
        """
        if not VERSION.fullmatch(version):
            raise ValueError(f"{version!r} is not a version name")
        return self.root / version

    def write(
        self,
        bundle: ModelBundle,
        manifest: dict[str, Any],
        index_config: IndexConfig | None = None,
        judged: ModelBundle | None = None,
    ) -> Path:
        """Write the folder of `bundle.version` completely or not at all: under another name, fsynced, then renamed.

        Args:
            manifest: see `write_bundle`.
            index_config: which index files to write.
            judged: the model with which the report was made, see `write_bundle`.
        """
        final = self.folder(str(bundle.version))
        temporary = final.with_name(final.name + _TEMPORARY)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        write_bundle(temporary, bundle, manifest, index_config, judged)
        _fsync_folder(temporary)
        os.rename(temporary, final)
        _fsync_folder(self.root)
        return final

    def load(self, version: str, *, verify: bool = True) -> ModelBundle:
        """Load a version, with its arrays mapped.

        Raises:
            FileNotFoundError, DamagedFile, UnsupportedFormat: the message names the file and the fault.
        """
        return read_bundle(self.folder(version), verify=verify)

    def load_judged(self, version: str) -> ModelBundle:
        """Load the model with which the report of a version was made, without listeners.

        Raises:
            FileNotFoundError, DamagedFile, UnsupportedFormat: see `read_judged`.
        """
        return read_judged(self.folder(version))

    def manifest(self, version: str) -> dict[str, Any]:
        return read_manifest(self.folder(version))

    def size(self, version: str) -> int:
        """Return the bytes that a version takes on disk."""
        return sum(f.stat().st_size for f in self.folder(version).iterdir())

    def versions(self) -> list[str]:
        """Return the names of the complete versions, in ascending order."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and not p.name.endswith(_TEMPORARY))

    def pointer(self) -> Pointer | None:
        """Read the pointer; None if no version was published yet.

        Raises:
            DamagedFile: the pointer cannot be read; the message says what to do.
        """
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
        """Return a value that changes whenever the pointer is replaced; it costs a single stat."""
        try:
            stat = os.stat(self.root / POINTER)
        except OSError:  # reading the pointer raises the error that matters
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    def publish(self, version: str) -> Pointer:
        """Put a version into service; the one in service until now becomes the previous one.

        Raises:
            FileNotFoundError, DamagedFile, UnsupportedFormat: the version cannot be loaded; nothing has changed.
        """
        self.load(version)
        current = self._pointer_or_none()
        if current is None:
            pointer = Pointer(version)
        else:
            pointer = Pointer(version, current.previous if current.version == version else current.version)
        temporary = self.root / (POINTER + _TEMPORARY)
        write_json(temporary, asdict(pointer))
        os.replace(temporary, self.root / POINTER)
        _fsync_folder(self.root)
        return pointer

    def prune(self, keep: int, recorded: Sequence[str] | None = None) -> list[str]:
        """Remove all but the newest versions, never the current or the previous one.

        Args:
            keep: how many to keep.
            recorded: the versions to count, oldest first; by default all, by name. A folder that is not among them
                was left by a killed run and is removed too.

        Returns:
            the versions removed.
        """
        pointer = self._pointer_or_none()
        retained = {pointer.version, pointer.previous} if pointer else set()
        versions = self.versions()
        counted = versions if recorded is None else [v for v in recorded if v in versions]
        retained |= set(counted[len(counted) - keep :] if keep < len(counted) else counted)
        removed = [v for v in versions if v not in retained]
        for version in removed:
            shutil.rmtree(self.folder(version))
        return removed

    def remove_unfinished(self) -> None:
        """Remove the temporary files that a killed run has left."""
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
