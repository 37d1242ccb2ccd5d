"""Published data sets, downloaded once by name."""

import shutil
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from django.conf import settings

# What each official archive holds that is read; nothing else is taken out of it.
ARCHIVES = {
    "hetrec2011-lastfm-2k": ["artists.dat", "user_artists.dat", "tags.dat", "user_taggedartists.dat", "readme.txt"]
}
TIMEOUT_SECONDS = 30
_CHUNK = 1 << 16


class DownloadError(Exception):
    """The data set could not be had; the message says why and what to do instead."""


def download_data_set(name: str, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """The folder `folder/name` with the files of a data set; downloaded and unpacked unless it is there.

    progress: called with bytes done and bytes in all (0 where the server does not say). Raises DownloadError.
    """
    target = folder / name
    if target.is_dir():
        return target
    if name not in ARCHIVES:
        raise DownloadError(f"{name!r} is neither a folder here nor a data set; data sets are {', '.join(ARCHIVES)}")
    url = f"{settings.MUSICREC['DATASETS_URL'].rstrip('/')}/{name}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{name}.zip.part"
    try:
        _download(url, archive, progress)
        _unpack(archive, name, target)
    except (OSError, HTTPException, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise DownloadError(
            f"{url} could not be downloaded ({error}); download it elsewhere and give the unpacked folder instead"
        ) from error
    finally:
        archive.unlink(missing_ok=True)
        shutil.rmtree(_draft(target), ignore_errors=True)
    return target


def _download(url: str, path: Path, progress: Callable[[int, int], None]) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, open(path, "wb") as f:
        total, done = int(response.headers.get("Content-Length") or 0), 0
        while chunk := response.read(_CHUNK):
            f.write(chunk)
            done += len(chunk)
            progress(done, total)
        if done < total:
            raise OSError(f"connection closed after {done} of {total} bytes")


def _unpack(archive: Path, name: str, target: Path) -> None:
    """Only the names that are expected, so that an archive cannot write elsewhere; complete, or not at all."""
    draft = _draft(target)
    draft.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive) as unpacked:
        inside = {Path(member).name: member for member in unpacked.namelist()}
        for wanted in ARCHIVES[name]:
            with unpacked.open(inside[wanted]) as source, open(draft / wanted, "wb") as out:
                shutil.copyfileobj(source, out)
    draft.rename(target)


def _draft(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")
