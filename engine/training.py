"""Train one version: split, fit on the past, evaluate on the future, fit on everything."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.bundle.factor_space import ContentParameters
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.confidence import PlayStatistics
from engine.data.content_features import ContentFeatures
from engine.data.id_map import IdMap
from engine.data.play_contexts import PlayContexts
from engine.data.plays import InsufficientPlays, Plays, user_stamps
from engine.data.sessions import Sessions, sessions_from_plays
from engine.data.split import split_plays
from engine.data.track_features import TrackFeatures
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import AUXILIARY, NOT_LEARNT, EarlyBlend, EnsembleConfig
from engine.evaluation.bundles import MAX_USERS, Restrictions, evaluate_bundles
from engine.evaluation.next_track import PrefixScorer
from engine.evaluation.questions import ALL, NEW, QUESTIONS, REPEATS, empty_report, question_report
from engine.evaluation.sequences import evaluate_sequences, evaluate_session_slates, scorer_of_other_catalogue
from engine.fitting import FittedEnsemble, fit_ensemble
from engine.listener_query import COLD_BELOW
from engine.models.listening_context import fit_context_model
from engine.models.sequences.base import SequenceModel
from engine.models.sequences.sequence_fusion import SequenceFusion, SequenceFusionModel
from engine.pipeline import POLICIES, Policy
from engine.ranking.context import unit_vectors
from engine.tuning.content_choice import choose_content
from engine.tuning.context_weights import ContextChoice, learn_context_weights
from engine.tuning.early_blend import learn_early_blend
from engine.tuning.first_night import ChosenEnsemble, choose_ensemble
from engine.tuning.paired_windows import compare_in_windows

logger = logging.getLogger(__name__)
ProgressCallback = Callable[[str, int, int], None]
"""Called with a stage, the steps done and their total: "judge" fits on the past, "evaluate" ranks, "fit" fits all."""

MODEL, IN_SERVICE = "model", "in_service"
# What "in_service" is in a report: the ensemble in service, fitted on the same past, or the version in service itself.
RECIPE, VERSION = "recipe", "version"
MIN_SESSIONS = 100  # of at least two plays, to learn what is played next
FAILED = "could not be fitted"
MAX_SESSION_PLAYS = 1_000_000  # the newest; more would take gigabytes and change little
WINDOWS_BELOW = 500  # with fewer listeners than this to judge on, two ensembles are compared in several windows


@dataclass(frozen=True)
class TrainingConfig:
    """The configuration of a training run.

    Attributes:
        ensemble: the models and their weights.
        candidates: if there are any, the ensemble is chosen among these and the one in service, see
            `choose_ensemble`. `ensemble` is not used then.
        split: how plays are held out for the report, one of `engine.data.split.SPLITTERS`.
        holdout: the share that is held out, in 0..1.
        question: what the version is chosen for, one of `engine.evaluation.questions.QUESTIONS`.
        seed: of the split, the models and the evaluation.
        threads: 0 for all cores.
    """

    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    candidates: tuple[EnsembleConfig, ...] = ()
    split: str = "time"
    holdout: float = 0.2
    question: str = NEW
    seed: int = 2009
    threads: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return what decides the result, JSON-ready. The number of threads does not."""
        candidates = {"candidates": [ensemble.to_dict() for ensemble in self.candidates]} if self.candidates else {}
        ensemble = candidates or self.ensemble.to_dict()
        return ensemble | {
            "split": self.split,
            "holdout": self.holdout,
            "question": self.question,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class TrainedVersion:
    """The result of a training run.

    Attributes:
        bundle: the trained version.
        manifest: its configuration, report, sizes, seconds and library versions, JSON-ready.
        judged: the model with which the report was made, without listeners; None without an evaluation.
    """

    bundle: ModelBundle
    manifest: dict[str, Any]
    judged: ModelBundle | None = None

    def without_sequence(self) -> TrainedVersion:
        """Return the version without its model of what is played next; the manifest keeps what it was learnt from."""
        judged = self.judged and replace(self.judged, sequence=None)
        return replace(self, bundle=replace(self.bundle, sequence=None), judged=judged)


class Evaluation(NamedTuple):
    """A report, and the model that it is about, without listeners; None if there was nothing to evaluate on."""

    report: dict[str, Any]
    model: ModelBundle | None


def train(
    plays: Plays,
    track_ids: ArrayLike,
    config: TrainingConfig,
    *,
    version: str,
    features: TrackFeatures | None = None,
    content: ContentFeatures | None = None,
    in_service: EnsembleConfig | None = None,
    judged: ModelBundle | None = None,
    cold_below: int = COLD_BELOW,
    restrictions: Restrictions | None = None,
    policies: Mapping[str, Policy] = POLICIES,
    contexts: PlayContexts | None = None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> TrainedVersion:
    """Evaluate a configuration on held-out plays, then fit it on all plays.

    Args:
        plays: all plays.
        track_ids: the catalogue, int64 (items,). A track that nobody played gets zero factors.
        config: what to train.
        version: name of the new version.
        features: of each distinct track of `track_ids` in ascending order; by default nothing is known of them.
        content: of any tracks. With it, tracks without plays are found by their content.
        in_service: the ensemble that serves now; evaluated on the same plays if it is a different one.
        judged: the model with which the report of the version in service was made; evaluated on the same plays if the
            ensemble is the same.
        cold_below: see `evaluate_bundles`.
        restrictions: see `evaluate_bundles`.
        policies: see `evaluate_bundles`.
        contexts: the plays whose device or activity is known, to learn how much the context of a request counts; None
            if it is not to count.
        progress: see `ProgressCallback`.

    Raises:
        InsufficientPlays: there are no plays of these tracks.
    """
    items, users = IdMap.from_ids(track_ids), IdMap.from_ids(plays.user)
    pairs = UserItemPairs.from_plays(plays, users, items)
    if not len(pairs):
        raise InsufficientPlays("there are no plays to learn from; import plays first")

    started = time.perf_counter()
    choice = None
    if config.candidates:
        choice = _choose_on_older_plays(plays, items, config, in_service)
        config = replace(config, ensemble=choice.ensemble, candidates=())
    content_choice = None
    if content is not None:
        past = split_plays(plays, config.split, config.holdout, config.seed).past
        content_choice = choose_content(past, items, config.ensemble, content, seed=config.seed, threads=config.threads)
    content_parameters = None if content_choice is None else content_choice.parameters
    chosen = time.perf_counter()
    evaluation = evaluate_on_holdout(
        plays,
        items,
        config,
        features=features,
        content=content,
        content_parameters=content_parameters,
        in_service=in_service,
        judged=judged,
        cold_below=cold_below,
        restrictions=restrictions,
        policies=policies,
        progress=progress,
    )
    report = evaluation.report
    listeners = question_report(report)["listeners"]
    if in_service is not None and in_service != config.ensemble and listeners < WINDOWS_BELOW:
        report["windows"] = compare_in_windows(
            plays,
            items,
            config.ensemble,
            in_service,
            holdout=config.holdout,
            question=config.question,
            seed=config.seed,
            threads=config.threads,
        )
    context = None
    if contexts is not None:
        context = _learn_context(evaluation.model, plays, contexts, config, cold_below)
    evaluated = time.perf_counter()
    early = evaluation.model.early if evaluation.model else NOT_LEARNT
    fitted = fit_ensemble(
        pairs,
        (len(users), len(items)),
        config.ensemble,
        seed=config.seed,
        threads=config.threads,
        progress=partial(progress, "fit"),
    )
    fitted_at = time.perf_counter()
    judged_sequence = evaluation.model.sequence if evaluation.model else None
    sequence, sequence_report = fit_sequence(plays, items, config.seed, judged_sequence)
    manifest = {
        "config": config.to_dict(),
        "choice": choice and choice.to_dict(),
        "content": content_choice and content_choice.report,
        "report": report,
        "early": early.to_dict(),
        "fallback": fitted.fallback,
        "sequence": sequence_report,
        "context": context and context.report,
        "plays": len(plays),
        "pairs": len(pairs),
        "plays_from": int(plays.time.min()),
        "plays_to": int(plays.time.max()),
        "seconds": {
            "choose": round(chosen - started, 3),
            "judge": round(evaluated - chosen, 3),
            "fit": round(fitted_at - evaluated, 3),
            "sequence": round(time.perf_counter() - fitted_at, 3),
        },
        "libraries": {name: _library_version(name) for name in ("numpy", "scipy", "implicit", "numba")},
    }
    bundle = _assemble(
        fitted,
        pairs,
        users,
        items,
        config,
        early=early,
        version=version,
        user_stamps=user_stamps(plays, users),
        features=features,
        content=content,
        content_parameters=content_parameters,
        sequence=sequence,
    )
    if contexts is not None and context is not None and context.weights:
        directions = unit_vectors(bundle, np.arange(len(items)))
        bundle = replace(bundle, context=fit_context_model(directions, items, plays, contexts, context.weights))
    return TrainedVersion(bundle, manifest, evaluation.model)


def fit_sequence(
    plays: Plays, items: IdMap, seed: int, judged: SequenceModel | None = None
) -> tuple[SequenceModel | None, dict[str, Any]]:
    """Fit what is played next in a session; a training never fails because of it.

    Args:
        plays: of all listeners.
        items: the catalogue.
        seed: of all random numbers.
        judged: the model that was fitted on the older ones of these plays, whose weights are kept: to learn them takes
            longer than all the rest.

    Returns:
        The model, or None if there are fewer than `MIN_SESSIONS` sessions of at least two plays or if it cannot be
        fitted; and for the manifest the number of these sessions, the trainer or None, and why there is no model.
    """
    report: dict[str, Any] = {"sessions": 0, "plays": 0, "trainer": None, "skipped": None}
    trainer = SequenceFusion()
    try:
        sessions = _sessions_to_learn_from(plays, items)
        report |= {"sessions": len(sessions), "plays": len(sessions.items)}
        if len(sessions) < MIN_SESSIONS:
            return None, report | {"skipped": f"needs {MIN_SESSIONS} sessions of at least two plays in a known order"}
        if isinstance(judged, SequenceFusionModel):
            model: SequenceModel = judged.refit(sessions, seed=seed)
        else:
            model = trainer.fit(sessions, len(items), seed=seed)
    except Exception as error:  # whatever it is, the version is worth more than this part of it
        logger.exception("sequence model %s sessions=%d plays=%d", FAILED, report["sessions"], report["plays"])
        return None, report | {"skipped": f"{FAILED} ({type(error).__name__}: {error})"}
    return model, report | {"trainer": trainer.to_dict()}


def _sessions_to_learn_from(plays: Plays, items: IdMap) -> Sessions:
    return sessions_from_plays(plays, items).where_longer_than(1).newest(MAX_SESSION_PLAYS)


def _learn_context(
    model: ModelBundle | None, plays: Plays, contexts: PlayContexts, config: TrainingConfig, cold_below: int
) -> ContextChoice:
    """Learn how much the context counts from the sessions that were held out, which begin after all that `model` knows.

    The evaluation leaves the context out, so what is learnt here does not favour the version there.
    """
    split = split_plays(plays, config.split, config.holdout, config.seed)
    if model is None or split.kind != "time":
        return ContextChoice({}, {"skipped": f"needs plays that are split by time, not a {split.kind} split"})
    begin, question = int(split.future.time.min()), ALL if config.question == REPEATS else config.question
    try:
        return learn_context_weights(
            model, plays, begin, contexts, question=question, cold_below=cold_below, seed=config.seed
        )
    except Exception as error:  # whatever it is, the version is worth more than this part of it
        logger.exception("the weights of the context could not be learnt from %d plays", len(plays))
        return ContextChoice({}, {"skipped": f"could not be learnt ({type(error).__name__}: {error})"})


def _choose_on_older_plays(
    plays: Plays, items: IdMap, config: TrainingConfig, in_service: EnsembleConfig | None
) -> ChosenEnsemble:
    """Choose among the candidates, without the plays on which the chosen one is evaluated."""
    return choose_ensemble(
        split_plays(plays, config.split, config.holdout, config.seed).past,
        items,
        config.candidates,
        incumbent=in_service,
        split=config.split,
        holdout=config.holdout,
        question=config.question,
        seed=config.seed,
        threads=config.threads,
    )


def evaluate_on_holdout(
    plays: Plays,
    items: IdMap,
    config: TrainingConfig,
    *,
    features: TrackFeatures | None = None,
    content: ContentFeatures | None = None,
    content_parameters: ContentParameters | None = None,
    in_service: EnsembleConfig | None = None,
    judged: ModelBundle | None = None,
    ks: Sequence[int] = (5, 10, 20),
    max_users: int | None = MAX_USERS,
    cold_below: int = COLD_BELOW,
    restrictions: Restrictions | None = None,
    policies: Mapping[str, Policy] = POLICIES,
    trial: Policy | None = None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> Evaluation:
    """Hold out part of the plays, fit on the rest, and evaluate what the versions would serve on the held-out part.

    Args:
        plays: all plays.
        items: the catalogue.
        config: what to evaluate, how to split, and the question that decides.
        features: of each track of the catalogue; by default nothing is known of them.
        content: see `train`.
        content_parameters: how it counts; its defaults if they were not chosen.
        in_service: the ensemble to compare with, if it is another one.
        judged: the model of the ensemble in service that an earlier report was made with, to compare with if the
            ensemble is the same. It must not have seen the plays that are held out here: it is left out if it knows
            newer plays than the past, and for splits other than by time.
        ks: cut-offs of the metrics.
        max_users: see `evaluate_bundles`.
        cold_below: see `evaluate_bundles`.
        restrictions: see `evaluate_bundles`.
        policies: see `evaluate_bundles`.
        trial: see `evaluate_bundles`.
        progress: see `ProgressCallback`.

    Returns:
        The report of `evaluate_bundles`, whose models are "model", "in_service", "policy" and "most_popular", plus
        "split", "holdout", "algorithm", "next_track" (see `_evaluate_sequence`) and "comparison": what "in_service" is,
        `RECIPE`, `VERSION` or "". If the ensemble is that in service and `judged` was not evaluated, "not_evaluated" is
        the reason, a clause for the operator. No models where the split leaves nothing to learn from or to evaluate on.
    """
    split = split_plays(plays, config.split, config.holdout, config.seed)
    users = IdMap.from_ids(split.past.user)
    pairs = UserItemPairs.from_plays(split.past, users, items)
    # Where plays are not held out by time, sessions still are.
    is_by_time = split.kind == "time" and len(split.future) > 0
    later_from = int(split.future.time.min()) if is_by_time else int(np.quantile(plays.time, 1 - config.holdout))
    is_other_recipe = in_service is not None and in_service != config.ensemble
    report: dict[str, Any] = {"split": split.kind, "holdout": config.holdout}
    report["comparison"] = RECIPE if is_other_recipe else ""
    if not len(pairs) or not len(split.future):
        no_answers = {"question": config.question, "questions": {name: empty_report() for name in QUESTIONS}}
        return Evaluation(report | no_answers, None)

    sequence, _ = fit_sequence(plays.where(plays.time < later_from), items, config.seed)
    ensembles = {MODEL: config.ensemble}
    if in_service is not None and is_other_recipe:
        ensembles[IN_SERVICE] = in_service
    bundles = {}
    for name, ensemble in ensembles.items():
        fitted = fit_ensemble(
            pairs,
            (len(users), len(items)),
            ensemble,
            seed=config.seed,
            threads=config.threads,
            progress=partial(progress, "judge"),
        )
        early = learn_early_blend(
            split.past, items, ensemble, features=features, seed=config.seed, threads=config.threads
        )
        bundles[name] = _assemble(
            fitted,
            pairs,
            users,
            items,
            config,
            early=early,
            user_stamps=user_stamps(split.past, users),
            features=features,
            content=content,
            content_parameters=content_parameters,
            sequence=sequence,
        )
    del pairs, fitted  # their memory is free before the evaluation needs its own
    if in_service == config.ensemble:
        if judged is None:
            report["not_evaluated"] = "it has no readable model that was fitted on older plays only"
        elif split.kind != "time":
            report["not_evaluated"] = f"a {split.kind} split does not separate older plays from newer ones"
        elif judged.statistics.newest >= int(split.future.time.min()):
            report["not_evaluated"] = "its model has seen some of them"
        else:
            if features is not None:  # older releases stored none, and without them its slates would have no caps
                judged = replace(judged, features=_features_of_tracks(features, items, judged.items.ids))
            bundles[IN_SERVICE], report["comparison"] = judged, VERSION
    report["algorithm"] = bundles[MODEL].algorithm
    started = time.perf_counter()
    report["next_track"] = _evaluate_sequence(
        bundles[MODEL],
        plays,
        items,
        config,
        later_from,
        in_service=judged if judged is not None and judged.statistics.newest < later_from else None,
        serves_past=is_by_time,
        cold_below=cold_below,
        policies=policies,
    )
    report["next_track"]["seconds"] = round(time.perf_counter() - started, 3)
    answers = evaluate_bundles(
        bundles,
        Plays.concatenate([split.past, split.fold_in_plays]),
        split.future,
        items,
        question=config.question,
        ks=ks,
        seed=config.seed,
        max_users=max_users,
        cold_below=cold_below,
        restrictions=restrictions,
        policies=policies,
        trial=trial,
        now=int(split.future.time.min()) if split.kind == "time" else 0,
        progress=partial(progress, "evaluate"),
    )
    return Evaluation(report | answers, bundles[MODEL].without_listeners())


def _evaluate_sequence(
    bundle: ModelBundle,
    plays: Plays,
    items: IdMap,
    config: TrainingConfig,
    later_from: int,
    *,
    in_service: ModelBundle | None,
    serves_past: bool,
    cold_below: int,
    policies: Mapping[str, Policy],
) -> dict[str, Any]:
    """Evaluate the sequence model of a bundle on the sessions from a time on.

    Args:
        bundle: trained on the plays before.
        plays: all plays.
        items: the catalogue.
        config: of the training.
        later_from: UNIX second.
        in_service: the model of the version in service, without these sessions, to compare with.
        serves_past: whether the bundle was trained on exactly the plays before, so that its slates can be evaluated.
        cold_below: see `evaluate_bundles`.
        policies: see `evaluate_bundles`.

    Returns:
        See `evaluate_sequences`, with `evaluate_session_slates` as "served"; or "skipped" with the reason, a clause.
    """
    if bundle.sequence is None:
        return {"skipped": f"it needs {MIN_SESSIONS} sessions of at least two plays before those that are held out"}
    is_later = plays.time >= later_from
    past, users = plays.where(~is_later), IdMap.from_ids(plays.user)
    later = sessions_from_plays(plays.where(is_later), items, users=users).where_longer_than(1)
    if not len(later):
        return {"skipped": "there are no sessions of at least two plays among those that are held out"}
    models: dict[str, PrefixScorer] = {MODEL: bundle.sequence.score}
    if in_service is not None and in_service.sequence is not None:
        models[IN_SERVICE] = scorer_of_other_catalogue(in_service.sequence, in_service.items, items)
    try:
        report = evaluate_sequences(models, _sessions_to_learn_from(past, items), later, len(items), seed=config.seed)
        if serves_past:
            report["served"] = evaluate_session_slates(
                bundle, past, later, items, users, seed=config.seed, cold_below=cold_below, policies=policies
            )
    except Exception as error:  # the version is worth more than this part of its report
        logger.exception("sequence model could not be evaluated sessions=%d", len(later))
        return {"skipped": f"it could not be evaluated ({type(error).__name__}: {error})"}
    return report


def _features_of_tracks(features: TrackFeatures, items: IdMap, track_ids: NDArray[np.int64]) -> TrackFeatures:
    """Look up the features of tracks, int64 (k,), in those of a catalogue; unknown ones for tracks that it lacks."""
    rows, is_known = items.rows(track_ids)
    known, unknown = features.where(rows), TrackFeatures.unknown(track_ids)
    columns = ("artist", "album", "recording", "released", "added")
    return TrackFeatures(*(np.where(is_known, getattr(known, c), getattr(unknown, c)) for c in columns))


def _assemble(
    fitted: FittedEnsemble,
    pairs: UserItemPairs,
    users: IdMap,
    items: IdMap,
    config: TrainingConfig,
    *,
    early: EarlyBlend,
    version: str | None = None,
    user_stamps: NDArray[np.int64] | None = None,
    features: TrackFeatures | None = None,
    content: ContentFeatures | None = None,
    content_parameters: ContentParameters | None = None,
    sequence: SequenceModel | None = None,
) -> ModelBundle:
    """Assemble a bundle from an ensemble that was fitted on `pairs`; one without factors gets auxiliary ones."""
    auxiliary = None
    if all(model.factors is None for model in fitted.models):
        shape, ensemble = (len(users), len(items)), EnsembleConfig((AUXILIARY,))
        auxiliary = fit_ensemble(pairs, shape, ensemble, seed=config.seed, threads=config.threads).models[0]
    return assemble_bundle(
        version=version,
        items=items,
        popularity=count_listeners(pairs, len(items)),
        ensemble=fitted.ensemble,
        fitted_models=fitted.models,
        early=early,
        users=users,
        user_stamps=user_stamps,
        statistics=PlayStatistics.from_pairs(pairs),
        features=features,
        auxiliary=auxiliary,
        content=content,
        content_parameters=content_parameters,
        sequence=sequence,
    )


def _library_version(name: str) -> str | None:
    try:
        return installed_version(name)
    except PackageNotFoundError:
        return None
