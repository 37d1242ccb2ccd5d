"""The database row of a version: what it was trained with, how good it is, and whether it may serve."""

import hashlib

import numpy as np
from django.conf import settings
from django.db.models import Q
from numpy.typing import NDArray

from engine.bundle.versions import LOAD_ERRORS
from engine.data.plays import Plays
from engine.ensemble import EnsembleConfig
from engine.evaluation.questions import question_report
from engine.training import TrainedVersion, TrainingConfig
from recommendations.models import ModelArtifact
from recommendations.training.quality_gate import (
    is_worse_than_popular,
    missing_evidence,
    rejection_reason,
    report_ndcg,
)
from recommendations.version_store import current_pointer, is_foreign, version_in_service, version_store


def training_fingerprint(plays: Plays, track_ids: NDArray[np.int64], config: TrainingConfig) -> str:
    """Return 32 hex digits that are the same for the same plays, tracks and configuration."""
    digest = hashlib.blake2b(plays.fingerprint().encode(), digest_size=16)
    digest.update(track_ids.tobytes())
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


def record_version(trained: TrainedVersion, fingerprint: str) -> ModelArtifact:
    """Create the row of a version that is on disk, with the decision of the gate."""
    store, serving = version_store(), version_in_service()
    version = str(trained.bundle.version)
    manifest = store.manifest(version)
    try:
        serving_manifest = store.manifest(serving) if serving else None
    except LOAD_ERRORS:
        serving_manifest = None
    reason = rejection_reason(manifest, serving_manifest, settings.MUSICREC["GATE_MARGIN"])
    return ModelArtifact.objects.create(
        version=version,
        algorithm=trained.bundle.algorithm,
        fingerprint=fingerprint,
        gate=ModelArtifact.Gate.HELD_BACK if reason else ModelArtifact.Gate.PASSED,
        gate_reason=reason or (missing_evidence(manifest) if serving else ""),
        items=len(trained.bundle.items),
        users=len(trained.bundle.users),
        plays=trained.manifest["plays"],
        size_bytes=store.size(version),
        manifest=manifest,
    )


def summarize_training(trained: TrainedVersion, gate_reason: str) -> str:
    """Return one line about a published version, for the operator.

    Args:
        gate_reason: why the gate could not compare it with another version; "" if it could.
    """
    bundle, manifest = trained.bundle, trained.manifest
    report = manifest["report"]
    ndcg, popular, in_service = (
        report_ndcg(question_report(report), model) for model in ("model", "most_popular", "in_service")
    )
    summary = (
        f"version {bundle.version} by {bundle.algorithm}: {len(bundle.users):,} listeners, {len(bundle.items):,} "
        f"tracks, {manifest['plays']:,} interactions"
    )
    if ndcg is not None and popular is not None:
        summary += f"; NDCG@10 {ndcg:.4f} on a {report['split']} split, most popular {popular:.4f}"
        summary += f", the ensemble in service {in_service:.4f}" if in_service is not None else ""
    if is_worse_than_popular(manifest | {"algorithm": bundle.algorithm}):
        summary += "; worse than most popular, and published because nothing better could serve"
    summary += f"; {gate_reason}" if gate_reason else ""
    return summary + (f"; {manifest['fallback']}" if manifest["fallback"] else "")
