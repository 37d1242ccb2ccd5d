"""Properties of any input: no row is lost silently, only FormatError is raised, and memory stays bounded."""

import tempfile
import tracemalloc
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from importers import IMPORTERS, FormatError, PlayRecord, RefusedRow

AS_OF = 1_700_000_000
ALPHABET = [
    b"alice",
    b"t1",
    b"1600000000",
    b",",
    b"\t",
    b'"',
    b'""',
    b"\n",
    b"\r",
    b"\r\n",
    b" ",
    b"\0",
    b"\xff",
    b"\xc3\xa4",
]


def read(path):
    return IMPORTERS["csv"].read([path], namespace="", as_of=AS_OF, on_bytes=lambda n: None)


def line_numbers(body: bytes, header: bytes) -> list[int]:
    """Return the numbers of the lines that are not blank, computed the simple way."""
    lines = (header + body).split(b"\n")
    texts = (line.removesuffix(b"\r") for line in lines)
    blank = [not t or (t[:1] == b" " and not t.decode("utf-8", "replace").strip()) for t in texts]
    return [n for n, is_blank in enumerate(blank[1:], 2) if not is_blank]


def write_file(content: bytes) -> Path:
    with tempfile.NamedTemporaryFile(suffix=".csv", delete=False) as file:
        file.write(content)
    return Path(file.name)


BODIES = st.lists(st.sampled_from(ALPHABET), max_size=60).map(b"".join) | st.binary(max_size=200)


@settings(max_examples=300, deadline=None)
@given(body=BODIES, header=st.sampled_from([b"user\ttrack\ttime\n", b"user;track;time\r\n", b"user,track,time\n"]))
@example(body=b'"a,b,c\n\n"a",t,1600000000\n', header=b"user,track,time\n")
@example(body=b',,"\n"', header=b"user,track,time\n")
def test_every_line_becomes_a_play_or_a_refused_row(body, header):
    path = write_file(header + body)
    try:
        records = list(read(path))
    finally:
        path.unlink()
    expected = line_numbers(body, header)
    numbers = [r.line for r in records]
    assert {type(r) for r in records} <= {PlayRecord, RefusedRow}
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(expected)
    if b"\t" in header or b'"' not in body:
        assert numbers == expected
    else:  # a quoted field may continue for up to 20 lines, in a row that was parsed, even if its values are refused
        starts = {
            r.line for r in records if isinstance(r, PlayRecord) or not r.reason.startswith(("quotes: ", "fields: "))
        }
        lost = set(expected) - set(numbers)
        assert all(any(start < n <= start + 20 for start in starts) for n in lost)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=300) | BODIES)
def test_arbitrary_bytes_raise_nothing_but_format_error(content):
    path = write_file(content)
    message = str(path)
    try:
        list(read(path))
    except FormatError as error:
        message = str(error)
    finally:
        path.unlink()
    assert message.startswith(str(path))


def test_memory_does_not_grow_with_the_size_of_the_file(tmp_path):
    def peak_memory(lines: int) -> int:
        path = tmp_path / f"{lines}.csv"
        with path.open("w") as file:
            file.write("user,track,time,title,artist\n")
            file.writelines(f"user{n},t{n % 100},{1_600_000_000 + n},Blue,Ann\n" for n in range(lines))
        tracemalloc.start()
        try:
            assert sum(isinstance(record, PlayRecord) for record in read(path)) == lines
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_memory(100)  # load what is imported and cached once
    assert peak_memory(200_000) < 1.1 * peak_memory(20_000) + 50_000


def test_a_very_long_line_is_refused_without_holding_it_in_memory(tmp_path):
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(b"user,track,time\n")
        for _ in range(64):
            file.write(b"x" * (1 << 20))
        file.write(b"\nalice,t1,1600000000\n")
    tracemalloc.start()
    try:
        refused_row, play = read(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert refused_row == RefusedRow("long.csv", 2, "line: longer than 1,048,576 bytes")
    assert (play.user, play.line) == ("alice", 3)
