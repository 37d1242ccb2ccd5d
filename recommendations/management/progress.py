"""Progress on standard error."""

from typing import Any

from tqdm import tqdm


class ProgressBars:
    """A progress bar a stage."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.stage = ""

    def __enter__(self) -> "ProgressBars":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, stage: str, done: int, total: int) -> None:
        if stage != self.stage:
            self.__exit__()
            self.bar, self.stage = tqdm(total=total, desc=stage, unit="", unit_scale=True), stage
        self.bar.update(done - self.bar.n)
