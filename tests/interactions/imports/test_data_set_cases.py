"""The files of tests/cases/imports that `import_plays` reads: what is stored, and what is refused."""

from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from access.models import User
from importers.records import RefusedRow
from interactions.imports.data_set import import_data_set
from interactions.models import Interaction
from tracks.models import Artist, Track, TrackTag

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


def stored_plays() -> list[tuple[str, str, str, int]]:
    """Return the listener, track, event id and time of every play."""
    plays = Interaction.objects.order_by("played_at").select_related("user", "track")
    return [
        (play.user.external_id, play.track.external_id, str(play.event_id), int(play.played_at.timestamp()))
        for play in plays
    ]


FIRST_UUID, SECOND_UUID = "6f1c2a34-9b1e-4f6a-8d3c-5b7e2a9c4d10", "a3b8c2d1-ffee-4abc-9def-0123456789ab"


@pytest.mark.parametrize(
    ("name", "listener", "track", "time"),
    [
        ("parquet_id_float.parquet", "7", "123", 1_700_100_000),
        ("parquet_id_float_user_only.parquet", "7", "t1", 1_700_100_050),
    ],
)
def test_ids_that_pandas_wrote_as_floats_are_whole_numbers(name: str, listener: str, track: str, time: int) -> None:
    import_case("csv", "plays_catalogue.csv")
    assert import_case("parquet", name) == [RefusedRow(name, 2, "user: empty, expected a text of 1 to 128 characters")]
    [play] = stored_plays()
    assert (play[0], play[1], play[3]) == (listener, track, time)


@pytest.mark.parametrize("name", ["parquet_tags_struct.parquet", "parquet_tags_map.parquet"])
def test_tags_in_structs_and_maps_are_names(name: str) -> None:
    assert import_case("parquet", name) == []
    assert list(TrackTag.objects.values_list("track__title", "tag__name", "tag__kind")) == [("a", "rock", "other")]


@pytest.mark.parametrize(
    ("name", "plays"),
    [
        (
            "parquet_uuid_ext.parquet",
            [
                ("pe1", "t1", "00000000-0000-0000-0000-000000000005", 1_700_100_000),
                ("pe2", "t2", "00000000-0000-0000-0000-000000000006", 1_700_100_001),
            ],
        ),
        (
            "parquet_event_fsb.parquet",
            [("ue_fsb", "t1", FIRST_UUID, 1_700_200_000), ("ue2_fsb", "t2", SECOND_UUID, 1_700_200_001)],
        ),
    ],
)
def test_uuids_of_events_are_kept(name: str, plays: list[tuple[str, str, str, int]]) -> None:
    import_case("csv", "plays_catalogue.csv")
    assert import_case("parquet", name) == []
    assert stored_plays() == plays


def test_uuids_of_listeners_are_text() -> None:
    import_case("csv", "plays_catalogue.csv")
    assert import_case("parquet", "parquet_user_fsb.parquet") == []
    assert [play[:2] for play in stored_plays()] == [(FIRST_UUID, "t1"), (SECOND_UUID, "t2")]


def test_uuids_of_tracks_are_text() -> None:
    assert import_case("parquet", "parquet_tracks_fsb.parquet") == []
    assert list(Track.objects.order_by("title").values_list("external_id", "title", "artist__name", "mbid")) == [
        (FIRST_UUID, "a", "A", UUID(FIRST_UUID)),
        (SECOND_UUID, "b", "A", UUID(SECOND_UUID)),
    ]


def test_a_play_of_30music_as_published_is_stored() -> None:
    assert import_case("30music", "30music_official_events.idomaar") == []
    play = Interaction.objects.select_related("user", "track__artist").get()
    assert (play.user.external_id, play.track.external_id, play.played_at.timestamp()) == ("7", "42", 1_421_050_065)
    assert (play.ms_played, play.milestone, play.is_completed) == (176_000, 100, True)
    assert stored_tracks() == [("42", "Track 42", "Artist of track 42")]


def test_plays_without_names_do_not_change_tracks_that_have_names(tmp_path: Path) -> None:
    catalogue = tmp_path / "tracks.csv"
    catalogue.write_text("id,title,artist\n42,Blue,Ann\n")
    import_data_set("csv", [catalogue], namespace="", as_of=NOW)
    assert import_case("30music", "30music_official_events.idomaar") == []
    assert stored_tracks() == [("42", "Blue", "Ann")]
    assert list(Artist.objects.values_list("name", flat=True)) == ["Ann"]


def test_likes_and_dislikes_of_yambda_are_stored(tmp_path: Path) -> None:
    kinds = ["listen", "like", "unlike", "dislike", "undislike"]
    table = {"uid": [10] * 5, "item_id": [7] * 5, "timestamp": range(5), "event_type": kinds}
    pq.write_table(pa.table({name: list(cells) for name, cells in table.items()}), tmp_path / "multi_event.parquet")
    for _ in range(2):
        import_data_set("yambda", [tmp_path], namespace="yambda", as_of=NOW)
    assert list(Interaction.objects.order_by("played_at").values_list("kind", "user__external_id")) == [
        (kind, "yambda:10") for kind in ("play", "like", "unlike", "dislike", "undislike")
    ]
