"""The database row of a version: what it was trained with, how good it is, and whether it may serve."""

import hashlib
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.versions import LOAD_ERRORS
from engine.data.content_features import ContentFeatures
from engine.data.play_contexts import PlayContexts
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.ensemble import EnsembleConfig
from engine.training import TrainedVersion, TrainingConfig
from recommendations.models import ModelArtifact
from recommendations.training.quality_gate import (
    MAX_VERSIONS,
    Decision,
    Difference,
    decide,
    earlier_difference,
    explain_no_listeners,
    metric_name,
    report_ndcg,
)
from recommendations.version_store import current_pointer, is_foreign, version_in_service, version_store
from webhooks.models import WebhookEventType
from webhooks.services import announce


def training_fingerprint(
    plays: Plays,
    features: TrackFeatures,
    content: ContentFeatures,
    contexts: PlayContexts | None,
    config: TrainingConfig,
) -> str:
    """Return 32 hex digits that are the same for the same plays, tracks and configuration.

    Args:
        content: of all tracks of the catalogue. Tags, vectors and everything else that is edited counts.
        contexts: see `TrainingData`.
    """
    digest = hashlib.blake2b(plays.fingerprint().encode(), digest_size=16)
    digest.update(features.fingerprint().encode())
    digest.update(content.fingerprint().encode())
    if contexts is not None:
        digest.update(contexts.fingerprint().encode())
    digest.update(repr(config.to_dict()).encode())
    return digest.hexdigest()


def find_identical_version(fingerprint: str) -> ModelArtifact | None:
    """Return a version trained from the same input, so that training again would change nothing.

    Only the version in service, the one before it and versions that the gate held back count: an older one that was
    replaced since may be trained again. None if the version in service cannot be read or is one of another database,
    for it must be replaced even if nothing else changed.
    """
    pointer = current_pointer()
    if pointer is None or is_foreign(pointer.version):
        return None
    try:
        version_store().load(pointer.version)
    except LOAD_ERRORS:
        return None
    may_serve = Q(version__in=[pointer.version, pointer.previous])
    held_back = Q(gate=ModelArtifact.Gate.HELD_BACK)
    return ModelArtifact.objects.filter(may_serve | held_back, fingerprint=fingerprint, pruned_at=None).first()


def ensemble_in_service() -> EnsembleConfig | None:
    """Return the ensemble of the version in service; None without one, or if this release cannot read it."""
    serving = version_in_service()
    try:
        return EnsembleConfig.from_dict(version_store().manifest(serving)["config"]) if serving else None
    except (*LOAD_ERRORS, KeyError, ValueError):
        return None


def judged_model(version: str | None) -> ModelBundle | None:
    """Return the model with which the report of a version was made; None if it has none that can be read."""
    try:
        return version_store().load_judged(version) if version else None
    except LOAD_ERRORS:
        return None


def decide_about_version(trained: TrainedVersion) -> Decision:
    """Return the decision of the gate about a new version, compared with the one in service when its training began."""
    serving = trained.manifest["report"]["in_service"]
    try:
        serving_manifest = version_store().manifest(serving) if serving else None
    except LOAD_ERRORS:
        serving_manifest = None
    manifest = trained.manifest | {"algorithm": trained.bundle.algorithm}
    margin = settings.MUSICREC["GATE_MARGIN"]
    earlier = earlier_differences(serving_manifest, trained.manifest["report"]["question"])
    return decide(manifest, serving_manifest, margin, earlier)


def earlier_differences(manifest: dict[str, Any] | None, question: str) -> list[Difference]:
    """Return the differences of a version and of those before it, each to the version before, the newest first.

    They end where the recipe or the question changed, where two versions were not compared on the same plays, or where
    an operator overrode the gate.
    """
    differences: list[Difference] = []
    while manifest and len(differences) < MAX_VERSIONS:
        difference = earlier_difference(manifest)
        if difference is None or manifest["report"]["question"] != question:
            break
        differences.append(difference)
        rows = ModelArtifact.objects.filter(version=manifest["gate"]["version"])
        manifest = rows.values_list("manifest", flat=True).first()
    return differences


@transaction.atomic
def record_version(trained: TrainedVersion, decision: Decision) -> ModelArtifact:
    """Create the row of a version that is on disk, with the decision of the gate and without a fingerprint."""
    store, version = version_store(), str(trained.bundle.version)
    artifact = ModelArtifact.objects.create(
        version=version,
        algorithm=trained.bundle.algorithm,
        gate=ModelArtifact.Gate.PASSED if decision.passed else ModelArtifact.Gate.HELD_BACK,
        gate_reason=decision.reason,
        items=len(trained.bundle.items),
        users=len(trained.bundle.users),
        plays=trained.manifest["plays"],
        size_bytes=store.size(version),
        manifest=store.manifest(version),
    )
    if not decision.passed:
        announce(WebhookEventType.VERSION_HELD_BACK, describe_version(artifact) | {"reason": decision.reason})
    return artifact


def describe_version(artifact: ModelArtifact) -> dict[str, Any]:
    """Return what webhooks tell about a version."""
    return {"version": artifact.version, "algorithm": artifact.algorithm, "ndcg_10": artifact.ndcg}


def summarize_training(trained: TrainedVersion, decision: Decision, notes: Sequence[str] = ()) -> str:
    """Return one line about a version that passed the gate, for the operator.

    Args:
        trained: the version.
        decision: why it passed.
        notes: sentences about the run, without their full stops.
    """
    bundle, manifest = trained.bundle, trained.manifest
    report = manifest["report"]
    ndcg, popular = (report_ndcg(report, model) for model in ("model", "most_popular"))
    sentences = [
        f"version {bundle.version} by {bundle.algorithm}: {len(bundle.users):,} listeners, {len(bundle.items):,} "
        f"tracks, {manifest['plays']:,} interactions",
        *notes,
    ]
    if ndcg is not None and popular is not None:
        metric = metric_name(report)
        sentences.append(f"{metric} {ndcg:.4f} on a {report['split']} split, most popular {popular:.4f}")
    elif decision.version is None:  # otherwise the decision says so
        sentences.append(f"Evaluation: {explain_no_listeners(report)}")
    if manifest["choice"]:
        sentences.append(f"Choice: {manifest['choice']['reason']}")
    sentences.append(f"Gate: {decision.reason}")
    if manifest["fallback"]:
        sentences.append(f"Fallback: {manifest['fallback']}")
    return ". ".join(sentences)
