"""Progress bars on standard error."""

from typing import Any

from tqdm import tqdm


class ProgressBars:
    """One progress bar for each stage; `show` is the callback that training and tuning report to."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage = ""

    def __enter__(self) -> "ProgressBars":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self.__exit__()
            self._bar, self._stage = tqdm(total=total, desc=stage, unit="", unit_scale=True), stage
        self._bar.update(done - self._bar.n)
