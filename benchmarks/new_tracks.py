"""Measure how well content finds tracks that nobody has played yet, and what that costs the others.

    python -m benchmarks.new_tracks [--hetrec FOLDER] [--family ials] [--seed 2009] [--threads 1] [--json OUT]

The artists of HetRec 2011 Last.fm-2K take the place of tracks. A tenth of those with plays is hidden: their plays are
removed, their tags stay. A fifth of each listener's other artists is held out too, by which known artists are judged.
Everything is chosen on the rest: how content counts, by hiding a tenth of that again, as in training. Then the ensemble
is fitted on it, and each listener is folded in, as in serving.

Printed are NDCG@10 of the hidden artists among themselves, for every listener who played any: in random order, by the
popularity of their tags – the mean over an artist's tags, and the sum, which also says how many tags there are – and by
the content map; and NDCG@10 of the known artists in lists of all artists: of a version without content, of one with it,
and with the hidden artists among its candidates.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from engine.bundle.model_bundle import assemble_bundle
from engine.data.confidence import ConfidenceWeights, PlayStatistics
from engine.data.content_features import DENSE_FEATURES, ContentFeatures
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.split import split_by_ratio
from engine.data.user_item_pairs import UserItemPairs, binary_matrix, count_listeners
from engine.ensemble import AUXILIARY, ComponentConfig, EnsembleConfig
from engine.evaluation.metrics import ndcg
from engine.fitting import fit_ensemble
from engine.hashing import hash_to_unit_interval
from engine.models import FAMILIES
from engine.retrieval.candidates import SOURCES, Query
from engine.retrieval.content import cold_scores
from engine.tuning.content_choice import choose_content

HIDDEN, HELD_OUT, CUTOFF = 0.1, 0.2, 10


def main() -> None:
    data = Path(os.environ.get("MUSICREC_DATA") or "../shared/data")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hetrec", type=Path, default=data / "hetrec2011-lastfm-2k")
    parser.add_argument("--family", choices=sorted(FAMILIES), default="ials", help="the model, with its defaults")
    parser.add_argument("--seed", type=int, default=2009, help="of what is hidden")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    results = measure(options)
    print("| | NDCG@10 |\n|---|---|")
    for name, value in results["ndcg@10"].items():
        print(f"| {name} | {value:.4f} |")
    print(f"\nchosen: {json.dumps(results['chosen'])}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    plays, content = read_hetrec(options.hetrec)
    items = IdMap(content.track_ids)
    is_hidden = hash_to_unit_interval(items.ids, options.seed) < HIDDEN
    of_hidden = is_hidden[items.rows(plays.track)[0]]
    split = split_by_ratio(plays.where(~of_hidden), HELD_OUT, options.seed)
    component = ComponentConfig(FAMILIES[options.family](), ConfidenceWeights(transform="log"))
    ensemble = EnsembleConfig((component,))
    started = time.perf_counter()
    choice = choose_content(split.past, items, ensemble, content, seed=options.seed, threads=options.threads)
    print(f"chosen in {time.perf_counter() - started:.1f} s")

    users = IdMap.from_ids(split.past.user)
    shape = (len(users), len(items))
    past, future, new = (
        UserItemPairs.from_plays(part, users, items) for part in (split.past, split.future, plays.where(of_hidden))
    )
    fitted = fit_ensemble(past, shape, ensemble, seed=options.seed, threads=options.threads)
    auxiliary = None
    if fitted.models[0].factors is None:
        spare = fit_ensemble(past, shape, EnsembleConfig((AUXILIARY,)), seed=options.seed, threads=options.threads)
        auxiliary = spare.models[0]
    popularity = count_listeners(past, len(items))
    bundle = assemble_bundle(
        version="benchmark",
        items=items,
        popularity=popularity,
        ensemble=ensemble,
        fitted_models=fitted.models,
        users=users,
        statistics=PlayStatistics.from_pairs(past),
        auxiliary=auxiliary,
        content=content,
        content_parameters=choice.parameters,
    )

    plain = assemble_bundle(
        version="benchmark",
        items=items,
        popularity=popularity,
        ensemble=ensemble,
        fitted_models=fitted.models,
        statistics=bundle.statistics,
    )
    hidden = np.flatnonzero(is_hidden)
    is_tag = sp.csr_matrix(content.sparse > 0, dtype=np.float64)
    by_tags = is_tag @ (is_tag.T @ popularity.astype(np.float64))
    tags = np.maximum(np.diff(is_tag.indptr), 1)
    fixed = {
        "random": hash_to_unit_interval(hidden, options.seed + 1),
        "popularity of the tags, mean": (by_tags / tags)[hidden],
        "popularity of the tags, sum": by_tags[hidden],
    }
    known_matrix, new_matrix = binary_matrix(future, shape), binary_matrix(new, shape)
    rankings: dict[str, list[float]] = {f"new among themselves: {name}": [] for name in (*fixed, "content map")}
    rankings |= {f"known: {name}": [] for name in ("without content", "without new ones", "with new ones")}
    rankings["all: with new ones"] = []
    starts = np.searchsorted(past.user, np.arange(len(users) + 1))
    for user in range(len(users)):
        history = past.where(slice(starts[user], starts[user + 1]))
        history = UserItemPairs.from_listener(
            Plays(
                np.zeros(len(history), np.int64),
                items.ids[history.track],
                history.count,
                history.qualified,
                history.newest,
                np.zeros(len(history), np.int8),
            )
        )
        known, unknown = known_matrix[user].indices, new_matrix[user].indices
        query = Query(limit=CUTOFF, history=history, exclude=history.track)
        with bundle.workspaces.borrow() as workspace:
            workspace.exclude(items.known_rows(history.track), 2)
            personal = SOURCES["personal"](bundle, query, workspace, CUTOFF)
            by_content = SOURCES["content"](bundle, query, workspace, CUTOFF)
            scores = np.nan_to_num(cold_scores(bundle, query, workspace, hidden), nan=-np.inf)
        with plain.workspaces.borrow() as workspace:
            workspace.exclude(items.known_rows(history.track), 2)
            without_content = SOURCES["personal"](plain, query, workspace, CUTOFF)[0]
        if len(unknown):
            for name, values in (fixed | {"content map": scores}).items():
                best = hidden[np.argsort(-values, kind="stable")[:CUTOFF]]
                rankings[f"new among themselves: {name}"].append(score_list(best, unknown))
        merged_rows, merged = (np.concatenate(parts) for parts in zip(personal, by_content, strict=True))
        first = np.sort(np.unique(merged_rows, return_index=True)[1])
        with_new = merged_rows[first][np.argsort(-merged[first], kind="stable")[:CUTOFF]]
        if len(known):
            rankings["known: without content"].append(score_list(without_content, known))
            rankings["known: without new ones"].append(score_list(personal[0], known))
            rankings["known: with new ones"].append(score_list(with_new, known))
        if len(known) + len(unknown):
            rankings["all: with new ones"].append(score_list(with_new, np.concatenate([known, unknown])))
    results = {name: round(float(np.mean(values)), 4) for name, values in rankings.items()}
    return {"ndcg@10": results, "chosen": choice.report}


def score_list(ranked: np.ndarray, relevant: np.ndarray) -> float:
    """Return NDCG@10 of one list."""
    hits = np.zeros((1, CUTOFF), np.bool_)
    hits[0, : len(ranked)] = np.isin(ranked, relevant)
    return float(ndcg(hits, np.array([len(relevant)]), (CUTOFF,))[0, 0])


def read_hetrec(folder: Path) -> tuple[Plays, ContentFeatures]:
    """Read the plays of each listener, and how many listeners gave each artist a tag."""
    user, artist, count = np.loadtxt(folder / "user_artists.dat", np.int64, skiprows=1).T
    zeros = np.zeros(len(user), np.bool_)
    plays = Plays(user, artist, count.astype(np.float32), zeros, zeros.astype(np.int64), zeros.astype(np.int8))
    items = IdMap.from_ids(artist)
    _, tagged, tag = np.loadtxt(folder / "user_taggedartists.dat", np.int64, skiprows=1, usecols=(0, 1, 2)).T
    rows, is_known = items.rows(tagged)
    tags, columns = np.unique(tag[is_known], return_inverse=True)
    ones = np.ones(int(is_known.sum()), np.float32)
    sparse = sp.csr_matrix((ones, (rows[is_known], columns)), (len(items), len(tags)))
    dense = np.full((len(items), len(DENSE_FEATURES)), np.nan, np.float32)
    return plays, ContentFeatures(items.ids, tuple(f"tag:{i}" for i in tags), sparse, dense)


if __name__ == "__main__":
    main()
