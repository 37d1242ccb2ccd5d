"""The files that a reader was given: named one by one, or a folder of files with known names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from importers.errors import FormatError


def files_of(paths: Sequence[Path], known_names: Sequence[str]) -> list[Path]:
    """The files themselves, and of each folder those of `known_names` that are there, in that order.

    Raises FormatError for a path that is not there, a folder with none of them, or no path at all.
    """
    if not paths:
        raise FormatError(f"no input: name a file, or a folder with {' or '.join(known_names)}")
    files: list[Path] = []
    for path in paths:
        found = [path / name for name in known_names if (path / name).is_file()] if path.is_dir() else [path]
        if not found:
            raise FormatError(f"{path}: this folder has no {' or '.join(known_names)}; name the files themselves")
        files += found
    for file in files:
        if not file.exists():
            raise FormatError(f"{file}: there is no such file; check the path")
    return files


def total_size(files: Sequence[Path]) -> int:
    """Bytes of all of them."""
    return sum(file.stat().st_size for file in files)
