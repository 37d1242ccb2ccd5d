"""A radio over HTTP: what it is made from, what it plays, what it hears, and who may use it."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from engine.pipeline import NO_CAPS, RADIO
from engine.retrieval.station import Station
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.models import Interaction
from interactions.preferences.services import add_block
from interactions.selectors import load_history
from recommendations.models import Radio
from recommendations.policies.services import save_policy, use_policy
from recommendations.radio.selectors import build_station, load_playing_radio
from recommendations.radio.services import _take
from recommendations.services import delete_old_radios
from recommendations.serving.model_cache import model_cache
from recommendations.serving.response_cache import response_cache
from recommendations.version_store import version_store
from tests.conftest import assert_problem
from tests.people import CatalogueFactory, store_interaction, store_track
from tests.recommendations.radio.conftest import World, play
from tracks.models import Tag, Track
from tracks.services import delete_from_catalogue, set_taken_down

Start = Callable[..., dict[str, Any]]
Listeners = Callable[[User], APIClient]


def ids(tracks: list[Track]) -> list[int]:
    return [track.pk for track in tracks]


def station_of(radio: dict[str, Any], listener: User) -> Station:
    playing = load_playing_radio(uuid.UUID(radio["radio_id"]))
    assert playing is not None
    return build_station(playing, load_history(listener.pk))


class TestStart:
    def test_seeds_are_resolved_by_either_id_and_by_name(self, world: World, start: Start) -> None:
        calm = Tag.objects.get(name="calm")
        radio = start(
            seeds=[
                {"kind": "artist", "name": "dia"},
                {"kind": "artist", "id": "external:a:Night", "weight": -0.5},
                {"kind": "artist", "name": "8f6bd1e4-fbe1-4f50-aa9b-94c450ec0f11", "weight": -1},
                {"kind": "track", "id": "external:Día:3", "weight": 2},
                {"kind": "genre", "name": "rock"},
                {"kind": "mood", "id": calm.pk},
                {"kind": "tag", "name": "JAZZ", "weight": -2},
            ],
            mode="hard",
            drift=1,
            market="AT",
            explicit=False,
        )
        artists = world.day[0].artist_id, world.night[0].artist_id
        rock, jazz = Tag.objects.get(name="Rock").pk, Tag.objects.get(name="jazz").pk
        names = ("kind", "id", "name", "weight", "track_count")
        assert [tuple(seed[name] for name in names) for seed in radio.pop("seeds")] == [
            ("artist", artists[0], "Día", 1, 12),
            ("artist", artists[1], "Night", -0.5, 12),
            ("artist", artists[1], "Night", -1, 12),
            ("track", world.day[3].pk, "Día 3", 2, 1),
            ("genre", rock, "Rock", 1, 12),
            ("mood", calm.pk, "calm", 1, 6),
            ("tag", jazz, "jazz", -2, 12),
        ]
        radio_id, created_at = radio.pop("radio_id"), radio.pop("created_at")
        assert created_at.endswith("Z")
        assert radio == {
            "user_id": None,
            "prompt": "",
            "mode": "hard",
            "drift": 1.0,
            "only_seeds": False,
            "market": "AT",
            "explicit": False,
            "offered_count": 0,
            "offered_track_ids": [],
            "next": f"/radio/{radio_id}/next",
        }

    def test_prompts_are_resolved(
        self, world: World, start: Start, as_listener: Listeners, catalogue: CatalogueFactory
    ) -> None:
        listener = world.listeners[0]
        client = as_listener(listener)
        catalogue.play(listener, world.day[5], world.day[5], at=timezone.now() - timedelta(days=2))
        radio = start(client, prompt="Día")
        assert (radio["mode"], radio["drift"], radio["prompt"]) == ("easy", 0.2, "Día")
        prompts = {
            "artist:(día):3:hard #(rock,calm):2": [("artist", "Día", 3, 12), ("tag", "rock and calm", 2, 4)],
            "tag:(jazz,calm)::or": [("tag", "jazz or calm", 1, 16)],
            "user:listener-0": [("taste", "", 1, None)],
            "stats:me:2:month": [("stats", "month", 2, 1)],
            "stats:u:0": None,
            "stats:(u:0)": [("stats", "all_time", 1, 9)],
            "recs:me::listened": [("recs", "", 1, 24)],
            "recs:me": [("recs", "", 1, 15)],
        }
        for prompt, seeds in prompts.items():
            if seeds is None:
                assert client.post("/radio", {"prompt": prompt}, format="json").status_code == 400
                continue
            stored = start(client, prompt=prompt)["seeds"]
            assert [(s["kind"], s["name"], s["weight"], s["track_count"]) for s in stored] == seeds, prompt
        assert start(prompt="#rock::hard #jazz")["mode"] == "hard"
        assert start(prompt="#rock::hard", mode="medium")["mode"] == "medium"
        nosim = start(prompt="#rock::nosim artist:Night::nosim")
        assert nosim["only_seeds"]

    def test_what_cannot_be_answered_is_refused_and_nothing_is_stored(
        self, world: World, service: APIClient, as_listener: Listeners, bob: User
    ) -> None:
        User.objects.filter(pk=bob.pk).update(consent=False)
        Tag.objects.create(name="unused", kind="mood")
        refused: list[tuple[dict[str, Any], str, str]] = [
            ({}, "#/seeds", "send seeds, a prompt, or both"),
            (
                {"seeds": [{"kind": "track", "id": 1, "weight": -1}]},
                "#/seeds",
                "one of them must have a weight above 0",
            ),
            ({"seeds": [{"kind": "track", "id": 999999}]}, "#/seeds/0/id", "there is no track 999999 in the catalogue"),
            ({"seeds": [{"kind": "track", "name": "x"}]}, "#/seeds/0/id", "is required for a track"),
            ({"seeds": [{"kind": "artist", "name": "Nobody"}]}, "#/seeds/0/name", "there is no artist 'Nobody' in the"),
            ({"seeds": [{"kind": "artist", "id": "external:x"}]}, "#/seeds/0/id", "there is no artist external:x"),
            ({"seeds": [{"kind": "artist"}]}, "#/seeds/0/id", "name the artist by either its id or its name"),
            ({"seeds": [{"kind": "mood", "name": "rock"}]}, "#/seeds/0/name", "there is no mood 'rock'"),
            ({"seeds": [{"kind": "mood", "name": "unused"}]}, "#/seeds/0/name", "the catalogue has no tracks of mood"),
            ({"seeds": [{"kind": "genre", "id": "external:x"}]}, "#/seeds/0/id", "a tag has no external id"),
            ({"seeds": [{"kind": "genre", "id": 999}]}, "#/seeds/0/id", "there is no genre 999"),
            ({"seeds": [{"kind": "taste"}]}, "#/seeds/0/kind", "taste needs a listener"),
            ({"seeds": [{"kind": "taste"}], "user_id": bob.pk}, "#/seeds/0/kind", "the listener's consent is off"),
            ({"seeds": [{"kind": "taste", "name": "x"}]}, "#/seeds/0/name", "taste is that of the radio's listener"),
            ({"seeds": [{"kind": "taste", "weight": -1}]}, "#/seeds/0/weight", "must be above 0 for taste"),
            (
                {"seeds": [{"kind": "album", "id": 1}]},
                "#/seeds/0/kind",
                "must be one of track, artist, tag, genre, mood",
            ),
            (
                {"seeds": [{"kind": "tag", "name": "rock", "weight": 0}]},
                "#/seeds/0/weight",
                "must be a number from -100",
            ),
            ({"seeds": [{"kind": "tag", "nam": "rock"}]}, "#/seeds/0/nam", "unknown field"),
            ({"prompt": "#rock", "mode": "wild"}, "#/mode", "must be one of easy, medium, hard"),
            ({"prompt": "#rock", "drift": 1.5}, "#/drift", "must be a number from 0 to 1"),
            ({"prompt": "#rock", "user_id": 424242}, "#/user_id", "there is no such listener"),
            (
                {"prompt": "#rock country:mali"},
                "#/prompt",
                "country:mali: the catalogue does not know where artists come",
            ),
            ({"prompt": "#grime"}, "#/prompt", "#grime: there is no tag 'grime' in the catalogue"),
            ({"prompt": "#rock::easy #jazz::hard"}, "#/prompt", "#rock::easy and #jazz::hard: name different modes"),
            ({"prompt": "#rock::nosim #jazz"}, "#/prompt", "#jazz: lacks nosim, which other elements have"),
            ({"prompt": "user:me"}, "#/prompt", "user:me: needs a listener"),
            ({"prompt": "user:alice", "user_id": world.listeners[0].pk}, "#/prompt", "user:alice: 'alice' is not the"),
            ({"prompt": "stats:me", "user_id": bob.pk}, "#/prompt", "stats:me: the listener's consent is off"),
            (
                {"prompt": "stats:me::this_week", "user_id": world.listeners[0].pk},
                "#/prompt",
                "stats:me::this_week: the",
            ),
        ]
        for body, pointer, detail in refused:
            errors = assert_problem(service.post("/radio", body, format="json"), 400)["errors"]
            assert [error["pointer"] for error in errors] == [pointer], body
            assert errors[0]["detail"].startswith(detail), errors
        other = {"prompt": "#rock", "user_id": world.listeners[0].pk}
        assert_problem(as_listener(bob).post("/radio", other, format="json"), 404)
        assert not Radio.objects.exists()


class TestNext:
    def test_plays_each_track_once_near_to_its_seeds_first_until_the_catalogue_ends(
        self, world: World, start: Start, service: APIClient
    ) -> None:
        radio = start(seeds=[{"kind": "track", "id": world.day[0].pk}])
        answers = [service.get(f"{radio['next']}?limit=7&explain=true&placement=car").json() for _ in range(5)]
        tracks = [result["track_id"] for answer in answers for result in answer["results"]]
        assert sorted(tracks) == sorted(world.ids)
        assert [len(answer["results"]) for answer in answers] == [7, 7, 7, 3, 0]
        assert [answer["next"] for answer in answers] == [f"{radio['next']}?limit=7"] * 3 + [None] * 2
        assert [answer["fallback_reason"] for answer in answers] == [None] * 3 + ["exhausted"] * 2
        assert [answer["strategy"] for answer in answers] == ["radio"] * 4 + ["none"]
        first = answers[0]["results"]
        assert {result["source"] for result in first} == {"radio"}
        assert [result["position"] for result in first] == [*range(1, 8)]
        assert sum(result["artist_name"] == "Día" for result in first) >= 3  # as many as the cap allows
        reasons = {result["explanation"]["text"] for result in first if result["artist_name"] == "Día"}
        assert reasons <= {"By the same artist as Día 0", "This radio is made from it"}
        shown = service.get(f"/radio/{radio['radio_id']}").json()
        assert (shown["offered_count"], shown["offered_track_ids"]) == (24, tracks)
        slate_log.flush()
        slates = Slate.objects.order_by("shown_at")
        assert [slate.track_ids for slate in slates] == [tracks[:7], tracks[7:14], tracks[14:21], tracks[21:], []]
        assert {(s.placement, s.policy, s.request, s.user_id) for s in slates} == {("car", "radio", None, None)}
        assert_problem(service.get(f"/recommendations/{answers[0]['recommendation_id']}/next"), 404)

    def test_its_answers_are_never_cached(self, world: World, start: Start, service: APIClient) -> None:
        radio = start(prompt="#rock")
        answer = service.get(radio["next"])
        assert answer["Cache-Control"] == "no-store"
        assert "ETag" not in answer
        assert service.head(radio["next"]).status_code == 405
        assert len(Radio.objects.get().track_ids) == 10

    def test_goes_on_in_another_process_and_after_a_restart(
        self, world: World, start: Start, service: APIClient
    ) -> None:
        radio = start(prompt="#rock")
        tracks = play(service, radio)
        model_cache.reset()
        response_cache.clear()
        assert not set(play(service, radio)) & set(tracks)

    def test_the_same_state_gives_the_same_tracks(self, world: World, start: Start, service: APIClient) -> None:
        radio = start(prompt="#rock", mode="medium")
        tracks = play(service, radio)
        Radio.objects.update(track_ids=[], offered=0)
        assert play(service, radio) == tracks

    def test_of_two_processes_the_second_reads_the_radio_again(
        self, world: World, start: Start, service: APIClient
    ) -> None:
        radio = start(prompt="#rock")
        stale = Radio.objects.get()
        tracks = play(service, radio)
        assert not _take(stale, [tracks[0]])
        assert Radio.objects.get().track_ids == tracks

    @pytest.mark.parametrize("by_key", [True, False])
    def test_costs_few_queries(
        self, by_key: bool, world: World, start: Start, service: APIClient, as_listener: Listeners
    ) -> None:
        client = service if by_key else as_listener(world.listeners[0])
        radio = start(client, seeds=[{"kind": "taste"}], user_id=world.listeners[0].pk)
        play(client, radio)
        with CaptureQueriesContext(connection) as queries:
            play(client, radio)
        assert len(queries) <= 4  # the radio with what its listener did, the context, cards, the update

    @pytest.mark.parametrize("has_model", [True, False])
    def test_never_offers_what_is_blocked_disliked_unavailable_or_deleted(
        self, has_model: bool, world: World, start: Start, as_listener: Listeners
    ) -> None:
        listener, day = world.listeners[0], world.day
        if not has_model:
            model_cache.reset()
            (version_store().root / "current.json").unlink()
        client = as_listener(listener)
        radio = start(client, prompt="artist:Día")
        add_block(listener.pk, "track", day[1].pk, None)
        store_interaction(listener, day[2], "dislike", at=timezone.now())
        set_taken_down([day[3].pk], timezone.now())
        first = play(client, radio, 3)
        delete_from_catalogue(Track.objects.filter(pk=day[4].pk))
        add_block(listener.pk, "artist", world.night[0].artist_id, None)
        tracks = first + play(client, radio, 50)
        assert len(set(tracks)) == len(tracks)
        left_out = {*ids(day[1:4]), day[4].pk} - set(first)
        assert set(tracks) - set(first) == {*ids(day)} - left_out - set(first)

    def test_a_version_of_its_policy_answers_from_the_next_tracks_on(
        self, world: World, start: Start, service: APIClient
    ) -> None:
        radio = start(prompt="#rock")
        assert service.get(f"{radio['next']}?limit=5").json()["policy"] == "radio"
        save_policy(replace(RADIO, caps=NO_CAPS, may_repeat=True))
        use_policy("radio", 1)
        answer = service.get(f"{radio['next']}?limit=6").json()
        assert (answer["policy"], {result["artist_name"] for result in answer["results"]}) == ("radio@1", {"Día"})
        tracks = [track_id for _ in range(4) for track_id in play(service, radio, 5)]
        assert len({*tracks}) == len(tracks) == 13  # none is repeated

    def test_never_plays_a_recording_twice(self, world: World, start: Start, service: APIClient) -> None:
        twins = [
            store_track(title=track.title, artist=track.artist, external_id=f"twin:{n}")
            for n, track in enumerate(world.day[:3])
        ]
        radio = start(prompt="#rock")
        tracks = [track_id for _ in range(9) for track_id in play(service, radio, 3)]
        assert len(tracks) == 24
        for track, twin in zip(world.day, twins, strict=False):
            assert (track.pk in tracks) != (twin.pk in tracks)

    def test_with_nosim_it_ends_with_the_tracks_of_its_seeds(
        self, world: World, start: Start, service: APIClient
    ) -> None:
        radio = start(prompt="#calm::nosim")
        answer = service.get(f"{radio['next']}?limit=20").json()
        assert {result["track_id"] for result in answer["results"]} == {*ids(world.day[:4]), *ids(world.night[:2])}
        assert (answer["fallback_reason"], answer["next"]) == ("exhausted", None)


class TestReactions:
    def test_reactions_to_its_tracks_change_what_comes_next(
        self, world: World, start: Start, as_listener: Listeners, catalogue: CatalogueFactory
    ) -> None:
        listener = world.listeners[0]
        client = as_listener(listener)
        radio = start(client, prompt="#rock #jazz", drift=0.5)
        offered = [Track.objects.get(pk=track_id) for track_id in play(client, radio, 6)]
        next_tracks = play(client, radio, 6)
        Radio.objects.update(track_ids=ids(offered), offered=6)
        assert play(client, radio, 6) == next_tracks
        now = timezone.now()
        catalogue.play(listener, offered[0], at=now)
        catalogue.play(listener, offered[1], at=now, milestone=30, is_completed=False)
        store_interaction(listener, offered[2], "skip", at=now, is_skip=True)
        store_interaction(listener, offered[3], "dislike", at=now + timedelta(seconds=1))
        store_interaction(listener, offered[4], "like", at=now)
        store_interaction(listener, offered[5], "like", at=now)
        store_interaction(listener, offered[5], "unlike", at=now + timedelta(seconds=1))
        station = station_of(radio, listener)
        assert (station.played.tolist(), station.skipped.tolist(), station.liked.tolist()) == (
            [offered[0].pk],
            [offered[3].pk, offered[2].pk],
            [offered[4].pk],
        )
        Radio.objects.update(track_ids=ids(offered), offered=6)
        assert play(client, radio, 6) != next_tracks

    def test_what_it_has_not_offered_counts_only_if_it_was_played_from_it(
        self, world: World, start: Start, as_listener: Listeners
    ) -> None:
        listener = world.listeners[0]
        client = as_listener(listener)
        radios = [start(client, prompt="#rock") for _ in range(2)]
        Radio.objects.update(created_at=timezone.now() - timedelta(minutes=5))
        now = timezone.now() - timedelta(minutes=1)
        store_interaction(
            listener, world.night[0], "skip", at=now, is_skip=True, context=f"radio:{radios[0]['radio_id']}"
        )
        stations = [station_of(radio, listener) for radio in radios]
        assert [station.skipped.tolist() for station in stations] == [[world.night[0].pk], []]
        Interaction.objects.filter(context__startswith="radio:").update(left_out=True)
        assert station_of(radios[0], listener).skipped.tolist() == []


class TestAccess:
    def test_a_token_uses_the_radios_of_its_own_listener_only(
        self, world: World, start: Start, service: APIClient, as_listener: Listeners, bob: User
    ) -> None:
        listener = world.listeners[0]
        radios = [start(as_listener(listener), prompt="#rock"), start(prompt="#rock", user_id="external:u:0")]
        assert {radio["user_id"] for radio in radios} == {listener.pk}
        assert len(play(service, radios[0])) == len(play(as_listener(listener), radios[1])) == 5
        stranger = as_listener(bob)
        for radio in (*radios, start(prompt="#rock")):
            before = Radio.objects.get(pk=radio["radio_id"]).track_ids
            path = f"/radio/{radio['radio_id']}"
            for response in (stranger.get(path), stranger.delete(path), stranger.get(radio["next"])):
                assert assert_problem(response, 404)["detail"] == (
                    "no such radio, or no longer; start a new one with POST /radio"
                )
            assert Radio.objects.get(pk=radio["radio_id"]).track_ids == before

    def test_a_deleted_radio_is_gone(self, world: World, start: Start, service: APIClient) -> None:
        radio = start(prompt="#rock")
        assert service.delete(f"/radio/{radio['radio_id']}").status_code == 204
        for path in (f"/radio/{radio['radio_id']}", radio["next"], f"/radio/{uuid.uuid4()}/next"):
            assert_problem(service.get(path), 404)

    def test_wrong_parameters_are_refused_and_take_nothing(
        self, world: World, start: Start, service: APIClient
    ) -> None:
        radio = start(prompt="#rock")
        for query, detail in (
            ("limit=51", "must be an integer from 1 to 50"),
            ("limit=0", "must be an integer from 1 to 50"),
            ("size=5", "unknown parameter; this endpoint accepts limit, explain, placement"),
        ):
            assert assert_problem(service.get(f"{radio['next']}?{query}"), 400)["errors"][0]["detail"] == detail
        assert Radio.objects.get().track_ids == []

    def test_of_a_listener_without_consent_plays_without_their_plays(
        self, world: World, start: Start, as_listener: Listeners
    ) -> None:
        listener = world.listeners[0]
        User.objects.filter(pk=listener.pk).update(consent=False)
        client = as_listener(listener)
        radio = start(client, prompt="artist:Night")
        store_interaction(listener, world.night[0], "dislike", at=timezone.now())
        assert set(play(client, radio, 50)) == world.ids - {world.night[0].pk}
        slate_log.flush()
        assert [(slate.user_id, slate.is_counted) for slate in Slate.objects.all()] == [(None, False)]

    def test_radios_that_nobody_asks_are_deleted_at_night(self, world: World, start: Start, settings: Any) -> None:
        radios = [start(prompt="#rock") for _ in range(3)]
        for radio, days in zip(radios, (29, 31, 400), strict=True):
            Radio.objects.filter(pk=radio["radio_id"]).update(used_at=timezone.now() - timedelta(days=days))
        settings.MUSICREC = settings.MUSICREC | {"RADIO_DAYS": 0}
        assert delete_old_radios() == 0
        settings.MUSICREC = settings.MUSICREC | {"RADIO_DAYS": 30}
        assert delete_old_radios() == 2
        assert str(Radio.objects.get().pk) == radios[0]["radio_id"]
