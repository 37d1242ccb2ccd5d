"""Measure what `explain=true` adds to a slate of 20 tracks.

    python -m benchmarks.explanations [--tracks 50000] [--plays 200] [--rounds 200]

Runs on one core, with a SQLite database whose cards are cached, as in a process that has been serving for a while. The
tracks are of 5,000 artists, and listeners have played `--plays` of them, most of one of 50 tastes. Each listener is
ranked, and ranked and explained, in turns; both include the fold-in, and explaining includes the JSON. Medians of CPU
time are printed, and the 99th percentile of the explanations alone.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np
import orjson
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from benchmarks.search import run_embedded
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.confidence import ConfidenceWeights
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.models.base import FittedModel
from engine.models.ials import IALS
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.pipeline import PERSONAL, Ranking, recommend
from engine.retrieval.candidates import Query

LIMIT = 20
LISTENERS = 3_000
TRACKS_PER_ARTIST = 10
TASTES = 50
LOG_PLAYS = ConfidenceWeights(transform="log")
FACTORS = ComponentConfig(IALS(factors=64, iterations=3), LOG_PLAYS)
VOTES = ComponentConfig(RP3Beta(), LOG_PLAYS, recency=0.2)
ENSEMBLES = {
    "factors": (FACTORS,),
    "neighbours": (VOTES,),
    "factors, neighbours and popularity": (FACTORS, VOTES, ComponentConfig(Popularity())),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--plays", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with run_embedded(), threadpool_limits(1):
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        _fill_catalogue(options.tracks)
        histories = _invent_histories(options.tracks, options.plays)
        fitted = _fit(histories, options.tracks)
        print("| components | ranked, ms | ranked and explained, ms | explanations alone, ms | 99th percentile, ms |")
        print("|---|---|---|---|---|")
        for name, components in ENSEMBLES.items():
            bundle = _make_bundle(components, fitted, histories, options.tracks)
            print(f"| {name} | {_measure(bundle, histories, options.plays, options.rounds)} |", flush=True)


def _fill_catalogue(tracks: int) -> None:
    from tracks.models import Artist, Track

    artists = range(1, tracks // TRACKS_PER_ARTIST + 2)
    Artist.objects.bulk_create([Artist(pk=pk, name=f"Artist {pk}") for pk in artists], batch_size=5000)
    rows = [Track(pk=n + 1, title=f"Song {n}", artist_id=1 + n // TRACKS_PER_ARTIST) for n in range(tracks)]
    Track.objects.bulk_create(rows, batch_size=5000)


def _invent_histories(tracks: int, plays: int) -> list[UserItemPairs]:
    """Return the histories of LISTENERS listeners, `plays` distinct tracks each, with track ids."""
    rng = np.random.default_rng(3)
    histories = []
    for listener in range(LISTENERS):
        rank = (rng.random(3 * plays) ** 2 * tracks).astype(np.int64)
        of_taste = rng.random(len(rank)) < 0.8
        rank[of_taste] -= (rank[of_taste] - listener) % TASTES
        track_ids = 1 + rng.permutation(np.unique(np.maximum(rank, 0)))[:plays]
        times = 1_750_000_000 + rng.integers(0, 10_000_000, len(track_ids))
        rows = zip(track_ids.tolist(), rng.integers(1, 20, len(track_ids)).tolist(), times.tolist(), strict=True)
        histories.append(UserItemPairs.from_listener(Plays.from_rows((0, t, n, True, at) for t, n, at in sorted(rows))))
    return histories


def _fit(histories: Sequence[UserItemPairs], tracks: int) -> dict[ComponentConfig, FittedModel]:
    rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    columns = np.concatenate([history.track for history in histories]) - 1
    counts = np.log1p(np.concatenate([history.count for history in histories]))
    matrix = sp.csr_matrix((1 + counts, (rows, columns)), (len(histories), tracks), dtype=np.float32)
    return {
        component: component.trainer.fit(matrix, seed=1, threads=1) for component in ENSEMBLES[max(ENSEMBLES, key=len)]
    }


def _make_bundle(
    components: tuple[ComponentConfig, ...],
    fitted: dict[ComponentConfig, FittedModel],
    histories: Sequence[UserItemPairs],
    tracks: int,
) -> ModelBundle:
    from tracks.features import load_track_features

    track_ids = np.arange(1, tracks + 1)
    played = np.bincount(np.concatenate([history.track for history in histories]) - 1, minlength=tracks)
    return assemble_bundle(
        version="v1",
        items=IdMap.from_ids(track_ids),
        popularity=played.astype(np.float32),
        ensemble=EnsembleConfig(components, BlendWeights.equal(len(components))),
        fitted_models=[fitted[component] for component in components],
        features=load_track_features(track_ids),
    )


def _measure(bundle: ModelBundle, histories: Sequence[UserItemPairs], plays: int, rounds: int) -> str:
    from recommendations.serving.explanations import explain_picks
    from tracks.card_cache import track_card_cache
    from tracks.selectors import catalogue_revision

    revision = catalogue_revision()
    track_card_cache.get_cards(bundle.items.ids[bundle.popularity > 0].tolist()[:20_000], revision)
    full = [history for history in histories if len(history) == plays][:rounds]
    ranked, explained, alone = [], [], []

    def rank(history: UserItemPairs) -> tuple[Query, Ranking]:
        query = Query(LIMIT, history=history, exclude=history.track)
        return query, recommend(bundle, query, PERSONAL)

    for history in full:
        query, ranking = rank(history)
        cards = track_card_cache.get_cards(
            [*(pick.track_id for pick in ranking.picks), *history.track.tolist()], revision
        )  # not timed: the cards that an answer needs with explanations or without
        started = time.thread_time()
        rank(history)
        ranked.append(time.thread_time() - started)
        started = time.thread_time()
        query, ranking = rank(history)
        explaining = time.thread_time()
        explanations = explain_picks(bundle, query, ranking, cards, revision)
        orjson.dumps(list(explanations.values()))
        ended = time.thread_time()
        explained.append(ended - started)
        alone.append(ended - explaining)
    times = (np.median(ranked), np.median(explained), np.median(alone), np.quantile(alone, 0.99))
    return " | ".join(f"{1000 * seconds:.2f}" for seconds in times)


if __name__ == "__main__":
    main()
