from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from hypothesis import given
from hypothesis import strategies as st

from importers.records import TrackRecord
from tests.people import store_track
from tracks.imports import import_tracks
from tracks.match_keys import MAX_KEY_LENGTH, make_match_key, normalize_name
from tracks.matching import TrackQuery, match_tracks
from tracks.models import Artist, Track
from tracks.services import save_artist, save_track

MBID = UUID("8f3471b5-7e6a-48da-86a9-c1c07a0f47ae")


def query(artist: str = "", title: str = "", isrc: str = "", mbid: UUID | None = None) -> TrackQuery:
    return TrackQuery(mbid, isrc, make_match_key(artist, title))


def no_listeners(tracks: object) -> dict[int, int]:
    return {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Beyoncé", "beyonce"),
        ("Sigur Rós", "SIGUR ROS"),
        ("Mø", "MO"),
        ("Don’t Stop", "Dont stop"),
        ("Rock & Roll", "Rock and Roll"),
        ("Help! (Remastered 2009)", "Help!"),
        ("Help! - Remastered 2009", "help"),
        ("Help! - 2009 Remaster", "help"),
        ("Umbrella (feat. JAY-Z)", "Umbrella"),
        ("Umbrella feat. JAY-Z", "Umbrella"),
        ("Umbrella ft JAY-Z", "Umbrella"),
        ("ＦＵＬＬ　ＷＩＤＴＨ", "full width"),
        ("Straße", "STRASSE"),
        ("  A   B ", "a b"),
        ("Song [Explicit]", "Song"),
        ("Rock &amp; Roll", "Rock & Roll"),
        ("Rock &amp;amp; Roll", "rock and roll"),
        ("Don&#39;t Stop", "Don't Stop"),
        ("Don&#x2019;t Stop", "Don’t Stop"),
        ("&quot;Heroes&quot;", "“Heroes”"),
        ("Beyonc&eacute;", "Beyoncé"),
        ("&Eacute;TOILE&nbsp;1", "étoile 1"),
        ("Song&#8203;", "Song"),
        ("Cafe\u0301", "Café"),
        ("So\u00adng\u200b \u2060A\ufeff", "Song A"),
        ("\u202aSong\u202c \u2068A\u2069", "Song A"),
        ("I ❤\ufe0f You", "I ❤ You"),
        ("So\u034fng\u3164", "Song"),
        ("Song\u2003A\u00a0", "Song A"),
    ],
)
def test_names_written_differently_are_normalized_alike(one: str, other: str) -> None:
    assert normalize_name(one) == normalize_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Help! (Live)", "Help!"),
        ("Part 1", "Part 2"),
        ("ガ", "カ"),
        ("Feat", "Defeat"),
        ("!!!", "???"),
        ("कि", "की"),
        ("Song (Acoustic)", "Song"),
        ("A &notanentity; B", "A ¬ B"),
        ("R&B", "R"),
    ],
)
def test_names_of_other_recordings_stay_different(one: str, other: str) -> None:
    assert normalize_name(one) != normalize_name(other)


@pytest.mark.one_stack
@given(st.text())
def test_normalizing_is_idempotent(name: str) -> None:
    assert normalize_name(normalize_name(name)) == normalize_name(name)


@pytest.mark.one_stack
@given(st.text(alphabet="ABft.ea;#3mp ()[]-–'&2019remasdvxplicgu\u0301\u00ad!", max_size=60))
def test_normalizing_names_like_those_of_tracks_is_idempotent(name: str) -> None:
    assert normalize_name(normalize_name(name)) == normalize_name(name)


@given(st.text(), st.text())
def test_a_match_key_fits_its_column_and_contains_no_null(artist: str, title: str) -> None:
    key = make_match_key(artist, title)
    assert len(key) <= MAX_KEY_LENGTH
    assert "\0" not in key
    key.encode()


def test_a_match_key_needs_both_names_and_is_hashed_if_long() -> None:
    assert make_match_key("", "Song") == make_match_key("Band", " ") == ""
    assert make_match_key("Band", "Song") == "band\x1fsong"
    assert len(make_match_key("Band", "la " * 200)) == 64
    assert make_match_key("Band", "la " * 200) != make_match_key("Band", "la " * 201)


@pytest.mark.usefixtures("db")
def test_an_mbid_takes_precedence_over_an_isrc_and_that_over_names() -> None:
    band = Artist.objects.create(name="Band")
    by_name = store_track(title="Song", artist=band)
    by_isrc = store_track(title="Other", artist=band, isrc="GBAYE0601498")
    by_mbid = store_track(title="Third", artist=band, mbid=MBID)
    everything = query("Band", "Song", "GBAYE0601498", MBID)
    no_mbid = query("BAND", "song", "GBAYE0601498", UUID(int=7))
    names = query("band", "Song (feat. Someone)", "GBAYE0601499")
    nothing = query("Band", "Unknown")
    assert match_tracks([everything, no_mbid, names, nothing], no_listeners) == {
        everything: by_mbid.pk,
        no_mbid: by_isrc.pk,
        names: by_name.pk,
    }


@pytest.mark.usefixtures("db")
def test_of_several_tracks_with_a_key_the_most_popular_is_chosen_then_the_oldest() -> None:
    band = Artist.objects.create(name="Band")
    one, two, three = (store_track(title=t, artist=band) for t in ("Song", "SONG", "Song (Remastered)"))
    song = query("Band", "Song")
    assert match_tracks([song], no_listeners) == {song: one.pk}
    assert match_tracks([song], lambda ids: {two.pk: 3, three.pk: 3}) == {song: two.pk}


@pytest.mark.usefixtures("db")
def test_of_several_tracks_with_an_mbid_or_isrc_the_oldest_is_chosen_whatever_their_listeners() -> None:
    band = Artist.objects.create(name="Band")
    single, on_album = (store_track(title="Song", artist=band, mbid=MBID, isrc="GBAYE0601498") for _ in range(2))
    by_mbid, by_isrc = query(mbid=MBID), query(isrc="GBAYE0601498")
    expected = {by_mbid: single.pk, by_isrc: single.pk}
    assert match_tracks([by_mbid, by_isrc], lambda ids: {on_album.pk: 9}) == expected


@pytest.mark.usefixtures("db")
def test_every_service_that_writes_tracks_updates_their_match_keys() -> None:
    import_tracks([TrackRecord("x:1", "Song", "Band", "x:b"), TrackRecord("x:2", "Other", "Band", "x:b")])
    track = Track.objects.get(external_id="x:1")
    assert track.match_key == "band\x1fsong"
    import_tracks([TrackRecord("x:1", "Song Two", "Called otherwise", "x:b")])
    track.refresh_from_db()
    assert track.match_key == "band\x1fsong two"  # the name of an artist is that of their first row
    track.title = "Song Three"
    save_track(track)
    assert Track.objects.get(pk=track.pk).match_key == "band\x1fsong three"
    artist = track.artist
    artist.name = "The Bänd"
    save_artist(artist)
    assert set(Track.objects.values_list("match_key", flat=True)) == {"the band\x1fsong three", "the band\x1fother"}


@pytest.mark.usefixtures("db")
def test_a_placeholder_title_does_not_change_the_match_key_of_a_known_track() -> None:
    import_tracks([TrackRecord("x:1", "Song", "Band", "x:b")])
    change = import_tracks([TrackRecord("x:1", "Track 1", "Artist b", "x:b", has_placeholder_names=True)])
    assert change.updated == 0
    assert Track.objects.get().match_key == "band\x1fsong"


@pytest.mark.usefixtures("transactional_db")
def test_the_migration_fills_match_keys_of_existing_rows() -> None:
    band = Artist.objects.create(name="Band")
    Track.objects.bulk_create(Track(title=f"Song {n}", artist=band) for n in range(3))
    assert set(Track.objects.values_list("match_key", flat=True)) == {""}
    fill = MigrationExecutor(connection).loader.get_migration("tracks", "0003_match_keys").operations[0]
    from django.apps import apps

    fill.code(apps, None)
    assert set(Track.objects.values_list("match_key", flat=True)) == {f"band\x1fsong {n}" for n in range(3)}


@pytest.mark.usefixtures("transactional_db")
@pytest.mark.parametrize(
    ("artist", "title", "key"),
    [("Simon &amp; Co", "Song", "simon and co\x1fsong"), ("Band", "❤\ufe0f", "band\x1f❤"), ("Band", "One", "old")],
)
def test_a_migration_updates_the_match_keys_of_names_with_entities(artist: str, title: str, key: str) -> None:
    Track.objects.bulk_create([Track(title=title, artist=Artist.objects.create(name=artist), match_key="old")])
    migrations = MigrationExecutor(connection).loader
    update = migrations.get_migration("tracks", "0005_match_keys_of_entities").operations[0]
    from django.apps import apps

    update.code(apps, None)
    assert Track.objects.get().match_key == key


@pytest.mark.usefixtures("db")
def test_the_migrations_are_up_to_date() -> None:
    call_command("makemigrations", "tracks", "--check", "--dry-run", verbosity=0)
