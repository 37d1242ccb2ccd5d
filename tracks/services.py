"""Write the catalogue.

Every function that changes anything gives the catalogue a new revision in the same transaction. New tracks do so, too:
cached answers without them are still right, but the tracks that a blocked artist or album stands for are cached by the
revision as well.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from access.services import new_revision
from tracks.match_keys import make_match_key
from tracks.models import Album, Artist, Catalogue, Tag, Track
from tracks.search.services import index_albums, index_artists, index_tracks


def lock_catalogue() -> None:
    """Make other transactions that write the catalogue wait until this one ends; call it before the first write.

    Writers that take turns cannot deadlock, and none adds what another has just added. Readers do not wait.
    """
    row = Catalogue.objects.select_for_update().filter(pk=1)
    if row.first() is None:
        Catalogue.objects.bulk_create([Catalogue(pk=1, revision=new_revision())], ignore_conflicts=True)
        row.first()


def bump_catalogue_revision() -> None:
    """Give the catalogue a new revision, which makes everything cached of it out of date when this is committed."""
    Catalogue.objects.bulk_create(
        [Catalogue(pk=1, revision=new_revision())],
        update_conflicts=True,
        unique_fields=["pk"],
        update_fields=["revision"],
    )


@transaction.atomic
def save_track(track: Track) -> None:
    """Save a track with its match key, and make it findable."""
    lock_catalogue()
    track.match_key = make_match_key(track.artist.name, track.title)
    track.save()
    index_tracks([(track.pk, track.title, track.artist.name)])
    bump_catalogue_revision()


@transaction.atomic
def save_album(album: Album) -> None:
    """Save an album, and make it findable."""
    lock_catalogue()
    album.save()
    index_albums([(album.pk, album.title, album.artist.name)])
    bump_catalogue_revision()


@transaction.atomic
def save_artist(artist: Artist) -> None:
    """Save an artist, and update what contains the artist's name."""
    lock_catalogue()
    artist.save()
    update_artist_names([artist])
    bump_catalogue_revision()


def update_artist_names(artists: Collection[Artist]) -> None:
    """Update what contains the names of artists that are new or have been renamed: match keys and search documents."""
    names = {artist.pk: artist.name for artist in artists}
    index_artists(names.items())
    albums = Album.objects.filter(artist__in=names).values_list("pk", "title", "artist_id")
    index_albums((pk, title, names[artist_id]) for pk, title, artist_id in albums)
    tracks = Track.objects.filter(artist__in=names).only("title", "artist_id", "match_key")
    index_tracks((track.pk, track.title, names[track.artist_id]) for track in tracks)
    outdated = []
    for track in tracks:
        key = make_match_key(names[track.artist_id], track.title)
        if key != track.match_key:
            track.match_key = key
            outdated.append(track)
    Track.objects.bulk_update(outdated, ["match_key"], batch_size=500)


@transaction.atomic
def set_taken_down(track_ids: Collection[int], taken_down_at: datetime | None) -> None:
    """Take tracks down, or offer them again if `taken_down_at` is None."""
    lock_catalogue()
    Track.objects.filter(pk__in=track_ids).update(taken_down_at=taken_down_at)
    bump_catalogue_revision()


@transaction.atomic
def take_down(row: Track | Artist | Album) -> None:
    """Take down a track, or all tracks of an artist or album. Tracks that are down stay as they are."""
    lock_catalogue()
    tracks = Track.objects.filter(pk=row.pk) if isinstance(row, Track) else row.tracks.all()
    if tracks.filter(taken_down_at=None).update(taken_down_at=timezone.now()):
        bump_catalogue_revision()


@transaction.atomic
def delete_from_catalogue(rows: QuerySet[Track] | QuerySet[Artist] | QuerySet[Album] | QuerySet[Tag]) -> None:
    """Delete tracks with their interactions, artists with their tracks, albums without their tracks, or tags.

    The new revision makes the answers of all listeners obsolete, so that deleted interactions stop counting at once.
    """
    lock_catalogue()
    rows.delete()
    bump_catalogue_revision()
