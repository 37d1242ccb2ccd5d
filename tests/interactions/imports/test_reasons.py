from interactions.imports.reasons import MAX_REASONS, ReasonCounts


def test_reasons_are_counted_and_the_most_frequent_come_first() -> None:
    counts = ReasonCounts("rows")
    counts.add("a:1", "time: empty")
    for line in range(2, 8):
        counts.add(f"a:{line}", f"time: '{line}' is not a time", "time: is not a time")
    for line in (8, 9):
        counts.add(f"a:{line}", "title: empty")
    assert counts.describe() == [
        "6 rows: a:2: time: '2' is not a time; also a:3, a:4, …",
        "2 rows: a:8: title: empty; also a:9",
        "a:1: time: empty",
    ]


def test_the_number_of_reasons_is_bounded() -> None:
    counts = ReasonCounts("files")
    for number in range(1_000):
        counts.add(f"{number}.json", f"item {number} is damaged")
    lines = counts.describe()
    assert len(lines) == MAX_REASONS + 1
    assert lines[0] == "960 files: 40.json: item 40 is damaged; for other reasons also 41.json, 42.json, …"
