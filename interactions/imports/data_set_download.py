"""Download published data sets by name."""

import shutil
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from django.conf import settings

# The files of each official archive that are needed; nothing else is extracted.
ARCHIVE_FILES = {
    "hetrec2011-lastfm-2k": ["artists.dat", "user_artists.dat", "tags.dat", "user_taggedartists.dat", "readme.txt"]
}
TIMEOUT_SECONDS = 30
_CHUNK_SIZE = 1 << 16


class DownloadError(Exception):
    """A data set cannot be downloaded; the message says why and what to do instead."""


def download_data_set(
    name: str, folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Path:
    """Return the folder `folder/name` with the files of a data set, downloading them unless it exists.

    Args:
        name: a name in ARCHIVE_FILES.
        folder: the folder of all downloaded data sets.
        on_progress: called with the bytes downloaded and the bytes in all, which is 0 if the server does not say.

    Raises:
        DownloadError: the name is unknown, or the download failed. Nothing is left behind.
    """
    target = folder / name
    if target.is_dir():
        return target
    if name not in ARCHIVE_FILES:
        raise DownloadError(
            f"{name!r} is neither a folder here nor a data set; data sets are {', '.join(ARCHIVE_FILES)}"
        )
    url = f"{settings.MUSICREC['DATASETS_URL'].rstrip('/')}/{name}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{name}.zip.part"
    incomplete_target = folder / f"{name}.part"
    try:
        _download(url, archive, on_progress)
        _extract(archive, ARCHIVE_FILES[name], incomplete_target)
        incomplete_target.rename(target)
    except (OSError, HTTPException, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise DownloadError(
            f"{url} could not be downloaded ({error}); download it elsewhere and give the unpacked folder instead"
        ) from error
    finally:
        archive.unlink(missing_ok=True)
        shutil.rmtree(incomplete_target, ignore_errors=True)
    return target


def _download(url: str, path: Path, on_progress: Callable[[int, int], None]) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, open(path, "wb") as file:
        total, done = int(response.headers.get("Content-Length") or 0), 0
        while chunk := response.read(_CHUNK_SIZE):
            file.write(chunk)
            done += len(chunk)
            on_progress(done, total)
        if done < total:
            raise OSError(f"connection closed after {done} of {total} bytes")


def _extract(archive: Path, names: list[str], folder: Path) -> None:
    """Extract the named files. Other members are ignored, so that an archive cannot write to other folders."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive) as opened_archive:
        members = {Path(member).name: member for member in opened_archive.namelist()}
        for name in names:
            with opened_archive.open(members[name]) as source, open(folder / name, "wb") as out:
                shutil.copyfileobj(source, out)
