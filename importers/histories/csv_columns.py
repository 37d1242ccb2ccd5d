"""The names of columns in CSV files of listens, as common tools write them, in several languages."""

from __future__ import annotations

import unicodedata

# Within a field, names that come first are preferred. Upper case, spaces, punctuation and diacritics do not matter.
COLUMN_NAMES: dict[str, str] = {
    "artist": """
        artist, artists, artist name, artist names, track artist, performer, band,
        Künstler, Kuenstler, Künstlername, Interpret, Interpreten, artiste, artistes, interprète, nom de l'artiste,
        artista, artistas, nombre del artista, nome do artista, intérprete, nome artista, wykonawca, artysta,
        исполнитель, артист, имя исполнителя, アーティスト, アーティスト名, 歌手, artiest, konstnär, umělec, interpret,
        Sänger, groupe, chanteur, cantante, banda, grupo, zespół, группа, バンド, sanatçı, 艺术家, 艺人, 아티스트
    """,
    "album artist": "album artist, album artist name",
    "title": """
        title, track title, track name, song title, song name, track, song, name, recording, recording name,
        Titel, Titelname, Songtitel, Musiktitel, Lied, Stück, titre, nom du titre, morceau,
        chanson, piste, título, titulo, canción, pista, tema, nombre de la canción, música, faixa, canção,
        nome da faixa, nome da música, tytuł, utwór, piosenka, nazwa utworu, название, трек, песня, композиция,
        название трека, название песни, 曲名, タイトル, トラック, トラック名, 曲, 楽曲, titolo, brano, canzone, traccia,
        titre du morceau, nom de la piste, título de la canción, título da música, tytuł utworu, имя трека,
        nummer, liedje, skladba, låt, şarkı, 歌曲, 曲目, 제목, 노래
    """,
    "album": """
        album, album name, album title, release, release name, Albumname, Albumtitel,
        nom de l'album, álbum, nombre del álbum, nome do álbum, nazwa albumu, альбом, название альбома, アルバム,
        アルバム名, 专辑, 앨범
    """,
    "time": """
        uts, unix timestamp, unix time, epoch, timestamp, time ms, timestamp ms, utc time, utc, date uts,
        played at, listened at, scrobbled at, scrobble time, scrobble date, scrobbled on, scrobbled, listened on,
        listen date, played on, date played, time played, play time, play date, played, listened, date time,
        date and time, datetime, date, time, started at, start time,
        Zeitstempel, Zeitpunkt, Datum, Uhrzeit, Zeit, Datum und Uhrzeit, gehört am, gespielt am, abgespielt am,
        horodatage, date et heure, date d'écoute, écouté le, joué le, heure, marca de tiempo, fecha y hora, fecha, hora,
        escuchado el, reproducido el, fecha de reproducción, data e hora, data, ouvido em, reproduzido em, tocado em,
        znacznik czasu, data i godzina, data odtworzenia, odtworzono, godzina, czas, дата и время, дата, время,
        прослушано, дата прослушивания, 再生日時, 日時, 日付, 時刻, 再生日, data e ora, ora, datum en tijd, tijd,
        Datum Uhrzeit, gehört, gespielt, abgespielt, wiedergegeben am, gescrobbelt am, date heure, écouté, joué, lu le,
        fecha hora, escuchado, reproducido, data hora, ouvido, reproduzido, tocado, odsłuchano, data odsłuchania,
        прослушан, воспроизведено, スクロブル日時, 聴いた日時,
        datum a čas, tarih, 时间, 日期, 播放时间, 시간, 날짜
    """,
    "end time": "ts, end time, ended at, stopped at",
    "mbid": "track mbid, recording mbid, mbid",
    "isrc": "isrc",
    "ms_played": "ms played",
    "duration_ms": "duration ms, track duration ms",
    "duration": "duration, length, Dauer, Länge, durée, duración, duração, czas trwania, длительность, 再生時間",
    "event": "event",
    "device": "media player name, media player, media player package, device, platform",
}

COMMON_NAMES = {  # for messages
    "artist": "artist, artist name or performer",
    "title": "track, title, song or track name",
    "time": "date, time, timestamp, uts, played at or scrobbled at",
}


def normalize_column_name(cell: str) -> str:
    """Return the letters and digits of a column's name, without case and diacritics, and without a `#comment`."""
    name = cell.strip().partition("#")[0] or cell
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in decomposed if character.isalnum())


def find_field(cell: str) -> tuple[str, int] | None:
    """Return the field that a column has, and the rank of its name among those of the field; None if it is unknown."""
    name = normalize_column_name(cell)
    return _FIELDS.get(name) or _FIELDS.get(name.removesuffix("utc"))


_FIELDS: dict[str, tuple[str, int]] = {}  # field and rank, by the normalized name of a column

for _field, _names in COLUMN_NAMES.items():
    for _rank, _name in enumerate(_names.split(",")):
        _FIELDS.setdefault(normalize_column_name(_name), (_field, _rank))
