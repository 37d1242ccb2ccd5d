"""What the evaluation ranks for a listener is what the service answers them."""

import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
import pytest
from django.utils import timezone

from access.models import User
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.confidence import PlayStatistics
from engine.data.id_map import IdMap
from engine.data.plays import Plays, user_stamps
from engine.data.sessions import sessions_from_plays
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.bundles import BundleRanker, ListenerHistories
from engine.fitting import fit_ensemble
from engine.models.ials import IALS
from engine.models.rp3beta import RP3Beta
from engine.models.sequences import SequenceModel, SequentialRules
from engine.pipeline import PERSONAL
from interactions.bulk import NewInteraction, insert_interactions
from interactions.models import Block
from recommendations.serving.batch import recommend_to_listeners
from recommendations.serving.model_cache import model_cache
from recommendations.serving.request_context import RecommendationRequest, load_contexts
from recommendations.training.restrictions import load_restrictions
from recommendations.training.run import read_plays
from recommendations.version_store import get_installation_id, version_store
from tests.people import NOON
from tracks.models import Artist, Track
from tracks.selectors import load_track_ids

GROUP = 1000  # listeners
TRACKS, ARTISTS, TASTES, LIMIT = 240, 24, 8, 20
NEIGHBOURS = ComponentConfig(RP3Beta(neighbours=10))
BLEND = EnsembleConfig((ComponentConfig(IALS(factors=8, iterations=2)), NEIGHBOURS))


@pytest.fixture
def groups(db: None) -> dict[str, list[int]]:
    """Return the ids of listeners with one to four interactions, with more, and with more and refusals."""
    rng = np.random.default_rng(3)
    artists = Artist.objects.bulk_create(Artist(name=f"Artist {n}", external_id=f"a:{n}") for n in range(ARTISTS))
    tracks = Track.objects.bulk_create(
        Track(
            title=f"Song {n}",
            artist=artists[n % ARTISTS],
            external_id=f"t:{n}",
            markets="DE" if n % 17 == 3 else "",
            explicit=n % 19 == 5,
            taken_down_at=NOON if n % 41 == 7 else None,
        )
        for n in range(TRACKS)
    )
    names = ("cold", "warm", "refusing")
    users = User.objects.bulk_create(
        User(
            username=f"{name}-{n}",
            market="FR" if name != "cold" and n % 10 == 0 else "",
            allow_explicit=not (name == "refusing" and n % 7 == 0),
        )
        for name in names
        for n in range(GROUP)
    )
    groups = {name: [user.pk for user in users[i * GROUP : (i + 1) * GROUP]] for i, name in enumerate(names)}
    insert_interactions([row for name, ids in groups.items() for row in interactions_of(name, ids, tracks, rng)])
    # Everybody who refuses has skipped and disliked tracks; half of them also block an artist, and some a track.
    Block.objects.bulk_create(
        Block(user_id=pk, kind="artist", target_id=artists[n % ARTISTS].pk)
        for n, pk in enumerate(groups["refusing"][::2])
    )
    Block.objects.bulk_create(
        Block(user_id=pk, kind="track", target_id=tracks[n % 30].pk, until=NOON + timedelta(days=9999))
        for n, pk in enumerate(groups["refusing"][::3])
    )
    return groups


def interactions_of(
    group: str, user_ids: Sequence[int], tracks: Sequence[Track], rng: np.random.Generator
) -> Iterator[NewInteraction]:
    """Yield interactions with popular tracks and with those of the listener's taste, some of them repeated."""
    for pk in user_ids:
        taste, count = pk % TASTES, int(rng.integers(1, 5) if group == "cold" else rng.integers(5, 14))
        for minute in range(count):
            number = int(rng.random() ** 2 * TRACKS / TASTES) * TASTES + (
                taste if rng.random() < 0.8 else pk * 7 % TASTES
            )
            columns: dict[str, Any] = {"kind": "play", "milestone": 100, "is_completed": True}
            if group == "refusing" and minute % 3:
                columns = {"kind": "dislike"} if minute % 2 else {"kind": "play", "is_skip": True}
            elif rng.random() < 0.2:
                columns = {"kind": "like"}
            yield NewInteraction(
                pk,
                tracks[number % TRACKS].pk,
                played_at=NOON + timedelta(minutes=minute),
                source="test",
                event_id=uuid.UUID(int=pk * 100 + minute),
                **columns,
            )


def served_lists(user_ids: Sequence[int], *, exclude_played: bool) -> list[list[int]]:
    requests = [RecommendationRequest("personal", LIMIT, pk, exclude_played=exclude_played) for pk in user_ids]
    answers = recommend_to_listeners(requests, load_contexts(user_ids))
    return [[result["track_id"] for result in orjson.loads(a.response.body)["results"]] for a in answers]


def put_into_service(
    ensemble: EnsembleConfig, plays: Plays, items: IdMap, version: str, sequence: SequenceModel | None = None
) -> ModelBundle:
    """Fit a version on the plays and let it serve."""
    users = IdMap.from_ids(plays.user)
    pairs = UserItemPairs.from_plays(plays, users, items)
    fitted = fit_ensemble(pairs, (len(users), len(items)), ensemble, seed=1, threads=1)
    bundle = assemble_bundle(
        version=version,
        items=items,
        popularity=count_listeners(pairs, len(items)),
        ensemble=ensemble,
        fitted_models=fitted.models,
        users=users,
        user_stamps=user_stamps(plays, users),
        statistics=PlayStatistics.from_pairs(pairs),
        sequence=sequence,
    )
    version_store().write(bundle, {"report": {}, "installation": str(get_installation_id())})
    version_store().publish(version)
    model_cache.check_pointer()
    return bundle


def test_the_evaluation_ranks_as_the_service_answers(groups: dict[str, list[int]]) -> None:
    plays, items = read_plays(lambda *args: None), IdMap.from_ids(load_track_ids())
    histories = ListenerHistories.from_plays(plays, load_restrictions())
    # The lists of neighbours alone are short: other sources fill them.
    for version, ensemble, question, size in (
        ("v1", BLEND, "new", GROUP),
        ("v2", BLEND, "all", 200),
        ("v3", EnsembleConfig((NEIGHBOURS,)), "new", 200),
    ):
        bundle = put_into_service(ensemble, plays, items, version)
        rank = BundleRanker(bundle, histories, items, question, cold_below=5, policy=PERSONAL)
        for name, user_ids in groups.items():
            rows, _ = histories.users.rows(user_ids[:size])
            evaluated = items.ids[rank(rows, LIMIT, lambda done: None).items].tolist()
            served = served_lists(user_ids[:size], exclude_played=question == "new")
            assert [pk for pk, a, b in zip(user_ids, evaluated, served, strict=False) if a != b] == [], (version, name)
            assert {len(tracks) for tracks in served} == {LIMIT}


def test_the_current_session_counts_in_the_evaluation_as_in_the_service(groups: dict[str, list[int]]) -> None:
    listening = groups["warm"][:200:2] + groups["cold"][:100:2]
    tracks = load_track_ids()
    insert_interactions(
        NewInteraction(
            pk,
            int(tracks[(pk + 5 * n) % TRACKS]),
            kind="play",
            played_at=timezone.now() - timedelta(minutes=25 - 8 * n),
            source="test",
            event_id=uuid.uuid4(),
            shuffled=pk % 7 == n,
        )
        for pk in listening
        for n in range(3)
    )
    plays, items = read_plays(lambda *args: None), IdMap.from_ids(tracks)
    sequence = SequentialRules().fit(sessions_from_plays(plays, items), len(items), seed=1)
    bundle = put_into_service(BLEND, plays, items, "v1", sequence)
    now = int(time.time())
    histories = ListenerHistories.from_plays(plays, load_restrictions(), now)
    for question in ("new", "all"):
        rank = BundleRanker(bundle, histories, items, question, cold_below=5, policy=PERSONAL, now=now)
        user_ids = groups["warm"][:200] + groups["cold"][:100]
        rows, _ = histories.users.rows(user_ids)
        evaluated = items.ids[rank(rows, LIMIT, lambda done: None).items].tolist()
        served = served_lists(user_ids, exclude_played=question == "new")
        assert [pk for pk, a, b in zip(user_ids, evaluated, served, strict=True) if a != b] == [], question
    assert len(histories.sessions) > 100
