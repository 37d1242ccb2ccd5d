"""Stop process groups once the parent of this process has ended: `python musicrec/stop_with_parent.py PID …`.

The parent holds the other end of this process's standard input, which the kernel closes however the parent ends.
"""

import os
import signal
import sys
import time
from contextlib import suppress

STOP_SECONDS = 10


def main() -> None:
    leaders = [int(text) for text in sys.argv[1:]]
    sys.stdin.buffer.read()
    for leader in leaders:
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while any(map(_group_exists, leaders)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for leader in filter(_group_exists, leaders):
        os.killpg(leader, signal.SIGKILL)


def _group_exists(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
