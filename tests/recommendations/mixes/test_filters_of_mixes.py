"""What a listener has just blocked, disliked or excluded disappears from the mixes of the day at once."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from access.models import User
from access.services import bump_user_revisions
from interactions.models import Block, BlockKind, ExclusionKind, Interaction
from interactions.taste.services import ExclusionTarget, add_exclusions
from recommendations.models import StoredMixes
from recommendations.serving.filters import unavailable_tracks
from tests.people import CatalogueFactory, store_interaction
from tests.recommendations.mixes.conftest import Scene, by_id, tracks_of
from tracks.models import Album, Track, TrackTag
from tracks.services import bump_catalogue_revision

SCREENS = ("home?shelves=20", "mixes?limit=40")
numbers = st.integers(0, 10_000)
targets = st.tuples(st.sampled_from(BlockKind.values), numbers)
scenarios = st.fixed_dictionaries(
    {
        "listener": st.integers(0, 5),
        "dislikes": st.lists(numbers, max_size=6),
        "blocks": st.lists(targets, max_size=3),
        "expired": st.lists(targets, max_size=2),
        "excluded": st.lists(numbers, max_size=4),
        "taken_down": st.lists(numbers, max_size=20),
        "explicit": st.lists(numbers, max_size=20),
        "abroad": st.lists(numbers, max_size=20),
        "no_explicit": st.sampled_from(["", "listener", "request"]),
        "market": st.sampled_from(["", "DE"]),
        "all_but": st.one_of(st.none(), st.none(), st.none(), st.integers(0, 3)),
    }
)


def test_a_stored_mix_never_shows_what_must_not_be_offered_now(
    scene: Scene, catalogue: CatalogueFactory, service: APIClient
) -> None:
    tracks = [track for of_genre in scene.tracks.values() for track in of_genre]
    albums = [Album.objects.create(title=f"Album {n}", artist=tracks[10 * n].artist) for n in range(18)]
    for number, track in enumerate(tracks):
        track.album = albums[number // 10]
    Track.objects.bulk_update(tracks, ["album"])
    bump_catalogue_revision()
    for user in scene.listeners[:6]:
        for screen in SCREENS:
            assert len(tracks_of(service.get(f"/users/{user.pk}/{screen}"))) > 30
    stored = set(StoredMixes.objects.values_list("pk", "generated_at"))

    @settings(max_examples=60)
    @given(scenario=scenarios)
    def check_scenario(scenario: dict[str, Any]) -> None:
        with transaction.atomic():
            unavailable_tracks.expire()
            _assert_exclusions(scenario)
            is_stored = stored <= set(StoredMixes.objects.values_list("pk", "generated_at"))
            assert is_stored or scenario["excluded"]  # mixes are made anew without the plays of excluded tracks
            transaction.set_rollback(True)

    def _assert_exclusions(scenario: dict[str, Any]) -> None:
        user = scene.listeners[scenario["listener"]]
        excluded = _exclude(scenario, user, tracks, albums)
        query = "&explicit=false" if scenario["no_explicit"] == "request" else ""
        query += "&market=DE" if scenario["market"] else ""
        for screen in SCREENS:
            shown = tracks_of(service.get(f"/users/{user.pk}/{screen}{query}"))
            assert not set(shown) & excluded, screen
            assert len(shown) == len(set(shown))
            assert bool(shown) == (len(excluded) < len(tracks)), screen

    check_scenario()


def _exclude(scenario: dict[str, Any], user: User, tracks: list[Track], albums: list[Album]) -> set[int]:
    """Apply a scenario and return the ids of the tracks that must not be shown."""

    def pick(numbers: list[int]) -> list[Track]:
        return [tracks[number % len(tracks)] for number in numbers]

    def update(numbers: list[int], **fields: Any) -> set[int]:
        ids = {track.pk for track in pick(numbers)}
        Track.objects.filter(pk__in=ids).update(**fields)
        return ids

    excluded = update(scenario["taken_down"], taken_down_at=timezone.now())
    if scenario["all_but"] is not None:
        rest = {track.pk for track in tracks[scenario["all_but"] :]}
        Track.objects.filter(pk__in=rest).update(taken_down_at=timezone.now())
        excluded |= rest
    explicit, abroad = update(scenario["explicit"], explicit=True), update(scenario["abroad"], markets="AT FR")
    bump_catalogue_revision()
    excluded |= explicit if scenario["no_explicit"] else set()
    excluded |= abroad if scenario["market"] or user.market else set()
    if scenario["no_explicit"] == "listener":
        User.objects.filter(pk=user.pk).update(allow_explicit=False)
    for track in pick(scenario["dislikes"]):
        store_interaction(user, track, "dislike", at=timezone.now())
        excluded.add(track.pk)
    excluded_tracks = {track.pk for track in pick(scenario["excluded"])}
    if excluded_tracks:
        add_exclusions(
            user.pk, [ExclusionTarget(ExclusionKind.TRACK, track_id) for track_id in sorted(excluded_tracks)]
        )
    excluded |= excluded_tracks
    for in_force, blocked in ((False, scenario["expired"]), (True, scenario["blocks"])):
        until = None if in_force else timezone.now() - timedelta(seconds=1)
        for kind, number in blocked:
            target_id, ids = _block_target(kind, tracks[number % len(tracks)])
            Block.objects.update_or_create(user=user, kind=kind, target_id=target_id, defaults={"until": until})
            excluded |= ids if in_force else set()
    return excluded


def _block_target(kind: str, track: Track) -> tuple[int, set[int]]:
    """Return what to block so that a track is blocked, and the ids of all tracks that this blocks."""
    if kind == "track":
        return track.pk, {track.pk}
    if kind == "genre":
        tag_id = TrackTag.objects.filter(track=track).values_list("tag", flat=True)[0]
        return tag_id, set(TrackTag.objects.filter(tag=tag_id).values_list("track", flat=True))
    target_id = track.artist_id if kind == "artist" else track.album_id
    return target_id or 0, set(Track.objects.filter(**{kind: target_id}).values_list("pk", flat=True))


def test_tracks_that_disappear_are_replaced_and_so_are_the_names_in_titles(scene: Scene, service: APIClient) -> None:
    user = scene.listeners[1]
    before = by_id(service.get(f"/users/{user.pk}/home?limit=6"))
    on_repeat = [result["track_id"] for result in before["on-repeat"]["results"]]
    named = before["daily-mix-1"]["results"][0]
    because = before["because-you-love-1"]["artist_id"]
    service.put(f"/users/{user.pk}/dislikes/{on_repeat[0]}")
    service.put(f"/users/{user.pk}/blocks/artist/{because}")
    service.put(f"/users/{user.pk}/blocks/artist/{named['artist_id']}")
    after = by_id(service.get(f"/users/{user.pk}/home?limit=6"))
    assert len(after["on-repeat"]["results"]) == 6
    shown = {result["artist_name"] for shelf in after.values() for result in shelf["results"]}
    assert named["artist_name"] not in shown
    assert not any(named["artist_name"] in shelf["title"] for shelf in after.values())
    assert because not in [shelf["artist_id"] for shelf in after.values()]
    [genre] = {shelf["tag_id"] for name, shelf in after.items() if name == "daily-mix-1"}
    service.put(f"/users/{user.pk}/blocks/genre/{genre}")
    after = by_id(service.get(f"/users/{user.pk}/home?limit=6"))
    assert genre not in [shelf["tag_id"] for shelf in after.values()]


def test_mixes_are_deleted_with_the_last_play_that_they_rest_on(scene: Scene, service: APIClient) -> None:
    user = scene.listeners[1]
    service.get(f"/users/{user.pk}/home")
    assert StoredMixes.objects.filter(user=user).exists()
    Interaction.objects.filter(user=user).delete()
    bump_user_revisions([user.pk])
    shelves = by_id(service.get(f"/users/{user.pk}/home"))
    assert not any(shelf["is_personal"] for shelf in shelves.values())
    assert not StoredMixes.objects.filter(user=user).exists()


def test_mixes_whose_plays_are_left_out_end_with_them(
    scene: Scene, catalogue: CatalogueFactory, service: APIClient
) -> None:
    user = User.objects.create_user("parent")
    catalogue.play(user, *scene.tracks["rock"][:8], at=timezone.now() - timedelta(days=2))
    for hours in (30, 20, 10):
        at = timezone.now() - timedelta(hours=hours)
        catalogue.play(user, *scene.tracks["pop"][:8], at=at, context="bedtime")
    children = {track.pk for track in scene.tracks["pop"][:8]}
    on_repeat = by_id(service.get(f"/users/{user.pk}/mixes"))["on-repeat"]
    assert children & {result["track_id"] for result in on_repeat["results"]}
    add_exclusions(user.pk, [ExclusionTarget(ExclusionKind.PLAYLIST, name="bedtime")])
    after = by_id(service.get(f"/users/{user.pk}/mixes"))
    own = [result for shelf in after.values() for result in shelf["results"] if result["source"] == "repeat"]
    assert not children & {result["track_id"] for result in own}
