import threading
import time
from itertools import islice
from typing import Any

import pytest

from recommendations.reload_message import send_reload, wait_for_reload
from tests.valkey import SilenceableValkey


def seconds_to_wake(poll_seconds: float, act: Any) -> float:
    """Return how long a waiting watcher takes to wake up after `act`."""
    watcher = wait_for_reload(poll_seconds)
    next(watcher) if poll_seconds > 1 else None
    woken = threading.Event()
    threading.Thread(target=lambda: (next(watcher), woken.set()), daemon=True).start()
    time.sleep(0.2)
    started = time.monotonic()
    act()
    assert woken.wait(10)
    return time.monotonic() - started


def test_a_message_wakes_the_watcher_at_once(settings: Any) -> None:
    if not settings.REDIS_URL:
        pytest.skip("the embedded default has no Redis, and polls")
    assert seconds_to_wake(9, lambda: send_reload("v1")) < 1


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:9/0"])
def test_without_redis_it_wakes_by_itself_and_sending_does_not_fail(settings: Any, url: str) -> None:
    settings.REDIS_URL = url
    began = time.monotonic()
    assert list(islice(wait_for_reload(0.05), 3)) == [None] * 3
    assert 0.1 < time.monotonic() - began < 3
    send_reload("v1")


def test_a_silent_server_delays_neither_publication_nor_polling(settings: Any) -> None:
    """A stopped server accepts connections and never answers; one that resumes wakes the watcher again."""
    if not settings.REDIS_URL:
        pytest.skip("the embedded default has no Redis, and polls")
    server = SilenceableValkey()
    server.start()
    settings.REDIS_URL = server.url
    try:
        subscribed_before = wait_for_reload(0.1)
        next(subscribed_before)
        server.silence()
        began = time.monotonic()
        send_reload("v1")
        for watcher in (subscribed_before, wait_for_reload(0.1)):
            assert list(islice(watcher, 2)) == [None] * 2
        assert time.monotonic() - began < 8
    finally:
        server.stop()
