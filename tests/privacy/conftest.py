import fcntl
from collections.abc import Iterator
from typing import Any

import pytest

from privacy import erasure as erasing
from recommendations.version_store import version_store


@pytest.fixture
def no_erasure_process(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep requests from starting a process that erases: hold the lock of a process that is waiting already."""
    settings.CELERY_BROKER_URL = ""
    monkeypatch.setattr(erasing, "GRACE_SECONDS", 0)
    monkeypatch.setattr(erasing, "BATCH", 3)
    version_store().root.mkdir(parents=True, exist_ok=True)
    with open(version_store().root / "erasing.waiting", "w") as waiting:
        fcntl.flock(waiting, fcntl.LOCK_EX)
        yield
