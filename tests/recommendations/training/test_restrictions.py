from datetime import timedelta
from typing import Any

from django.utils import timezone

from access.models import User
from interactions.models import Block
from recommendations.training.restrictions import load_restrictions
from tests.people import NOON, CatalogueFactory, store_track
from tracks.models import Album, Artist, Tag, Track, TrackTag


def test_blocks_in_force_and_unavailable_tracks_are_loaded_by_listener(
    catalogue: CatalogueFactory, django_assert_num_queries: Any
) -> None:
    others = Artist.objects.create(name="The Others", external_id="o:artist")
    [first, second], explicit = catalogue.tracks(2), catalogue.tracks(1, explicit=True)[0]
    by_others = store_track(title="Another", artist=others, external_id="o:1")
    german = store_track(title="Deutsch", artist=others, external_id="o:2", markets="DE")
    gone = store_track(title="Gone", artist=others, external_id="o:3", taken_down_at=NOON)
    anna, ben, cleo, dan, eve = (
        User.objects.create(username="anna"),
        User.objects.create(username="ben", market="FR"),
        User.objects.create(username="cleo", market="FR"),
        User.objects.create(username="dan", allow_explicit=False),
        User.objects.create(username="eve"),
    )
    album, rock = (
        Album.objects.create(title="First", artist=others, external_id="o:album"),
        Tag.objects.create(name="rock"),
    )
    Track.objects.filter(pk=second.pk).update(album=album)
    TrackTag.objects.create(track=first, tag=rock)
    now = timezone.now()
    for user, kind, target, until in (
        (anna, "artist", others, None),
        (anna, "track", second, now + timedelta(days=1)),
        (ben, "track", second, None),
        (cleo, "album", album, None),
        (cleo, "artist", Artist.objects.create(name="Nobody", external_id="n"), None),
        (dan, "genre", rock, None),
        (eve, "genre", rock, None),
        (ben, "track", first, now - timedelta(days=1)),
    ):
        Block.objects.create(user=user, kind=kind, target_id=target.pk, until=until)

    # Blocks, exclusions, artists, albums, genres, listeners, and the tracks of three audiences.
    with django_assert_num_queries(9):
        restrictions = load_restrictions()
    assert {pk: ids.tolist() for pk, ids in restrictions.blocked.items()} == {
        anna.pk: [second.pk, by_others.pk, german.pk, gone.pk],
        ben.pk: [second.pk],
        cleo.pk: [second.pk],
        dan.pk: [first.pk],
        eve.pk: [first.pk],
    }
    assert restrictions.blocked[dan.pk] is restrictions.blocked[eve.pk]
    assert restrictions.unavailable.tolist() == [gone.pk]
    assert {pk: ids.tolist() for pk, ids in restrictions.unavailable_to.items()} == {
        ben.pk: [german.pk, gone.pk],
        cleo.pk: [german.pk, gone.pk],
        dan.pk: [explicit.pk, gone.pk],
    }
    assert restrictions.unavailable_to[ben.pk] is restrictions.unavailable_to[cleo.pk]
