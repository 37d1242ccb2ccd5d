"""Tables of listens: which column is what, and when that is not certain enough."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importers import histories
from importers.errors import FormatError
from importers.histories.csv_scrobbles import find_table
from importers.records import FileNote, ListenRecord, RefusedRow
from tests.importers.histories.history_files import NOW, read, write

NOON = 1_270_814_400  # 2010-04-09T12:00:00Z
BAND, SONG, ALBUM, TIME = "Test Band", "Song One", "First Album", "2010-04-09 12:00"


def read_listens(folder: Path, text: str) -> list[tuple[str, str, str, int]]:
    listens, refused_rows = read(write(folder, "scrobbles.csv", text))
    assert refused_rows == []
    return [(listen.artist, listen.title, listen.album, listen.time) for listen in listens]


@pytest.mark.parametrize(
    "header",
    [
        "artist,title,album,date",
        "Artist Name,Track Name,Album Name,Played At",
        "artist_name,track_name,album_name,scrobbled_at",
        "ARTIST,SONG,RELEASE,TIMESTAMP",
        "artistName,trackName,albumName,playedAt",
        "\ufeffArtist,Name,Album,Date#someuser",
        '"Artist","Track","Album","Date"',
        '"Artist", "Track", "Album", "Date and time"',
        " artist , track , album , utc_time ",
        "Künstler,Titel,Album,Gehört am",
        "INTERPRET,LIED,ALBUM,ZEITSTEMPEL",
        "kunstler,titel,albumtitel,datum",
        "Artiste,Morceau,Album,Date d'écoute",
        "Interprète,Titre,Album,Horodatage",
        "Artista,Canción,Álbum,Fecha y hora",
        "Intérprete,Título,Album,Fecha",
        "Artista,Faixa,Álbum,Data e hora",
        "Artista,Música,Álbum,Ouvido em",
        "Wykonawca,Utwór,Album,Data",
        "Artysta,Tytuł,Album,Data odtworzenia",
        "Исполнитель,Трек,Альбом,Дата",
        "Артист,Название,Альбом,Дата и время",
        "アーティスト,曲名,アルバム,再生日時",
        "アーティスト名,トラック名,アルバム名,日時",
        "Artista,Brano,Album,Data e ora",
        "Artist,Track,Album,Date (UTC)",
        "Artist Name(s),Track Name,Album Name,Played At (UTC)",
        "Interpret(en),Titel,Album,Gespielt",
        "Grupo,Título de la canción,Álbum,Fecha/Hora",
        "Zespół,Tytuł utworu,Album,Odsłuchano",
        "Группа,Песня,Альбом,Прослушано",
        "バンド,楽曲,アルバム,聴いた日時",
        "Artiest,Nummer,Album,Datum en tijd",
    ],
)
def test_columns_are_found_by_their_names(tmp_path: Path, header: str) -> None:
    expected = [(BAND, SONG, ALBUM, NOON)]
    assert read_listens(tmp_path, f"{header}\n{BAND},{SONG},{ALBUM},{TIME}\n") == expected
    for separator in (";", "\t", "|"):
        text = f"{header}\n{BAND},{SONG},{ALBUM},{TIME}\n".replace(",", separator)
        if not (separator == "\t" and '"' in header):
            assert read_listens(tmp_path, text) == expected


@pytest.mark.parametrize(
    "order",
    ["artist title album time", "title artist album time", "time album artist title", "album time title artist"],
)
def test_the_order_of_columns_does_not_matter(tmp_path: Path, order: str) -> None:
    cells = {"artist": BAND, "title": SONG, "album": ALBUM, "time": str(NOON)}
    header, row = order.split(), [cells[name] for name in order.split()]
    for separator in ",;\t":
        text = f"{separator.join(header)}\r\n{separator.join(row)}\r\n"
        assert read_listens(tmp_path, text) == [(BAND, SONG, ALBUM, NOON)]


def test_the_separator_is_the_one_that_divides_the_header(tmp_path: Path) -> None:
    text = f'sep=;\nArtist;Track;Date\n"One, Two, Three, Four";{SONG};{TIME}\n'
    assert read_listens(tmp_path, text) == [("One, Two, Three, Four", SONG, "", NOON)]
    text = f'"One, Two, Three, Four, Five";"{ALBUM}";"{SONG}, again";"{TIME}"\n'
    assert read_listens(tmp_path, text) == [("One, Two, Three, Four, Five", f"{SONG}, again", ALBUM, NOON)]


def test_cells_between_bars_may_be_quoted(tmp_path: Path) -> None:
    for first_line in ("", "sep=|\n"):
        text = f'{first_line}artist|title|date\n"A | B" |"{SONG}" |{TIME}\nA, B|The "One" | {TIME}\n'
        assert read_listens(tmp_path, text) == [("A | B", SONG, "", NOON), ("A, B", 'The "One"', "", NOON)]


def test_a_table_with_lines_of_old_macintoshes_is_refused_with_the_reason(tmp_path: Path) -> None:
    for count in (1, 5_000):
        path = write(tmp_path, "a.csv", "\r".join(["artist,title,date", *[f"{BAND},{SONG},{TIME}"] * count, ""]))
        with pytest.raises(
            FormatError, match=r"^a\.csv: has lines that end with a carriage return only; save the file"
        ):
            read(path)


def test_an_empty_name_of_a_column_is_no_name(tmp_path: Path) -> None:
    text = f"\tartist\ttitle\ttime\n0\t{BAND}\t{SONG}\t{TIME}\n1\t\t{SONG}\t{TIME}\n"
    listens, [refused_row] = read(write(tmp_path, "pandas.tsv", text))
    assert [(listen.artist, listen.title, listen.line) for listen in listens] == [(BAND, SONG, 2)]
    assert (refused_row.line, refused_row.reason[:13]) == (3, "artist: empty")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # A header whose names are not all known is never a row.
        ("artist,track,album,when\nA,B,C,2010-04-09 12:00\n", r"for the time \(not known: 'when'\).*scrobbled at"),
        ("artist,album,track,2010-04-09 12:00\nA,C,B,2010-04-09 12:00\n", "no column for the time"),
        ("who,track,album,date\nA,B,C,2010-04-09 12:00\n", "no column for the artist .*'who'"),
        ("Title,Artist,Album\nB,A,C\n", "no column for the time"),
        ("Artist;Name;Scrobbles;Rank\nA;B;3;1\n", "no column for the time .*'Scrobbles', 'Rank'"),
        ("artist,track\nA,B\n", "no column for the time"),
        ("foo,bar,baz,qux\nA,C,B,2010-04-09 12:00\n", "no column that is known"),
        ("a,b,c,d,e\n1,2,3,4,5\n", "no column that is known"),
        ("artist,title,time\nA,B,3:45\nA,B,2:30\n", "'time' has no times .*'3:45'"),
        ("artist,title,played\nA,B,12\nA,C,3\n", "'played' has no times"),
        ("artist,title,date\nA,B,1.27073E+12\n", "'date' has no times"),
        # Without a header, every row must have its time where the known tools write it.
        ("B,A,2010-04-09 12:00,C\n", "no column that is known"),
        ("2010-04-09 12:00,A,C,B\n", "no column that is known"),
        ("A,C,B,2010-04-09 12:00\nA,C,B,yesterday\n", "not all of its rows have a time .*'yesterday'"),
        ("A,C,B,2010-04-09 12:00\nartist,album,title,date\n", "not all of its rows"),
        ("A,B,2010-04-09 12:00\n", "no column that is known"),
        ("A,X,C,B,D,E,2010-04-09 12:00\n", "no column that is known"),
        ("1,foo,3.5,1270814400\n2,bar,3.6,1270814401\n", "only numbers where the artist would be"),
        ("A,foo,3.5,1270814400\nB,bar,3.6,1270814401\n", "only numbers where the title would be"),
        ("A,C,B,2010-04-09\n", "no column that is known"),
        ("A,C,B,12\n", "no column that is known"),
        # Two columns that can both be the same field.
        ("artist,track,title,date\nA,X,B,2010-04-09 12:00\n", "'title' and 'track' can both be the title"),
        ("artist,song,name,date\nA,X,B,2010-04-09 12:00\n", "can both be the title"),
        ("artist,performer,title,date\nA,X,B,2010-04-09 12:00\n", "'artist' and 'performer' can both be the artist"),
        ("artist,title,date,timestamp\nA,B,2010-04-09 12:00,1400000000\n", "'timestamp' and 'date' have different"),
        ("artist,title,date\nA,B,13/04/2010 12:00\nA,B,04/13/2010 12:00\n", "some dates have the day before the month"),
        ("Dear listener, here, as you asked, are my songs\n", "no column that is known"),
    ],
)  # fmt: skip
def test_nothing_is_read_if_it_is_not_certain_which_column_is_what(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, "a.csv", text)
    with pytest.raises(FormatError, match=rf"^a\.csv: .*{message}"):
        read(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The number of the track.
        ("Artist,Track,Title,Date\nA,3,B,2010-04-09 12:00\nA,4,1979,2010-04-09 12:00\n", ["B", "1979"]),
        # Equal columns.
        ("artist,track,title,date\nA,B,B,2010-04-09 12:00\n", ["B"]),
        ("uts,utc_time,artist,track\n1270814400,09 Apr 2010 12:00,A,B\n", ["B"]),
        # A name of a column in a row, which has a time, is the title of a track.
        ("A,C,Time,2010-04-09 12:00\nA,C,B,2010-04-09 12:04\n", ["Time", "B"]),
        # Not a list of JSON.
        ("[unknown],C,B,2010-04-09 12:00\n", ["B"]),
    ],
)
def test_other_cells_decide_what_names_leave_open(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert [title for _, title, _, _ in read_listens(tmp_path, text)] == expected


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("title artist album", "where the artist would be has more different names than that of the title"),
        ("artist title album", "where the album would be has more different names than that of the title"),
        ("album title artist", "where the artist would be has more different names"),
        ("title album artist", "where the artist would be has more different names"),
    ],
)
def test_a_table_without_names_whose_titles_seem_to_be_elsewhere_is_refused(
    tmp_path: Path, order: str, message: str
) -> None:
    def write_rows(order: str) -> Path:
        cells = [{"title": f"Song {n}", "artist": f"Band {n % 5}", "album": f"Album {n % 7}"} for n in range(12)]
        rows = [",".join([*(row[name] for name in order.split()), TIME]) for row in cells]
        return write(tmp_path, "a.csv", "\n".join(rows))

    assert [listen.title for listen in read(write_rows("artist album title"))[0]] == [f"Song {n}" for n in range(12)]
    with pytest.raises(FormatError, match=rf"^a\.csv: has no names of columns, and the column {message}.* add a first"):
        read(write_rows(order))


def test_a_first_line_in_another_encoding_than_utf_8_is_refused(tmp_path: Path) -> None:
    for encoding in ("latin-1", "cp1252"):
        path = write(tmp_path, "a.csv", "Künstler;Titel;Datum\nA;B;2010-04-09 12:00\n".encode(encoding))
        with pytest.raises(FormatError, match=r"a\.csv: is not UTF-8 in its first line; save the file as UTF-8"):
            read(path)


def test_date_and_time_of_day_may_have_columns_of_their_own(tmp_path: Path) -> None:
    text = f"artist,title,date,time\n{BAND},{SONG},2010-04-09,12:00:00\n"
    assert read_listens(tmp_path, text) == [(BAND, SONG, "", NOON)]
    text = f"artist,title,date,time\n{BAND},{SONG},2010-04-09 12:00,3:45\n"  # the length of the track
    assert read_listens(tmp_path, text) == [(BAND, SONG, "", NOON)]


def test_the_time_of_an_end_needs_what_was_heard(tmp_path: Path) -> None:
    text = f"ts,ms_played,track_name,artist_name\n2010-04-09T12:01:00Z,60000,{SONG},{BAND}\n"
    assert read_listens(tmp_path, text) == [(BAND, SONG, "", NOON)]
    with pytest.raises(FormatError, match="no column for the time"):
        read(write(tmp_path, "a.csv", f"ts,track_name,artist_name\n2010-04-09T12:01:00Z,{SONG},{BAND}\n"))


def test_a_row_without_a_time_is_the_track_that_is_playing_now(tmp_path: Path) -> None:
    for header in ("", "artist,album,title,time\n"):
        text = f"{header}{BAND},{ALBUM},Song Two,\n{BAND},{ALBUM},{SONG},{TIME}\n"
        listens, [refused_row] = read(write(tmp_path, "a.csv", text))
        assert [listen.title for listen in listens] == [SONG]
        assert refused_row.reason.startswith("time: empty, expected a date and time")


def test_the_order_of_day_and_month_is_the_one_that_the_whole_file_proves(tmp_path: Path) -> None:
    rows = [f"{BAND},{ALBUM},{SONG},0{month}/09/2010 12:00:00 +00:00,,00:03:20" for month in (4, 5, 6)]
    filler = [f"{BAND},{ALBUM},{SONG},06/10/2010 12:00:00 +00:00,,"] * 2_000
    path = write(tmp_path, "a.csv", "\n".join([*rows, *filler, rows[0].replace("04/09", "04/30")]))
    listens, refused_rows = read(path)
    assert (listens[0].time, listens[0].duration_ms, refused_rows) == (NOON, 200_000, [])


def test_dates_whose_order_nothing_proves_are_reported(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", f"artist,title,date\n{BAND},{SONG},09/04/2010 12:00\n")
    note, listen = histories.select_files([path]).files[0].read(NOW)
    assert note == FileNote(
        "a.csv", "dates are read as day/month/year, since none of them shows the order of its parts"
    )
    assert isinstance(listen, ListenRecord)
    assert listen.time == NOON


@pytest.mark.parametrize(
    ("date", "has_note"), [("2010-04-09", True), ("9.4.2010", True), (TIME, False), ("1270814400", False)]
)
def test_dates_without_times_of_day_are_reported(tmp_path: Path, date: str, has_note: bool) -> None:
    path = write(tmp_path, "a.csv", f"artist,title,date\n{BAND},Song Two,\n{BAND},{SONG},{date}\n")
    *notes, _, listen = histories.select_files([path]).files[0].read(NOW)
    assert isinstance(listen, ListenRecord)
    assert listen.time == NOON - (43_200 if has_note else 0)
    assert [note.text[:29] for note in notes if isinstance(note, FileNote)] == [
        "dates have no times of day, s"
    ] * has_note


def test_dates_in_another_form_than_the_first_rows_have_are_refused(tmp_path: Path) -> None:
    rows = [f"{BAND},{SONG},2010-04-09 12:00"] * 150 + [f"{BAND},{SONG},09/04/2010 12:00"]
    listens, [refused_row] = read(write(tmp_path, "a.csv", "\n".join(["artist,title,date", *rows])))
    assert (len(listens), refused_row.line) == (150, 152)


def test_html_entities_in_names_are_characters(tmp_path: Path) -> None:
    text = "artist,title,album,date\nGuns N&#039; Roses,Q&amp;A &lt;3 &#x2764;,Drum&Bass &notes; AT&T;,1270814400\n"
    assert read_listens(tmp_path, text) == [("Guns N' Roses", "Q&A <3 ❤", "Drum&Bass &notes; AT&T;", NOON)]


CELLS = st.sampled_from(
    ["artist", "title", "album", "date", "time", "A", "B", TIME, str(NOON), "3:45", "", "12", "name"]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=6), min_size=1, max_size=5), st.sampled_from(",;\t"))
@example([["A", "B", "time", TIME], ["A", "B", "time", "3:45"]], ",")
@example([["", ""], ["artist", "title", "time"]], "\t")
@example([[""], ["artist", "title", "time"]], ",")
def test_a_listen_has_its_time_from_the_column_that_its_table_names(rows: list[list[str]], separator: str) -> None:
    """Check any small table: it is refused, or its header or an arrangement says where everything is."""
    text = "\n".join(separator.join(row) for row in rows)
    try:
        table = find_table(text)
    except FormatError:
        return
    if table is None:
        return
    first = next([cell.strip() for cell in row] for row in rows if separator.join(row))
    if table.header_lines:
        assert first[table.columns["artist"]] == "artist"
        assert first[table.columns["title"]] in ("title", "name")
        assert first[table.columns["time"]] in ("date", "time")
    else:
        assert {field: table.columns[field] for field in ("artist", "album", "title", "time")} in (
            {"artist": 0, "album": 1, "title": 2, "time": 3},
            {"artist": 0, "album": 1, "title": 3, "time": 4},
        )


def test_rows_of_another_width_are_refused_alone(tmp_path: Path) -> None:
    text = f"artist,title,date\n{BAND},{SONG},{TIME}\n{BAND}\n{BAND},{SONG},{TIME}\n"
    listens, refused_rows = read(write(tmp_path, "a.csv", text))
    assert len(listens) == 2
    assert refused_rows == [RefusedRow("a.csv", 3, "fields: 1 of them where the header names 3 columns")]
