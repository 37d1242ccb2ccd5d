"""The tabs of a listener's page that show how a slate comes about, and what dials change."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from access.models import User
from engine.pipeline import POLICIES, Caps
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.models import Exposure
from interactions.preferences.services import add_block
from interactions.services import refresh_popular_tracks
from recommendations.policies.services import save_policy, use_policy
from recommendations.training.run import run_training
from tests.people import NOON, CatalogueFactory, store_interaction
from tests.recommendations.admin.test_listeners import create_long_history, page_path, read_page, sign_in
from tracks.models import Artist, Track
from tracks.services import set_taken_down

SLATE, DIALS = "?tab=slate", "?tab=dials"
QUERIES = 7  # session, operator, two for permissions, listener, log, context; the cards are cached


@pytest.fixture
def support(db: None) -> Client:
    return sign_in("support", "view_listener")


@dataclass
class World:
    users: list[User]
    tracks: list[Track]
    artists: list[Artist]


@pytest.fixture
def world(catalogue: CatalogueFactory) -> World:
    """Return twenty trained listeners of twenty tracks, four by each of five artists."""
    users, tracks = catalogue.checkerboard()
    artists = Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(5))
    for number, track in enumerate(tracks):
        Track.objects.filter(pk=track.pk).update(artist=artists[number % 5])
    assert run_training("test").status == "Published"
    return World(users, tracks, artists)


def load_tab(client: Client, user: User, query: str) -> dict[str, Any]:
    """Return the context of the page."""
    response = client.get(page_path(user, query))
    assert response.status_code == 200
    context: dict[str, Any] = response.context_data  # type: ignore[attr-defined]
    return context


def slate_of(context: dict[str, Any]) -> list[int]:
    return [row.after.track_id for row in context["rows"] if row.after]


def filtered_by(context: dict[str, Any]) -> dict[str, int]:
    return {summary.reason: summary.total for summary in context["filters"]}


class TestSlate:
    @pytest.mark.parametrize("plays", [0, 3, 9])
    def test_it_is_the_slate_that_the_api_serves(
        self, support: Client, service: APIClient, world: World, plays: int
    ) -> None:
        user = User.objects.create_user("newcomer")
        CatalogueFactory.play(user, *world.tracks[0 : 2 * plays : 2])
        answer = service.get(f"/recommend/user/{user.pk}/ml", {"limit": 20, "explain": "true"}).json()
        context = load_tab(support, user, SLATE)
        assert slate_of(context) == [result["track_id"] for result in answer["results"]]
        assert [row.reason for row in context["rows"]] == [r["explanation"]["text"] for r in answer["results"]]

    def test_nothing_is_logged_cached_or_written(self, support: Client, world: World) -> None:
        user = world.users[0]
        revision = User.objects.get(pk=user.pk).revision
        for query in (SLATE, DIALS, f"{SLATE}&familiarity=1", f"{DIALS}&policy=repeats"):
            load_tab(support, user, query)
        slate_log.flush()
        assert not Slate.objects.exists()
        assert not Exposure.objects.exists()
        assert User.objects.get(pk=user.pk).revision == revision
        assert LogEntry.objects.count() == 1  # that somebody looked

    def test_each_source_shows_its_candidates_and_scores(self, support: Client, world: World) -> None:
        context = load_tab(support, world.users[0], SLATE)
        first = context["sources"][0]
        assert (first.name, first.weight, first.candidates) == ("personal", "main", "11")
        assert first.best[0].title == "Song 0"  # the only even track that they have not played
        scores = [float(track.note) for track in first.best]
        assert scores == sorted(scores, reverse=True)
        assert len(context["timings"]) == 5

    def test_it_says_why_tracks_were_left_out(self, support: Client, world: World) -> None:
        user, tracks = world.users[0], world.tracks
        store_interaction(user, tracks[3], "dislike")
        add_block(user.pk, "artist", world.artists[1].pk, None)  # its tracks are 1, 6, 11 and 16
        set_taken_down([tracks[5].pk], NOON)
        Track.objects.filter(pk=tracks[7].pk).update(markets="AT CH")
        Track.objects.filter(pk=tracks[9].pk).update(explicit=True)
        User.objects.filter(pk=user.pk).update(market="DE", allow_explicit=False)
        assert filtered_by(load_tab(support, user, SLATE)) == {
            "played or skipped before": 7,
            "blocked: the artist Artist 1": 4,
            "disliked": 1,
            "taken down": 1,
            "not available in their market, DE": 1,
            "explicit, which they do not want": 1,
        }

    def test_a_track_that_was_just_played_waits_for_its_repeat(self, support: Client, world: World) -> None:
        user = world.users[0]
        before_this_session = timezone.now() - timedelta(hours=2)
        store_interaction(user, world.tracks[2], "play", at=before_this_session)
        context = load_tab(support, user, f"{SLATE}&familiarity=0.5")
        assert filtered_by(context)["played less than 12 hours ago"] == 1
        assert world.tracks[2].pk in slate_of(load_tab(support, user, f"{SLATE}&familiarity=1&repeat_after_hours=0"))

    def test_ranking_is_shown_beside_the_order_by_relevance(self, support: Client, world: World) -> None:
        user = User.objects.create_user("newcomer")
        CatalogueFactory.play(user, *world.tracks[0:12:2])
        personal = POLICIES["personal"]
        only_new = replace(personal.dials, familiarity=0.0)
        one_each = replace(personal, dials=only_new, caps=Caps(per_artist=1, artist_gap=0))
        use_policy("personal", save_policy(one_each).version)
        context = load_tab(support, user, f"{SLATE}&limit=5")
        assert context["policy"].label == "personal@1"
        artists = Track.objects.in_bulk(slate_of(context))
        assert len({track.artist_id for track in artists.values()}) == 5
        left_out = [row.before for row in context["rows"] if row.before.css == "worse"]
        assert {track.note for track in left_out} == {"left out: its artist has 1 on the slate, and the cap is 1 in 20"}
        risen = [row.after for row in context["rows"] if row.after.css == "better"]
        assert len(risen) >= len(left_out)
        built_in = load_tab(support, user, f"{SLATE}&limit=5&policy=personal@0&familiarity=0")
        assert built_in["policy"].label == "personal"
        assert slate_of(built_in) != slate_of(context)

    def test_what_was_relaxed_is_said(self, support: Client, alice: User, catalogue: CatalogueFactory) -> None:
        catalogue.checkerboard()  # all tracks are by one artist
        assert run_training("test").status == "Published"
        page = read_page(support, alice, SLATE)
        assert "|Relaxed from position 2 on: tracks of an artist closer together than the gap allows." in page
        assert "|Relaxed from position 3 on: more tracks of an artist than the cap allows." in page

    def test_dials_and_the_policy_can_be_chosen_by_the_address(self, support: Client, world: World) -> None:
        user = world.users[0]
        context = load_tab(support, user, f"{SLATE}&familiarity=0.5&limit=4")
        known = set(user.interactions.values_list("track_id", flat=True))
        assert [track_id in known for track_id in slate_of(context)].count(True) == 2
        assert "|a track that they know|repeat|" in read_page(support, user, f"{SLATE}&familiarity=0.5&limit=4")
        repeats = load_tab(support, user, f"{SLATE}&policy=repeats")
        assert set(slate_of(repeats)) == known
        assert repeats["policy"].name == "repeats"

    @pytest.mark.parametrize(
        ("query", "error"),
        [
            ("diversity=2", "Ensure this value is less than or equal to 1."),
            ("familiarity=-1", "Ensure this value is greater than or equal to 0."),
            ("novelty=nan", "Enter a number."),
            ("limit=51", "Ensure this value is less than or equal to 50."),
            ("limit=0", "Ensure this value is greater than or equal to 1."),
            (
                "policy=unknown",
                "no policy 'unknown' is built in; built in are personal, early, popular, similar, repeats, radio",
            ),
            ("policy=personal@9", "there is no version 9 of a policy 'personal'"),
            ("policy=similar", "similar is about a track; choose a policy about a listener"),
        ],
    )
    def test_wrong_choices_are_explained(self, support: Client, alice: User, query: str, error: str) -> None:
        for tab in (SLATE, DIALS):
            assert f"|{error}|" in read_page(support, alice, f"{tab}&{query}")
            assert "rows" not in load_tab(support, alice, f"{tab}&{query}")

    def test_an_unknown_tab_is_the_first_one(self, support: Client, alice: User) -> None:
        assert "|Latest plays|" in read_page(support, alice, "?tab=unknown")


class TestSpecialListeners:
    def test_a_cold_listener_gets_another_policy(self, support: Client, world: World) -> None:
        user = User.objects.create_user("newcomer")
        assert "fewer than 5 interactions, so popular took the place of personal" in read_page(support, user, SLATE)
        CatalogueFactory.play(user, world.tracks[0])
        assert "fewer than 5 interactions, so early took the place of personal" in read_page(support, user, SLATE)

    def test_without_consent_there_are_popular_tracks_and_dislikes_count(self, support: Client, world: World) -> None:
        user = world.users[0]
        store_interaction(user, world.tracks[3], "dislike")
        User.objects.filter(pk=user.pk).update(consent=False)
        context = load_tab(support, user, f"{SLATE}&limit=5")
        assert context["notes"] == ["The listener does not consent, so they get popular tracks."]
        assert {row.sources for row in context["rows"]} == {"popular"}
        assert filtered_by(context) == {"disliked": 1}

    def test_without_a_model_it_says_so(self, support: Client, alice: User, catalogue: CatalogueFactory) -> None:
        catalogue.play(alice, *catalogue.tracks(8)[:6])
        refresh_popular_tracks()
        context = load_tab(support, alice, SLATE)
        assert context["notes"][0] == "No version is in service."
        assert len(context["rows"]) == 8
        load_tab(support, alice, DIALS)

    def test_a_listener_who_has_blocked_everything_gets_nothing(self, support: Client, world: World) -> None:
        user = world.users[0]
        for artist in world.artists:
            add_block(user.pk, "artist", artist.pk, None)
        context = load_tab(support, user, SLATE)
        assert slate_of(context) == []
        assert "No track can be offered: every track of the catalogue is blocked" in context["notes"][-1]
        assert sum(filtered_by(context).values()) == 20
        load_tab(support, user, DIALS)

    def test_an_empty_catalogue_does_not_break_the_page(self, support: Client, alice: User) -> None:
        assert slate_of(load_tab(support, alice, SLATE)) == []
        assert "|It changes nothing for this listener.|" in read_page(support, alice, DIALS)

    def test_a_deactivated_account_gets_popular_tracks(self, support: Client, world: World) -> None:
        user = world.users[0]
        User.objects.filter(pk=user.pk).update(is_active=False)
        assert {row.sources for row in load_tab(support, user, SLATE)["rows"]} == {"popular"}


class TestDials:
    def test_each_setting_says_what_would_change(self, support: Client, world: World) -> None:
        user = world.users[0]
        context = load_tab(support, user, f"{DIALS}&limit=4")
        familiarity = context["dials"][0]
        assert familiarity.name == "familiarity"
        columns = [(s.value, s.is_current, s.changed, s.known) for s in familiarity.settings]
        assert columns == [("0", False, 0, 0), ("0.2", True, None, 0), ("0.5", False, 2, 2), ("1", False, 4, 4)]
        half = familiarity.settings[2]
        assert (len(half.entering), len(half.leaving)) == (2, 2)
        assert slate_of(load_tab(support, user, half.link)) == slate_of(
            load_tab(support, user, f"{SLATE}&limit=4&familiarity=0.5")
        )

    def test_the_present_setting_is_among_those_that_are_shown(self, support: Client, world: World) -> None:
        novelty = next(
            dial
            for dial in load_tab(support, world.users[0], f"{DIALS}&novelty=0.3")["dials"]
            if dial.name == "novelty"
        )
        assert [s.value for s in novelty.settings] == ["0", "0.2", "0.3", "0.5", "1"]
        assert [s.value for s in novelty.settings if s.is_current] == ["0.3"]


@pytest.mark.parametrize("query", [SLATE, DIALS])
def test_the_number_of_queries_does_not_depend_on_the_plays(
    support: Client,
    bob: User,
    catalogue: CatalogueFactory,
    query: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    create_long_history(bob, catalogue)
    refresh_popular_tracks()
    catalogue.play(bob, *catalogue.tracks(30), at=NOON + timedelta(days=1))
    assert run_training("test").status == "Published"
    load_tab(support, bob, query)  # fills the caches, and logs that somebody looked
    with django_assert_num_queries(QUERIES):
        load_tab(support, bob, query)
