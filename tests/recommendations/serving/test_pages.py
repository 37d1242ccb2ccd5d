"""Turning the pages of a slate: every track once, until the catalogue ends."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache as shared_cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from experiments.engagement.roll_up import count_day
from experiments.exposures.log import slate_log
from experiments.exposures.pages import load_pages, waiting_threads
from experiments.exposures.recommendation_ids import new_recommendation_id
from experiments.models import Engagement, Slate
from interactions.models import Interaction
from interactions.preferences.services import add_block
from recommendations.serving.model_cache import model_cache
from recommendations.serving.response_cache import response_cache
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.people import CatalogueFactory, store_interaction
from tracks.models import Track
from tracks.services import bump_catalogue_revision, set_taken_down

Listeners = Callable[[User], APIClient]


@pytest.fixture
def tracks(catalogue: CatalogueFactory) -> list[Track]:
    """Return the tracks of a checkerboard with 20 listeners, each of whom has played 9 of the 20 tracks."""
    _, tracks = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return tracks


@pytest.fixture
def ada(tracks: list[Track]) -> User:
    return User.objects.get(username="listener-0")


def turn_pages(client: APIClient, path: str) -> Iterator[dict[str, Any]]:
    """Yield the pages of a slate until there is none after the last one."""
    next_page: str | None = path
    for _ in range(50):
        if next_page is None:
            return
        answer = client.get(next_page)
        assert answer.status_code == 200, answer.content
        yield answer.json()
        next_page = answer.json()["next"]
    raise AssertionError("the pages do not end")


def track_ids(pages: list[dict[str, Any]]) -> list[int]:
    return [result["track_id"] for page in pages for result in page["results"]]


def played_by(user: User) -> set[int]:
    return set(Interaction.objects.filter(user=user).values_list("track_id", flat=True))


class TestWalkThroughTheCatalogue:
    @pytest.mark.parametrize("limit", [1, 3, 5, 20])
    @pytest.mark.parametrize(
        "path",
        [
            "/recommend/user/me/ml?explain=true&",
            "/recommend/user/me/ml?explain=true&exclude_played=true&",
            "/recommend/user/me/ml?exclude_played=false&",
            "/recommend/user/me?",
        ],
    )
    def test_offers_each_track_once(
        self, path: str, limit: int, ada: User, as_listener: Listeners, tracks: list[Track]
    ) -> None:
        pages = list(turn_pages(as_listener(ada), f"{path}limit={limit}"))
        has_known = "ml?" in path and "exclude_played=true" not in path  # by default, tracks to repeat are among them
        left_out = set() if has_known else played_by(ada)
        assert sorted(track_ids(pages)) == sorted({track.pk for track in tracks} - left_out)
        positions = [result["position"] for page in pages for result in page["results"]]
        assert positions == list(range(1, len(positions) + 1))
        assert all(("explanation" in result) == ("explain" in path) for page in pages for result in page["results"])

    @pytest.mark.parametrize("interactions", [0, 2])
    def test_of_a_cold_listener(
        self, interactions: int, alice: User, as_listener: Listeners, catalogue: CatalogueFactory, tracks: list[Track]
    ) -> None:
        catalogue.play(alice, *tracks[:interactions])
        pages = list(turn_pages(as_listener(alice), "/recommend/user/me/ml?limit=3"))
        assert sorted(track_ids(pages)) == [track.pk for track in tracks[interactions:]]

    def test_of_tracks_similar_to_one(self, service: APIClient, tracks: list[Track]) -> None:
        pages = list(turn_pages(service, f"/recommend/similar/{tracks[0].pk}?limit=4"))
        assert sorted(track_ids(pages)) == [track.pk for track in tracks[1:]]

    def test_of_a_listener_whom_the_service_does_not_know(self, service: APIClient, tracks: list[Track]) -> None:
        pages = list(turn_pages(service, "/recommend/user/123456/ml?limit=7"))
        assert sorted(track_ids(pages)) == [track.pk for track in tracks]

    def test_without_a_model(self, service: APIClient, catalogue: CatalogueFactory) -> None:
        tracks = catalogue.tracks(10)
        pages = list(turn_pages(service, "/recommend/user/1/ml?limit=4"))
        assert sorted(track_ids(pages)) == [track.pk for track in tracks]

    def test_repeats_played_tracks_once_for_a_listener_who_has_played_all(
        self, ada: User, as_listener: Listeners, catalogue: CatalogueFactory, tracks: list[Track]
    ) -> None:
        catalogue.play(ada, *tracks)
        pages = list(turn_pages(as_listener(ada), "/recommend/user/me/ml?limit=8"))
        assert pages[0]["fallback_reason"] == "nothing_new"
        assert sorted(track_ids(pages)) == [track.pk for track in tracks]

    def test_does_not_append_played_tracks_to_new_ones(
        self, ada: User, as_listener: Listeners, tracks: list[Track]
    ) -> None:
        """The 11 tracks that ada has not played fill one page exactly."""
        pages = list(turn_pages(as_listener(ada), "/recommend/user/me/ml?limit=11&exclude_played=true"))
        assert [len(page["results"]) for page in pages] == [11, 0]
        assert (pages[1]["strategy"], pages[1]["next"]) == ("none", None)

    def test_keeps_the_filters_of_the_request(self, service: APIClient, alice: User, tracks: list[Track]) -> None:
        Track.objects.filter(pk=tracks[3].pk).update(explicit=True)
        Track.objects.filter(pk=tracks[4].pk).update(markets="FR")
        set_taken_down([tracks[5].pk], timezone.now())
        path = f"/recommend/user/{alice.pk}/ml?limit=4&explicit=false&market=DE&placement=home"
        pages = list(turn_pages(service, path))
        assert sorted(track_ids(pages)) == [track.pk for track in tracks if track not in tracks[3:6]]
        slate_log.flush()
        assert set(Slate.objects.values_list("placement", flat=True)) == {"home"}

    def test_of_the_shelves_of_a_screen(self, service: APIClient, ada: User, tracks: list[Track]) -> None:
        shelves = [{"name": "a", "kind": "popular", "limit": 3}, {"name": "b", "kind": "personal", "limit": 3}]
        body = {"user_id": ada.pk, "shelves": shelves, "exclude_played": True}
        first, second = service.post("/recommend/batch", body, format="json").json()["shelves"]
        rest = track_ids([second, *turn_pages(service, second["next"])])
        assert len(rest) == len(set(rest))
        assert set(rest) == {track.pk for track in tracks} - played_by(ada) - set(track_ids([first]))

    def test_of_answers_for_many_listeners(self, service: APIClient, ada: User, tracks: list[Track]) -> None:
        body = {"users": [ada.pk], "limit": 4, "exclude_played": True}
        [answer] = service.post("/recommend/batch", body, format="json").json()["answers"]
        pages = [answer, *turn_pages(service, answer["next"])]
        assert sorted(track_ids(pages)) == sorted({track.pk for track in tracks} - played_by(ada))


class TestChangesBetweenPages:
    def test_of_the_listener_and_of_the_catalogue_show_on_the_next_page(
        self, ada: User, as_listener: Listeners, catalogue: CatalogueFactory, tracks: list[Track]
    ) -> None:
        unplayed = {track.pk for track in tracks} - played_by(ada)
        client, now = as_listener(ada), timezone.now()
        first = client.get("/recommend/user/me/ml?limit=2&exclude_played=true").json()
        disliked, blocked, gone, heard = sorted(unplayed - set(track_ids([first])))[:4]
        store_interaction(ada, Track.objects.get(pk=disliked), "dislike", at=now)
        store_interaction(ada, Track.objects.get(pk=track_ids([first])[0]), "skip", at=now, is_skip=True)
        add_block(ada.pk, "track", blocked, None)
        set_taken_down([gone], now)
        catalogue.play(ada, Track.objects.get(pk=heard), at=now)
        [new] = catalogue.tracks(1)
        assert run_training("test").status == "Published"
        model_cache.check_pointer()
        pages = list(turn_pages(client, first["next"]))
        assert len({first["model_version"], pages[0]["model_version"]}) == 2
        left = unplayed - {disliked, blocked, gone, heard, *track_ids([first])} | {new.pk}
        assert sorted(track_ids(pages)) == sorted(left)

    def test_to_a_listener_who_has_played_all_since_end_the_slate(
        self, ada: User, as_listener: Listeners, catalogue: CatalogueFactory, tracks: list[Track]
    ) -> None:
        client = as_listener(ada)
        first = client.get("/recommend/user/me/ml?limit=2").json()
        catalogue.play(ada, *tracks, at=timezone.now() - timedelta(hours=1))
        assert [page["results"] for page in turn_pages(client, first["next"])] == [[]]

    def test_end_pages_of_tracks_similar_to_one_that_is_deleted(self, service: APIClient, tracks: list[Track]) -> None:
        first = service.get(f"/recommend/similar/{tracks[0].pk}?limit=3").json()
        tracks[0].delete()
        bump_catalogue_revision()
        problem = assert_problem(service.get(first["next"]), 404)
        assert problem["detail"] == "the track that this slate resembles has been deleted"


class TestSamePageAgain:
    def test_is_the_same_answer_by_two_queries(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        path = client.get("/recommend/user/me/ml?limit=3").json()["next"]
        first = client.get(path)
        with CaptureQueriesContext(connection) as queries:
            again = client.get(path)
        assert (again.content, again["ETag"], len(queries)) == (first.content, first["ETag"], 2)
        assert client.get(path, HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 304

    def test_has_another_id_after_an_event_and_both_can_be_continued(
        self, ada: User, as_listener: Listeners, catalogue: CatalogueFactory, tracks: list[Track]
    ) -> None:
        client = as_listener(ada)
        path = client.get("/recommend/user/me/ml?limit=3").json()["next"]
        before = client.get(path).json()
        catalogue.play(ada, tracks[0], at=timezone.now())
        after = client.get(path).json()
        assert before["recommendation_id"] != after["recommendation_id"]
        for page in (before, after):
            assert client.get(page["next"]).status_code == 200

    def test_that_another_process_has_answered_can_be_continued(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        first = client.get("/recommend/user/me/ml?limit=3").json()
        slate_log.flush()
        response_cache.clear()
        model_cache.reset()
        second = client.get(first["next"]).json()
        slate_log.flush()
        response_cache.clear()
        again = client.get(first["next"]).json()
        third = client.get(again["next"]).json()
        assert not set(track_ids([third])) & set(track_ids([first, second]))
        assert track_ids([again]) == track_ids([second])


class TestListenerWithoutConsent:
    @pytest.fixture
    def eve(self, alice: User, tracks: list[Track]) -> User:
        """Return a listener who has blocked a track and not consented."""
        User.objects.filter(pk=alice.pk).update(consent=False)
        add_block(alice.pk, "track", tracks[0].pk, None)
        return alice

    @pytest.mark.parametrize("principal", ["key", "token"])
    def test_turns_pages_that_leave_out_what_they_block(
        self, principal: str, eve: User, service: APIClient, as_listener: Listeners, tracks: list[Track]
    ) -> None:
        client = service if principal == "key" else as_listener(eve)
        pages = list(turn_pages(client, f"/recommend/user/{eve.pk}/ml?limit=6"))
        assert sorted(track_ids(pages)) == [track.pk for track in tracks[1:]]
        assert {page["fallback_reason"] for page in pages} == {"no_consent"}

    def test_is_not_stored_with_the_slate_and_has_to_be_named(self, eve: User, service: APIClient) -> None:
        body = service.get(f"/recommend/user/{eve.pk}/ml?limit=6").json()
        slate_log.flush()
        slate = Slate.objects.get()
        assert (slate.user_id, slate.is_counted) == (None, False)
        assert str(eve.pk) not in str(slate.request)
        path = f"/recommendations/{body['recommendation_id']}/next"
        assert body["next"] == f"{path}?user_id={eve.pk}"
        problem = assert_problem(service.get(path), 400)
        assert problem["errors"] == [
            {"pointer": "?user_id", "detail": "is needed: this slate is stored without its listener"}
        ]

    def test_is_not_counted_in_engagement(self, eve: User, service: APIClient) -> None:
        service.get(f"/recommend/user/{eve.pk}/ml")
        slate_log.flush()
        count_day(timezone.now().date())
        assert not Engagement.objects.exists()


class TestPermission:
    def test_a_token_turns_only_the_pages_of_its_own_listener(
        self, ada: User, bob: User, service: APIClient, as_listener: Listeners
    ) -> None:
        path = as_listener(ada).get("/recommend/user/me/ml?limit=3").json()["next"]
        problem = assert_problem(as_listener(bob).get(path), 404)
        assert problem["detail"] == "this slate is not stored, or no longer; ask for a new one, without If-None-Match"
        assert_problem(service.get(f"{path}?user_id={bob.pk}"), 404)
        assert Slate.objects.count() == 1
        assert service.get(path).status_code == as_listener(ada).get(f"{path}?user_id={ada.pk}").status_code == 200

    def test_a_token_continues_a_slate_without_a_listener_for_its_own(
        self, ada: User, service: APIClient, as_listener: Listeners, tracks: list[Track]
    ) -> None:
        path = service.get(f"/recommend/similar/{tracks[0].pk}?limit=3").json()["next"]
        body = as_listener(ada).get(path).json()
        slate_log.flush()
        assert Slate.objects.get(pk=body["recommendation_id"]).user_id == ada.pk

    def test_nothing_but_the_key_is_read_for_a_wrong_one(self, ada: User, as_listener: Listeners) -> None:
        path = as_listener(ada).get("/recommend/user/me/ml?limit=3").json()["next"]
        slate_log.flush()
        stranger = APIClient(headers={"Authorization": "Api-Key wrong"})
        with CaptureQueriesContext(connection) as queries:
            assert_problem(stranger.get(f"{path}?user_id=external:somebody"), 401)
        assert len(queries) == 1

    def test_a_key_names_a_listener_who_has_been_created_since_the_first_page(
        self, service: APIClient, catalogue: CatalogueFactory, tracks: list[Track]
    ) -> None:
        first = service.get("/recommend/user/external:new/ml?limit=3").json()
        user = User.objects.create_user("new", external_id="new")
        unseen = [track for track in tracks if track.pk not in track_ids([first])]
        catalogue.play(user, *unseen[:5], at=timezone.now())
        pages = list(turn_pages(service, f"{first['next']}?user_id=external:new"))
        assert sorted(track_ids(pages)) == [track.pk for track in unseen[5:]]
        slate_log.flush()
        assert Slate.objects.get(pk=first["recommendation_id"]).user_id is None
        assert Slate.objects.get(pk=pages[0]["recommendation_id"]).user_id == user.pk


class TestUnknownSlate:
    @pytest.mark.parametrize("recommendation_id", [uuid.uuid4(), uuid.UUID(int=0)])
    def test_is_a_404_at_once(self, recommendation_id: uuid.UUID, service: APIClient) -> None:
        before = timezone.now()
        assert_problem(service.get(f"/recommendations/{recommendation_id}/next"), 404)
        assert timezone.now() - before < timedelta(seconds=1)

    def test_is_a_404_after_a_wait_if_its_id_is_new(self, service: APIClient) -> None:
        assert_problem(service.get(f"/recommendations/{new_recommendation_id()}/next"), 404)

    def test_is_a_503_at_once_while_two_threads_wait_for_others(self, service: APIClient) -> None:
        path, before = f"/recommendations/{new_recommendation_id()}/next", timezone.now()
        with waiting_threads, waiting_threads:
            answer = service.get(path)
        assert assert_problem(answer, 503)["detail"] == "this slate is being stored; try again in a second"
        assert answer["Retry-After"] == "1"
        assert timezone.now() - before < timedelta(seconds=1)
        assert_problem(service.get(path), 404)

    def test_is_one_of_which_a_page_was_removed(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        first = client.get("/recommend/user/me/ml?limit=3").json()
        second = client.get(first["next"]).json()
        slate_log.flush()
        assert [str(p.pk) for p in load_pages(second["recommendation_id"])] == [
            second["recommendation_id"],
            first["recommendation_id"],
        ]
        Slate.objects.get(pk=first["recommendation_id"]).delete()
        assert_problem(client.get(second["next"]), 404)

    def test_that_a_full_log_has_dropped_is_stored_when_the_answer_is_sent_again(
        self, ada: User, service: APIClient, settings: Any
    ) -> None:
        settings.MUSICREC = settings.MUSICREC | {"SLATE_BUFFER": 1}
        service.get("/recommend/user/123456/ml?limit=3")
        path = f"/recommend/user/{ada.pk}/ml?limit=3"
        dropped = service.get(path).json()
        assert_problem(service.get(dropped["next"]), 404)
        assert service.get(path).json() == dropped
        assert service.get(dropped["next"]).status_code == 200

    def test_has_no_next_page_if_slates_are_not_stored(self, ada: User, as_listener: Listeners, settings: Any) -> None:
        settings.MUSICREC = settings.MUSICREC | {"SLATE_BUFFER": 0}
        shared_cache.clear()
        assert as_listener(ada).get("/recommend/user/me/ml?limit=3").json()["next"] is None

    def test_parameters_are_refused(self, ada: User, as_listener: Listeners) -> None:
        path = as_listener(ada).get("/recommend/user/me/ml?limit=3").json()["next"]
        problem = assert_problem(as_listener(ada).get(f"{path}?limit=5"), 400)
        assert problem["errors"] == [
            {"pointer": "?limit", "detail": "unknown parameter; this endpoint accepts user_id"}
        ]
