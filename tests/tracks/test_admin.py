from collections.abc import Callable

import pytest
from django.test import Client

from tests.people import CatalogueFactory
from tracks.models import Album, Tag, Track, TrackTag
from tracks.selectors import catalogue_revision

LIST = "/admin/tracks/track/"
INLINE_FORMS = {"track_tags-TOTAL_FORMS": "0", "track_tags-INITIAL_FORMS": "0"}


def form_of(track: Track, **changes: object) -> dict[str, object]:
    return {"title": track.title, "artist": track.artist_id} | INLINE_FORMS | changes


CHANGES: dict[str, Callable[[Client, Track], object]] = {
    "edit": lambda browser, track: browser.post(f"{LIST}{track.pk}/change/", form_of(track, title="Another title")),
    "take down": lambda browser, track: browser.post(LIST, {"action": "take_down", "_selected_action": track.pk}),
    "delete": lambda browser, track: browser.post(f"{LIST}{track.pk}/delete/", {"post": "yes"}),
    "delete several": lambda browser, track: browser.post(
        LIST, {"action": "delete_selected", "_selected_action": track.pk, "post": "yes"}
    ),
    "rename the artist": lambda browser, track: browser.post(
        f"/admin/tracks/artist/{track.artist_id}/change/", {"name": "Another name"}
    ),
    "delete the album": lambda browser, track: browser.post(
        f"/admin/tracks/album/{track.album_id}/delete/", {"post": "yes"}
    ),
    "delete a tag": lambda browser, track: browser.post(
        f"/admin/tracks/tag/{track.tags.get().pk}/delete/", {"post": "yes"}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_bumps_the_revision_of_the_catalogue(
    change: str, admin_client: Client, catalogue: CatalogueFactory
) -> None:
    [track] = catalogue.tracks(1, album=Album.objects.create(title="Album", artist=catalogue.artist))
    TrackTag.objects.create(track=track, tag=Tag.objects.create(name="folk", kind="genre"))
    revision = catalogue_revision()
    CHANGES[change](admin_client, track)
    assert catalogue_revision() != revision


def test_a_track_edited_in_the_admin_gets_a_new_match_key(admin_client: Client, catalogue: CatalogueFactory) -> None:
    [track] = catalogue.tracks(1)
    admin_client.post(f"{LIST}{track.pk}/change/", form_of(track, title="Another Title"))
    track.refresh_from_db()
    assert (track.title, track.match_key) == ("Another Title", "the testers\x1fanother title")


def test_tracks_are_taken_down_and_offered_again(admin_client: Client, catalogue: CatalogueFactory) -> None:
    first, second = catalogue.tracks(2)
    admin_client.post(LIST, {"action": "take_down", "_selected_action": first.pk})
    assert list(Track.objects.filter(taken_down_at=None)) == [second]
    admin_client.post(LIST, {"action": "offer_again", "_selected_action": [first.pk, second.pk]})
    assert not Track.objects.exclude(taken_down_at=None).exists()
