"""A format can be added from outside of the package."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from importers import IMPORTERS, Importer, PlayRecord, Record, register_importer

AS_OF = 1_700_000_000


def read_lines(
    paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]
) -> Iterator[Record]:
    """Read a toy format: every line is a track that Alice played."""
    for line, track in enumerate(paths[0].read_text().splitlines(), 1):
        yield PlayRecord("alice", track, as_of, file=paths[0].name, line=line)
        on_bytes(len(track) + 1)


@pytest.fixture
def toy_importer() -> Iterator[Importer]:
    importer = Importer("toy", read_lines, total_bytes=lambda paths: paths[0].stat().st_size)
    register_importer(importer)
    yield importer
    del IMPORTERS["toy"]


@pytest.mark.usefixtures("toy_importer")
def test_a_registered_format_is_available_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "plays.toy"
    path.write_text("t1\nt2\n")
    consumed: list[int] = []
    records = list(IMPORTERS["toy"].read([path], namespace="", as_of=AS_OF, on_bytes=consumed.append))
    assert records == [
        PlayRecord("alice", "t1", AS_OF, file="plays.toy", line=1),
        PlayRecord("alice", "t2", AS_OF, file="plays.toy", line=2),
    ]
    assert sum(consumed) == IMPORTERS["toy"].total_bytes([path]) == 6


def test_a_name_that_is_taken_cannot_be_registered_again(toy_importer: Importer) -> None:
    with pytest.raises(ValueError, match="an importer named 'toy' is already registered"):
        register_importer(toy_importer)
    assert list(IMPORTERS) == ["hetrec2011", "30music", "csv", "parquet", "yambda", "synthetic", "toy"]
