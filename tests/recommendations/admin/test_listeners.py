"""The admin's list of listeners and the page of one of them."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from access.models import Erasure, User
from interactions.models import Interaction
from interactions.preferences.services import add_block
from recommendations.training.run import run_training
from tests.people import NOON, CatalogueFactory, store_interaction, store_track
from tracks.models import Album, Artist, Tag, Track, TrackTag

LIST = "/admin/recommendations/listener/"
VIEWED = "Looked at their plays and recommendations."


@pytest.fixture
def support(db: None) -> Client:
    """Return a client of a member of the staff who may view listeners, and nothing else."""
    return sign_in("support", "view_listener")


def sign_in(name: str, *permissions: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def page_path(user: User, query: str = "") -> str:
    return f"{LIST}{user.pk}/change/{query}"


def read_page(client: Client, user: User, query: str = "") -> str:
    """Return the texts of the page, with | between those of different elements."""
    response = client.get(page_path(user, query))
    assert response.status_code == 200
    content = re.sub(r"<(script|style|svg).*?</\1>", "", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s*\|[\s|]*", "|", html.unescape(re.sub(r"<[^>]+>", "|", content)))


class TestList:
    @pytest.mark.parametrize("words", ["{id}", "x:alice", "Alice from", "alice"])
    def test_a_listener_is_found_by_id_external_id_and_name(self, support: Client, alice: User, words: str) -> None:
        User.objects.filter(pk=alice.pk).update(external_id="x:alice", display_name="Alice from support case 7")
        User.objects.create_user("zoe")
        page = support.get(LIST, {"q": words.format(id=alice.pk)}).content.decode()
        assert page_path(alice) in page
        assert "zoe" not in page

    def test_listeners_whose_erasure_is_pending_are_left_out(self, support: Client, alice: User, bob: User) -> None:
        Erasure.objects.create(user_id=alice.pk)
        page = support.get(LIST).content.decode()
        assert page_path(bob) in page
        assert page_path(alice) not in page

    def test_nothing_can_be_changed(self, support: Client, alice: User) -> None:
        statuses = [support.post(path).status_code for path in (f"{LIST}add/", f"{LIST}{alice.pk}/delete/")]
        assert statuses == [403, 403]
        assert User.objects.filter(pk=alice.pk).exists()


class TestPermission:
    def test_the_page_needs_a_permission_of_its_own(self, alice: User) -> None:
        other = sign_in("other", "view_user", "change_user", "view_interaction", "view_userfeatures")
        assert [other.get(path).status_code for path in (LIST, page_path(alice))] == [403, 403]
        assert "Plays and recommendations" not in other.get(f"/admin/access/user/{alice.pk}/change/").content.decode()
        assert other.get(f"/admin/access/user/{alice.pk}/listener/").status_code == 403
        assert not LogEntry.objects.exists()

    def test_listeners_are_sent_to_the_sign_in_page(self, alice: User) -> None:
        client = Client()
        client.force_login(alice)
        for path in (LIST, page_path(alice)):
            assert client.get(path)["Location"].startswith("/admin/login/")

    def test_the_account_leads_to_the_page(self, alice: User) -> None:
        client = sign_in("other", "view_user", "view_listener")
        for path in ("/admin/access/user/", f"/admin/access/user/{alice.pk}/change/"):
            assert f"/admin/access/user/{alice.pk}/listener/" in client.get(path).content.decode()
        assert client.get(f"/admin/access/user/{alice.pk}/listener/")["Location"] == page_path(alice)

    @pytest.mark.parametrize("pk", ["999999", "alice", "99999999999999999999"])
    def test_an_unknown_listener_is_a_404(self, support: Client, pk: str) -> None:
        assert support.get(f"{LIST}{pk}/change/").status_code == 404

    def test_an_erased_listener_is_a_404(self, support: Client, alice: User) -> None:
        Erasure.objects.create(user_id=alice.pk)
        assert support.get(page_path(alice)).status_code == 404
        assert not LogEntry.objects.exists()


class TestHistory:
    def test_looking_is_logged_in_the_history_of_the_account(self, support: Client, alice: User) -> None:
        for _ in range(3):
            read_page(support, alice)
        entry = LogEntry.objects.get()
        assert (entry.user.username, entry.get_change_message()) == ("support", VIEWED)
        assert entry.get_edited_object() == alice
        operator = Client()
        operator.force_login(User.objects.create_superuser("operator"))
        assert VIEWED in operator.get(f"/admin/access/user/{alice.pk}/history/").content.decode()

    def test_looking_again_an_hour_later_is_logged_again(self, support: Client, alice: User) -> None:
        read_page(support, alice)
        LogEntry.objects.update(action_time=timezone.now() - timedelta(minutes=61))
        read_page(support, alice)
        assert LogEntry.objects.count() == 2

    def test_each_operator_is_logged(self, support: Client, alice: User) -> None:
        read_page(support, alice)
        read_page(sign_in("colleague", "view_listener"), alice)
        assert LogEntry.objects.count() == 2


class TestAccount:
    def test_a_new_listener_is_cold_and_gets_popular_tracks(self, support: Client, alice: User) -> None:
        page = read_page(support, alice)
        assert f"|user id {alice.pk}|Cold|" in page
        assert "|Interactions|0|cold: popular tracks|Model|none in service|tracks are recommended by popularity" in page
        assert "|Nothing has been played.|" in page

    def test_a_listener_with_a_few_plays_gets_a_mix(
        self, support: Client, alice: User, catalogue: CatalogueFactory
    ) -> None:
        catalogue.play(alice, *catalogue.tracks(3))
        assert "|3|cold: personal and popular tracks are mixed until there are 5|" in read_page(support, alice)

    def test_without_consent_it_says_what_is_shown(
        self, support: Client, alice: User, catalogue: CatalogueFactory
    ) -> None:
        catalogue.play(alice, *catalogue.tracks(6))
        User.objects.filter(pk=alice.pk).update(consent=False)
        page = read_page(support, alice)
        assert "|No consent|This listener does not consent: none of their events is stored or learned from" in page
        assert "|Consent|no|" in page
        assert "|Interactions|6|not learned from|" in page
        assert "|Latest plays|Song 5|" in page

    def test_a_deactivated_account_is_marked(self, support: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(is_active=False)
        assert "|Deactivated|Cold|This account is deactivated" in read_page(support, alice)

    def test_it_tells_which_interactions_the_model_has_seen(self, support: Client, catalogue: CatalogueFactory) -> None:
        users, tracks = catalogue.checkerboard()
        assert run_training("test").status == "Published"
        assert "|it has seen all their interactions|" in read_page(support, users[0])
        store_interaction(users[0], tracks[0], "like", at=NOON + timedelta(days=1))
        assert (
            "|it has seen 9 interactions, the latest of 2026-03-01; the current ones are taken into account at each "
            "request|"
        ) in read_page(support, users[0])
        newcomer = User.objects.create_user("newcomer")
        assert "|it was trained without them; what they play is taken into account at" in read_page(support, newcomer)


class TestPlaysAndTaste:
    def test_plays_likes_dislikes_skips_and_blocks_are_listed(
        self, support: Client, alice: User, catalogue: CatalogueFactory
    ) -> None:
        loved, hated, skipped, *others = catalogue.tracks(5)
        catalogue.play(alice, loved, loved, loved, *others)
        store_interaction(alice, loved, "like")
        store_interaction(alice, hated, "dislike")
        store_interaction(alice, skipped, "play", is_skip=True, at=NOON + timedelta(hours=1), ms_played=5_000)
        add_block(alice.pk, "artist", catalogue.artist.pk, None)
        page = read_page(support, alice)
        assert "|Plays|5|Skips|1|Different tracks|4|Time listened|5.0 s|Likes, dislikes now|1, 1|" in page
        assert "|First, last interaction|2026-03-01 12:00, 2026-03-01 13:00|" in page
        assert "|Latest plays|Song 2|The Testers|2026-03-01 13:00, skipped, test|Song 4|" in page
        assert "|Most played|Song 0|The Testers|3 plays|Song 3|The Testers|1 plays|" in page
        assert "|Likes|Song 0|The Testers|Dislikes|Song 1|The Testers|Only skipped|Song 2|The Testers|" in page
        assert "|Blocks|The Testers|artist|since " in page

    def test_artists_and_tags_are_counted_over_all_and_over_the_latest_plays(
        self, support: Client, alice: User, catalogue: CatalogueFactory
    ) -> None:
        jazz, dub = (Tag.objects.create(name=name, kind="genre") for name in ("jazz", "dub"))
        old, new = catalogue.tracks(2)
        newcomer = store_track(title="New", artist=Artist.objects.create(name="The Newcomers"))
        TrackTag.objects.bulk_create(
            TrackTag(track=t, tag=tag) for t, tag in ((old, jazz), (old, dub), (new, dub), (newcomer, dub))
        )
        catalogue.play(alice, *[old] * 200, at=NOON)
        catalogue.play(alice, *[new] * 50, *[newcomer] * 50, at=NOON + timedelta(days=30))
        page = read_page(support, alice)
        assert "|The shares of all plays, and of the 100 latest ones." in page
        assert "|Artists|Plays|all|latest|All|Latest|The Testers|250|83%|50%|The Newcomers|50|17%|50%|" in page
        assert "|Tags|Plays|all|latest|All|Latest|dub|300|100%|100%|jazz|200|67%|0%|" in page

    def test_decades_and_sound_are_shown_where_the_catalogue_has_them(
        self, support: Client, alice: User, catalogue: CatalogueFactory
    ) -> None:
        album = Album.objects.create(title="Old", artist=catalogue.artist, year=1979)
        first = store_track(title="A", artist=catalogue.artist, album=album, tempo=100, energy=0.5)
        second = store_track(title="B", artist=catalogue.artist, released_on="2021-05-01", tempo=160)
        catalogue.play(alice, first, first, second, *catalogue.tracks(1))
        page = read_page(support, alice)
        assert "|Decades|Plays|all|latest|All|Latest|1970s|2|50%|50%|2020s|1|25%|25%|" in page
        assert "|Tempo: 120 beats per minute|Energy: 0.50|The means" in page

    def test_deleted_tracks_do_not_break_the_page(
        self, support: Client, alice: User, catalogue: CatalogueFactory
    ) -> None:
        tracks = catalogue.tracks(6)
        catalogue.play(alice, *tracks)
        tracks[0].delete()
        assert "|Plays|5|" in read_page(support, alice)

    def test_names_are_escaped(self, support: Client, alice: User, catalogue: CatalogueFactory) -> None:
        track = store_track(title="<script>alert(1)</script>", artist=Artist.objects.create(name="<b>"))
        catalogue.play(alice, track)
        assert "<script>alert(1)" not in support.get(page_path(alice)).content.decode()


def test_the_number_of_queries_does_not_depend_on_the_plays(
    support: Client,
    alice: User,
    bob: User,
    catalogue: CatalogueFactory,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    create_long_history(bob, catalogue)
    support.get(page_path(bob))  # fills the caches, and logs that somebody looked
    with django_assert_num_queries(QUERIES):
        support.get(page_path(bob))


QUERIES = 17


def create_long_history(user: User, catalogue: CatalogueFactory, plays: int = 400) -> list[Track]:
    """Let a listener play and like many tracks of many artists with many tags."""
    artists = Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(plays // 10))
    tags = Tag.objects.bulk_create(Tag(name=f"tag {n}") for n in range(plays // 20))
    tracks = Track.objects.bulk_create(
        Track(title=f"Track {n}", artist=artists[n % len(artists)], tempo=60 + n % 100) for n in range(plays // 2)
    )
    TrackTag.objects.bulk_create(
        TrackTag(track=track, tag=tags[(n + k) % len(tags)]) for n, track in enumerate(tracks) for k in (0, 3, 7)
    )
    columns: dict[str, Any] = {"user": user, "source": "test", "milestone": 100, "is_completed": True}
    Interaction.objects.bulk_create(
        Interaction(track=tracks[n * n % len(tracks)], played_at=NOON + timedelta(minutes=n), **columns)
        for n in range(plays)
    )
    return tracks
