"""The files of tests/cases/imports that `import_plays` reads: what is stored, and what is refused."""

from pathlib import Path

import pytest

from access.models import User
from importers.records import RefusedRow
from interactions.imports.data_set import import_data_set
from tracks.models import Track

CASES = Path(__file__).parents[2] / "cases" / "imports"
NOW = 1_790_000_000

pytestmark = pytest.mark.usefixtures("db")


def import_case(format: str, *names: str) -> list[RefusedRow]:
    refused_rows: list[RefusedRow] = []
    paths = [CASES / name for name in names]
    import_data_set(format, paths, namespace="", as_of=NOW, on_refused_row=refused_rows.append)
    return refused_rows


def stored_tracks() -> list[tuple[str, str, str]]:
    return list(Track.objects.order_by("external_id").values_list("external_id", "title", "artist__name"))


def test_words_for_a_missing_listener_do_not_become_listeners() -> None:
    assert import_case("csv", "plays_catalogue.csv", "plays_pandas_none.csv") == [
        RefusedRow("plays_pandas_none.csv", line, f"user: {word!r} is not an id; programs write it for a missing value")
        for line, word in ((2, "None"), (3, "nan"), (4, "NULL"))
    ]
    assert stored_tracks() == [("123", "Num", "A"), ("t1", "One", "A"), ("t2", "Two", "A")]
    assert not User.objects.exists()


def test_quoted_fields_may_follow_a_space() -> None:
    assert import_case("csv", "tracks_space_quotes.csv") == []
    assert stored_tracks() == [("s2", "A", "C"), ("s3", "A, B", "C")]
