"""A block covers the tracks that its artist, album or genre gets later.

Every path that writes tracks is combined with every path that offers them.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models import Q
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from access.models import User
from importers.records import TagRecord, TrackRecord
from interactions.models import Block
from interactions.preferences.services import add_block
from interactions.services import refresh_popular_tracks
from recommendations.serving import filters
from recommendations.serving.model_cache import model_cache
from recommendations.serving.precompute import precompute_rankings
from recommendations.training.run import run_training
from tests.people import CatalogueFactory
from tracks.imports import import_tracks
from tracks.models import Album, Artist, Tag, Track
from tracks.selectors import catalogue_revision
from tracks.services import set_taken_down

LIST = "/admin/tracks/track/"
FANS = 6
numbers = itertools.count(1)


class BlockedCatalogue:
    """Six tracks of a blocked artist and six others; `changes` make a track one that the blocks cover, or add one.

    The blocked artist has a blocked album, which contains a track by a guest; a genre is blocked as well.
    """

    def __init__(self, operator: Client, folder: Path) -> None:
        self.operator, self.folder = operator, folder
        guest = self.record("guest", "guest")._replace(album="Hits", album_id="hits")
        records = [self.record(f"loud:{n}", "loud") for n in range(6)] + [self.record(f"quiet:{n}") for n in range(6)]
        import_tracks([*records, guest._replace(tags=(TagRecord("folk", "genre"),))])
        self.artist, self.album = Artist.objects.get(name="loud"), Album.objects.get(title="Hits")
        self.genre = Tag.objects.get(name="folk")
        self.listeners = [User.objects.create_user("known"), User.objects.create_user("new")]
        self.fans = [User.objects.create_user(f"fan {n}") for n in range(FANS)]
        quiet = Track.objects.filter(artist__name="quiet").order_by("pk")
        CatalogueFactory.play(self.listeners[0], *quiet[:5])
        for fan in self.fans:
            CatalogueFactory.play(fan, *quiet)
        for listener in self.listeners:
            for kind, target in (("artist", self.artist), ("album", self.album), ("genre", self.genre)):
                add_block(listener.pk, kind, target.pk, None)

    @staticmethod
    def record(external_id: str, artist: str = "quiet") -> TrackRecord:
        return TrackRecord(external_id, f"Song {external_id}", artist, artist)

    def covered_tracks(self) -> set[int]:
        """Return the ids of the tracks that the blocks cover, as the database has them now."""
        covered = Q(artist=self.artist) | Q(album=self.album) | Q(tags=self.genre)
        return set(Track.objects.filter(covered).values_list("pk", flat=True))

    def another_track(self) -> Track:
        """Return a track that no block covers; a new one if all are covered."""
        track = Track.objects.exclude(pk__in=self.covered_tracks()).order_by("pk").last()
        if track is None:
            import_tracks([self.record(f"more:{next(numbers)}")])
            track = Track.objects.latest("pk")
        return track

    def edit(self, track: Track, **changes: object) -> None:
        form = {"title": track.title, "artist": track.artist_id, "album": track.album_id or ""} | INLINE_FORMS | changes
        response = self.operator.post(f"{LIST}{track.pk}/change/", form)
        assert response.status_code == 302, response.content

    def let_fans_play(self, track_ids: set[int]) -> None:
        """Make tracks the most popular, so that every source would offer them."""
        tracks = Track.objects.filter(pk__in=track_ids)
        for fan in self.fans:
            CatalogueFactory.play(fan, *tracks)
        refresh_popular_tracks()
        model_cache.refresh_popularity()


def import_csv(world: BlockedCatalogue) -> None:
    """Import a file of plays that names a new track of the blocked artist, without an album and without tags."""
    path = world.folder / f"plays-{next(numbers)}.csv"
    path.write_text(
        "user,track,title,artist,artist_id,played_at\n" + f"zoe,csv:{path.stem},Song,loud,loud,1700000000\n"
    )
    call_command("import_plays", str(path), format="csv")


def add_in_admin(world: BlockedCatalogue) -> None:
    form = {"title": f"Added {next(numbers)}", "artist": world.artist.pk} | INLINE_FORMS
    assert world.operator.post(f"{LIST}add/", form).status_code == 302


def tag_in_admin(world: BlockedCatalogue) -> None:
    inline = {"track_tags-TOTAL_FORMS": "1", "track_tags-0-tag": world.genre.pk, "track_tags-0-weight": "1"}
    world.edit(world.another_track(), **inline)


def take_down_and_offer_again(world: BlockedCatalogue) -> None:
    [track, *_] = Track.objects.filter(artist=world.artist)
    set_taken_down([track.pk], timezone.now())
    world.operator.post(LIST, {"action": "offer_again", "_selected_action": track.pk})


def upsert(world: BlockedCatalogue, **stated: Any) -> None:
    """Upsert a track that exists, and that no block covers, with other fields."""
    track = world.another_track()
    record = TrackRecord(str(track.external_id), track.title, track.artist.name, str(track.artist.external_id))
    import_tracks([record._replace(**stated)])


INLINE_FORMS = {"track_tags-TOTAL_FORMS": "0", "track_tags-INITIAL_FORMS": "0"}
CHANGES: dict[str, Callable[[BlockedCatalogue], object]] = {
    "import a new track": import_csv,
    "upsert a new track of the artist": lambda w: import_tracks([w.record(f"new:{next(numbers)}", "loud")]),
    "upsert a new track of the album": lambda w: import_tracks(
        [w.record(f"new:{next(numbers)}", "guest")._replace(album="Hits", album_id="hits")]
    ),
    "upsert a new track of the genre": lambda w: import_tracks(
        [w.record(f"new:{next(numbers)}")._replace(tags=(TagRecord("folk", "genre"),))]
    ),
    "upsert another artist": lambda w: upsert(w, artist="loud", artist_id="loud"),
    "upsert another album": lambda w: upsert(w, album="Hits", album_id="hits"),
    "upsert a genre": lambda w: upsert(w, tags=(TagRecord("folk", "genre"),)),
    "add in the admin": add_in_admin,
    "another artist in the admin": lambda w: w.edit(w.another_track(), artist=w.artist.pk),
    "another album in the admin": lambda w: w.edit(w.another_track(), album=w.album.pk),
    "a genre in the admin": tag_in_admin,
    "take down and offer again": take_down_and_offer_again,
}


@pytest.fixture
def blocked_catalogue(admin_client: Client, tmp_path: Path) -> BlockedCatalogue:
    return BlockedCatalogue(admin_client, tmp_path)


def offered_tracks(service: APIClient, world: BlockedCatalogue) -> dict[str, set[int]]:
    """Return the ids of all tracks that each kind of request offers to the listeners of the blocks."""
    users, seed = (
        [listener.pk for listener in world.listeners],
        Track.objects.filter(artist__name="quiet").earliest("pk"),
    )
    kinds = [{"kind": "personal"}, {"kind": "similar", "track_id": seed.pk}, {"kind": "popular"}]
    shelves = [{"name": f"s{n}", "limit": 30} | kind for n, kind in enumerate(kinds)]
    precompute_rankings(users)  # stored only where there is a Redis
    answers: dict[str, list[Any]] = {
        "personal": [service.get(f"/recommend/user/{pk}/ml?limit=50").json() for pk in users],
        "personal, also what is known": [
            service.get(f"/recommend/user/{pk}/ml?limit=30&exclude_played=false").json() for pk in users
        ],
        "legacy": [service.get(f"/recommend/user/{pk}?limit=30").json() for pk in users],
        "similar": [service.get(f"/recommend/similar/{seed.pk}?limit=30&user_id={pk}").json() for pk in users],
        "batch": service.post("/recommend/batch", {"users": users, "limit": 40}, format="json").json()["answers"],
        "shelves": [
            shelf
            for pk in users
            for shelf in service.post("/recommend/batch", {"user_id": pk, "shelves": shelves}, format="json").json()[
                "shelves"
            ]
        ],
    }
    return {kind: {r["track_id"] for answer in found for r in answer["results"]} for kind, found in answers.items()}


def assert_blocked(service: APIClient, world: BlockedCatalogue) -> None:
    covered = world.covered_tracks()
    world.let_fans_play(covered)
    for kind, track_ids in offered_tracks(service, world).items():
        assert not track_ids & covered, kind


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_a_block_covers_bumps_the_revision_and_is_not_offered_before_or_after_training(
    change: str, blocked_catalogue: BlockedCatalogue, service: APIClient
) -> None:
    assert_blocked(service, blocked_catalogue)
    revision = catalogue_revision()
    CHANGES[change](blocked_catalogue)
    assert catalogue_revision() != revision
    assert_blocked(service, blocked_catalogue)
    assert run_training("test").status == "Published"
    assert_blocked(service, blocked_catalogue)


@pytest.mark.slow
def test_no_sequence_of_changes_gets_a_track_past_a_block(
    blocked_catalogue: BlockedCatalogue, service: APIClient
) -> None:
    assert run_training("test").status == "Published"

    @settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
    @given(changes=st.lists(st.sampled_from([*CHANGES, "train", "delete"]), min_size=2, max_size=6))
    def check_sequence(changes: list[str]) -> None:
        with transaction.atomic():
            for change in changes:
                if change == "train":
                    run_training("test", force=True)
                elif change == "delete":
                    path = f"{LIST}{blocked_catalogue.another_track().pk}/delete/"
                    assert blocked_catalogue.operator.post(path, {"post": "yes"}).status_code == 302
                else:
                    CHANGES[change](blocked_catalogue)
                assert_blocked(service, blocked_catalogue)
            transaction.set_rollback(True)

    check_sequence()


def test_a_track_that_was_added_by_sql_is_covered_a_minute_later(
    blocked_catalogue: BlockedCatalogue, service: APIClient
) -> None:
    assert_blocked(service, blocked_catalogue)
    Track.objects.create(title="Typed", artist=blocked_catalogue.artist)
    filters._blocked_track_ids.cache.expire(time.monotonic() + 61)
    assert_blocked(service, blocked_catalogue)


def test_removing_a_block_offers_the_new_tracks_at_once(
    blocked_catalogue: BlockedCatalogue, service: APIClient
) -> None:
    import_tracks([blocked_catalogue.record("new", "loud")])
    new = Track.objects.get(external_id="new").pk
    assert_blocked(service, blocked_catalogue)
    Block.objects.filter(kind="artist").delete()
    assert new in offered_tracks(service, blocked_catalogue)["legacy"]
