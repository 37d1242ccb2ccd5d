import json
from pathlib import Path
from typing import Any

import pytest

from importers import histories
from importers.errors import FormatError
from importers.records import ListenRecord
from tests.importers.histories.history_files import NOW, archive, detect_format, read, write


def play(**fields: Any) -> dict[str, Any]:
    """Return a row of a `Streaming_History_Audio_*.json`."""
    return {
        "ts": "2023-11-14T22:13:20Z",
        "platform": "Android OS 13 API 33",
        "ms_played": 180_500,
        "conn_country": "DE",
        "master_metadata_track_name": "Fade",
        "master_metadata_album_artist_name": "Kanye West",
        "master_metadata_album_album_name": "The Life of Pablo",
        "spotify_track_uri": "spotify:track:3uUuGVFu1V7jTQL60S1r8z",
        "episode_name": None,
        "reason_start": "clickrow",
        "reason_end": "trackdone",
        "shuffle": False,
        "skipped": False,
        "offline": False,
        "incognito_mode": False,
    } | fields


def test_videos_of_an_archive_are_not_read(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "my_spotify_data.zip",
        {
            "Spotify Extended Streaming History/ReadMeFirst.pdf": b"%PDF",
            "Spotify Extended Streaming History/Streaming_History_Audio_2022-2023_1.json": json.dumps([play(), play()]),
            "Spotify Extended Streaming History/Streaming_History_Video_2022.json": json.dumps([play()]),
        },
    )
    listens, refused_rows = read(path)
    assert (len(listens), refused_rows) == (2, [])
    assert listens[0] == ListenRecord(
        artist="Kanye West",
        title="Fade",
        time=1_700_000_000 - 181,  # it began before it ended
        album="The Life of Pablo",
        ms_played=180_500,
        end_reason="finished",
        device="Android OS 13 API 33",
        file="my_spotify_data.zip: Spotify Extended Streaming History/Streaming_History_Audio_2022-2023_1.json",
        line=1,
    )


@pytest.mark.parametrize(
    ("reason_end", "skipped", "expected"),
    [
        ("trackdone", False, "finished"),
        ("fwdbtn", True, "skipped"),
        ("backbtn", None, "skipped"),
        ("clickrow", None, "replaced"),
        ("playbtn", None, "replaced"),
        ("remote", None, "replaced"),
        ("endplay", None, "stopped"),
        ("logout", None, "stopped"),
        ("unexpected-exit", None, "interrupted"),
        ("unexpected-exit-while-paused", None, "interrupted"),
        ("unknown", None, ""),
        ("", True, "skipped"),
        (None, False, ""),
        (["odd"], None, ""),
    ],
)
def test_end_reasons_are_translated(tmp_path: Path, reason_end: Any, skipped: Any, expected: str) -> None:
    [listen], _ = read(write(tmp_path, "endsong_0.json", [play(reason_end=reason_end, skipped=skipped)]))
    assert listen.end_reason == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"master_metadata_track_name": None, "episode_name": "News"}, "podcast"),
        ({"master_metadata_track_name": None, "master_metadata_album_artist_name": None}, "podcast"),
        ({"incognito_mode": True}, "private session"),
        ({"ms_played": -5}, "ms_played"),
        ({"ms_played": "a"}, "ms_played"),
        ({"ts": "yesterday"}, "ts"),
        ({"ts": None}, "ts"),
        ({"ts": "1970-01-01T00:00:00Z"}, "ts"),
        ({"ts": "2999-01-01T00:00:00Z"}, "ts"),
        ({"ts": "0001-01-01T00:00:00+14:00"}, "ts"),
        ({"master_metadata_album_artist_name": ""}, "album_artist_name"),
        ({"master_metadata_track_name": 7}, "track_name"),
    ],
)
def test_a_row_that_is_not_a_play_of_music_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = write(tmp_path, "Streaming_History_Audio_2023_0.json", [play(), play(**fields), play()])
    listens, [refused_row] = read(path)
    assert [listen.line for listen in listens] == [1, 3]
    assert (refused_row.file, refused_row.line) == (path.name, 2)
    assert message in refused_row.reason


def test_items_that_are_not_plays_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", [1, None, "x", [], {}, play()])
    listens, refused_rows = read(path, format="spotify")
    assert (len(listens), len(refused_rows)) == (1, 5)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps([play()])[:-1] + "," + "[" * 100_000)
    records = histories.select_files([path]).files[0].read(NOW)
    assert next(records).title == "Fade"
    with pytest.raises(FormatError, match="item 2 is not valid JSON"):
        next(records)


def test_the_format_is_detected_from_the_content(tmp_path: Path) -> None:
    assert detect_format(write(tmp_path, "x.json", [play()])) == "spotify"
    with pytest.raises(FormatError, match="has none of the formats"):
        read(write(tmp_path, "Playlist1.json", [{"trackName": "Fade", "artistName": "Kanye West"}]))


@pytest.mark.parametrize("value", [True, 1, 1.0, "1", "1.0", "true", "True", " TRUE ", "yes", "maybe", 2, [False]])
def test_a_play_that_may_be_private_is_refused(tmp_path: Path, value: Any) -> None:
    path = write(tmp_path, "Streaming_History_Audio_2023_0.json", [play(incognito_mode=value)])
    listens, [refused_row] = read(path)
    assert (listens, "private session" in refused_row.reason) == ([], True)


def test_a_table_made_of_the_extended_history_is_read_like_it(tmp_path: Path) -> None:
    plays = [
        play(skipped="", offline_timestamp="1699999000.0"),  # pandas writes floats when other values are missing
        play(ts="2023-11-14T23:00:00Z", incognito_mode=True),
        play(ts="2023-11-15T00:00:00Z", ms_played="3000.0", reason_end="fwdbtn", skipped=True),
        play(ts="2023-11-15T01:00:00Z", offline=True, offline_timestamp="1699999000.0"),
        play(ts="2023-11-15T02:00:00Z", master_metadata_track_name="", episode_name="News"),
    ]
    names = [*plays[0]]
    for separator in ",;\t":
        rows = [names, *([row.get(name) for name in names] for row in plays)]
        text = "\n".join(separator.join("" if cell is None else str(cell) for cell in row) for row in rows)
        path = write(tmp_path, "history.csv", f"\ufeff{text}\n{separator}\n")
        assert detect_format(path) == "spotify"
        listens, refused_rows = read(path)
        assert [(listen.line, listen.time, listen.ms_played, listen.end_reason) for listen in listens] == [
            (2, 1_700_000_000 - 181, 180_500, "finished"),
            (4, 1_700_006_400 - 3, 3_000, "skipped"),
            (5, 1_699_999_000, 180_500, "finished"),
        ]
        assert listens[0].device == "Android OS 13 API 33"
        assert [(row.line, row.reason.partition(":")[0]) for row in refused_rows] == [
            (3, "incognito_mode"),
            (6, "master_metadata_track_name"),
            (7, "fields"),
        ]


@pytest.mark.parametrize("value", [False, 0, 0.0, "0", "0.0", "false", "False", "no", "", None])
def test_a_play_that_is_not_private_is_read(tmp_path: Path, value: Any) -> None:
    path = write(tmp_path, "Streaming_History_Audio_2023_0.json", [play(incognito_mode=value)])
    assert len(read(path)[0]) == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"offline": True, "offline_timestamp": 1_699_960_000}, 1_699_960_000),
        ({"offline": True, "offline_timestamp": 1_699_960_000_999}, 1_699_960_000),
        ({"offline": True, "offline_timestamp": "1699960000"}, 1_699_960_000),
        ({"offline": 1, "offline_timestamp": 1_699_960_000.0}, 1_699_960_000),
        ({"offline": 1, "offline_timestamp": 1_699_960_000.75}, 1_699_960_000),
        ({"offline": "true", "offline_timestamp": 1_699_960_000}, 1_699_960_000),
        # Played with a connection, or at a time that cannot be right: `ts` counts.
        ({"offline": False, "offline_timestamp": 1_699_960_000}, 1_699_999_819),
        ({"offline": True, "offline_timestamp": 0}, 1_699_999_819),
        ({"offline": True, "offline_timestamp": None}, 1_699_999_819),
        ({"offline": True, "offline_timestamp": 1_500}, 1_699_999_819),
        ({"offline": True, "offline_timestamp": 1_700_000_001}, 1_699_999_819),
        ({"ts": "2023-11-14 22:13:20 UTC"}, 1_699_999_819),
        ({"ts": "2023-11-14T22:13:20"}, 1_699_999_819),
    ],
)
def test_the_time_of_a_play_is_when_it_began(tmp_path: Path, fields: dict[str, Any], expected: int) -> None:
    [listen], refused_rows = read(write(tmp_path, "a.json", [play(**fields)]))
    assert (listen.time, refused_rows) == (expected, [])


def test_account_data_is_read(tmp_path: Path) -> None:
    music = [
        {"endTime": "2023-11-14 22:13", "artistName": "Kanye West", "trackName": "Fade", "msPlayed": 180_500},
        {"endTime": "2023-11-14 22:13", "artistName": "Kanye West", "trackName": "Fade", "msPlayed": None},
        {"endTime": "yesterday", "artistName": "Kanye West", "trackName": "Fade", "msPlayed": 1},
    ]
    podcasts = [{"endTime": "2023-11-14 22:13", "podcastName": "The News", "episodeName": "Today", "msPlayed": 1}]
    path = archive(
        tmp_path / "my_spotify_data.zip",
        {
            "Spotify Account Data/StreamingHistory_music_0.json": json.dumps(music),
            "Spotify Account Data/StreamingHistory_podcast_0.json": json.dumps(podcasts),
        },
    )
    listens, refused_rows = read(path)
    file = "my_spotify_data.zip: Spotify Account Data/StreamingHistory_music_0.json"
    expected = ListenRecord(
        "Kanye West", "Fade", 1_699_999_799, ms_played=180_500, time_precision=60, file=file, line=1
    )
    assert listens == [expected]
    assert [(row.line, row.reason.partition(":")[0]) for row in refused_rows] == [
        (2, "msPlayed"),
        (3, "endTime"),
        (1, "trackName"),
    ]
