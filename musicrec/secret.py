"""The default of `SECRET_KEY`: generated once and stored in a file that only its owner can read."""

import os
import secrets
from pathlib import Path


def secret_key(path: Path) -> str:
    """Return the key in the file, which is created if it does not exist.

    Processes that start at the same time agree on one key.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)  # unlike a rename, it fails if another process was first
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
