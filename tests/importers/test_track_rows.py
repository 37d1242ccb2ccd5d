"""Tracks from the rows of a csv file."""

import pytest

from importers import IMPORTERS, RefusedRow, TagRecord, TrackRecord


@pytest.fixture
def read_tracks(tmp_path):
    """Return a function that writes a file of tracks and reads it."""

    def read_text(text, namespace=""):
        path = tmp_path / "tracks.csv"
        path.write_text(text)
        return list(IMPORTERS["csv"].read([path], namespace=namespace, as_of=1_700_000_000, on_bytes=lambda n: None))

    return read_text


def read_track(read_tracks, **cells):
    """Return the record of a row with id t1, title Blue, artist Ann and the given cells."""
    cells = {"id": "t1", "title": "Blue", "artist": "Ann"} | cells
    [record] = read_tracks(f"{','.join(cells)}\n{','.join(cells.values())}\n")
    return record


def test_every_column_is_read(read_tracks):
    record = read_track(
        read_tracks,
        artist_id="a1",
        album="Sea",
        album_id="b1",
        year="1999",
        duration_ms="213613.0",
        isrc="us-s1z-99-00001",
        mbid="6F9619FF8B86D011B42D00C04FC964FF",
        tempo="120.5",
        energy="0",
        valence="1",
        danceability=".5",
        acousticness="1e-3",
        preview_url="https://x.example/a.mp3",
        cover_url="HTTP://x.example/a.jpg",
        tags="mood/theme---happy|live|instrument:oboe|AC: DC",
        genres="rock|mood:calm",
    )
    assert record == TrackRecord(
        external_id="t1",
        title="Blue",
        artist="Ann",
        artist_id="a1",
        album="Sea",
        album_id="b1",
        year=1999,
        duration_ms=213_613,
        isrc="USS1Z9900001",
        mbid="6f9619ff-8b86-d011-b42d-00c04fc964ff",
        tempo=120.5,
        energy=0.0,
        valence=1.0,
        danceability=0.5,
        acousticness=0.001,
        preview_url="https://x.example/a.mp3",
        cover_url="HTTP://x.example/a.jpg",
        tags=(
            TagRecord("happy", "mood"),
            TagRecord("live", "other"),
            TagRecord("oboe", "instrument"),
            TagRecord("AC: DC", "other"),
            TagRecord("rock", "genre"),
            TagRecord("calm", "mood"),
        ),
        file="tracks.csv",
        line=2,
    )


def test_missing_ids_of_artists_and_albums_are_derived_from_their_names(read_tracks):
    record = read_track(read_tracks, artist="The  Örtlich BAND", album=" Sea   Side ")
    assert record.artist == "The  Örtlich BAND"
    assert record.artist_id == "name:the örtlich band"
    assert (record.album, record.album_id) == ("Sea   Side", "name:the örtlich band/sea side")


def test_derived_ids_are_prefixed_with_the_namespace(read_tracks):
    [record] = read_tracks("id,title,artist,album\nt1,Blue,Ann,Sea\n", namespace="radio")
    assert (record.external_id, record.artist_id, record.album_id) == (
        "radio:t1",
        "radio:name:ann",
        "radio:name:ann/sea",
    )


def test_derived_ids_have_at_most_128_characters_and_stay_distinct(read_tracks):
    first, second = (read_track(read_tracks, artist="a" * 500 + end).artist_id for end in "xy")
    assert len(first) == len(second) == 128
    assert first[:95] == second[:95] == "name:" + "a" * 90
    assert first != second


def test_missing_names_are_replaced_by_placeholders_made_from_ids(read_tracks):
    [record] = read_tracks("track,artist_id,album_id,duration_s\n0214,14,31,124.6\n")
    assert (record.title, record.artist, record.album) == ("Track 0214", "Artist 14", "Album 31")
    assert record.duration_ms == 124_600


def test_a_column_named_track_is_the_title_if_another_column_is_the_id(read_tracks):
    [record] = read_tracks("uri,track,artist\nspotify:track:1,Blue,Ann\n")
    assert (record.external_id, record.title) == ("spotify:track:1", "Blue")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("id", "", "track: empty, expected a text of 1 to 128 characters"),
        ("title", "", "title: empty, expected a text of 1 to 512 characters"),
        ("artist", "", "artist: empty, expected a text of 1 to 512 characters"),
        ("title", "x" * 513, f"title: '{'x' * 39}…' is not a text of 1 to 512 characters"),
        ("album", "x" * 513, f"album: '{'x' * 39}…' is not a text of at most 512 characters"),
        ("year", "99", "year: '99' is not a whole number from 1000 to 2100"),
        ("duration_ms", "0", "duration_ms: '0' is not a whole number from 1 to 2147483647"),
        ("duration_s", "0", "duration_s: '0' is not a number from 0.001 to 2147483"),
        ("isrc", "USS1Z990000", "isrc: 'USS1Z990000' is not 12 letters and digits"),
        ("mbid", "x", "mbid: 'x' is not a UUID"),
        ("tempo", "19.9", "tempo: '19.9' is not a number from 20 to 400"),
        ("energy", "1.01", "energy: '1.01' is not a number from 0 to 1"),
        ("valence", "inf", "valence: 'inf' is not a number from 0 to 1"),
        ("id", "<NA>", "track: '<NA>' is not an id; programs write it for a missing value"),
        (
            "preview_url",
            "ftp://x/a",
            "preview_url: 'ftp://x/a' is not an http or https address of at most 512 characters",
        ),
        ("tags", "x" * 129, f"tags: '{'x' * 39}…' is not a tag of at most 128 characters"),
    ],
)
def test_a_row_with_an_invalid_value_is_refused(read_tracks, column, value, reason):
    assert read_track(read_tracks, **{column: value}) == RefusedRow("tracks.csv", 2, reason)


def test_words_for_missing_values_are_empty_cells_of_optional_columns(read_tracks):
    columns = "artist_id album_id year duration_ms duration_s isrc mbid tempo energy valence danceability acousticness"
    columns += " preview_url cover_url tags genres"
    for word in ("nan", "None", "<NA>"):
        assert read_track(read_tracks, **dict.fromkeys(columns.split(), word)) == TrackRecord(
            "t1", "Blue", "Ann", "name:ann", file="tracks.csv", line=2
        )


def test_a_title_or_a_name_may_be_a_word_for_missing_values_but_not_both(read_tracks):
    assert read_track(read_tracks, title="None").title == "None"
    assert read_track(read_tracks, artist="NULL").artist == "NULL"
    assert read_track(read_tracks, title="nan", artist="nan") == RefusedRow(
        "tracks.csv", 2, "title: 'nan' is not a title; programs write it for a missing value"
    )


def test_ids_written_as_floats_are_whole_numbers(read_tracks):
    record = read_track(read_tracks, id="183456.0", artist_id="14.0", album="Sea", album_id="31.")
    assert (record.external_id, record.artist_id, record.album_id) == ("183456", "14", "31")


@pytest.mark.parametrize("column", ["tags", "genres"])
@pytest.mark.parametrize("cell", ["['rock' 'pop']", "[{'name': 'rock'}]", "[('rock'; 1)]", "{'rock': 1}"])
def test_a_list_that_a_program_wrote_as_text_is_not_a_tag(read_tracks, column, cell):
    assert read_track(read_tracks, **{column: cell}) == RefusedRow(
        "tracks.csv", 2, f"{column}: {cell!r} is not names separated by a bar; write rock|pop"
    )


def test_a_tag_may_have_brackets(read_tracks):
    assert read_track(read_tracks, tags="[unknown]|{x").tags == (TagRecord("[unknown]"), TagRecord("{x"))
    assert read_track(read_tracks, tags="[]").tags == ()
