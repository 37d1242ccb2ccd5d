"""The row of a version: what it was trained with, how it did, whether it may serve."""

import hashlib

import numpy as np
from django.conf import settings
from django.db.models import Q
from numpy.typing import NDArray

from engine.bundle.versions import LOAD_ERRORS
from engine.data.plays import Plays
from engine.ensemble import EnsembleConfig
from engine.training import TrainedVersion, TrainingConfig
from recommendations.models import ModelArtifact
from recommendations.training.quality_gate import is_worse_than_popular, rejection_reason, report_ndcg
from recommendations.version_store import version_in_service, version_store


def training_fingerprint(plays: Plays, tracks: NDArray[np.int64], config: TrainingConfig) -> str:
    """The same plays, tracks and settings give the same 32 hex digits."""
    digest = hashlib.blake2b(plays.fingerprint().encode(), digest_size=16)
    digest.update(tracks.tobytes())
    digest.update(repr(config.to_dict()).encode())
    return digest.hexdigest()


def find_identical_version(fingerprint: str) -> ModelArtifact | None:
    """The version that these plays and settings gave already, unless what is in service cannot be read."""
    serving = version_in_service()
    if serving is None:
        return None
    pointer = version_store().pointer()
    try:
        version_store().load(serving)
    except LOAD_ERRORS:
        return None
    serves = Q(version__in=[serving, pointer.previous if pointer else None])
    held_back = Q(gate=ModelArtifact.Gate.HELD_BACK)
    return ModelArtifact.objects.filter(serves | held_back, fingerprint=fingerprint, pruned_at=None).first()


def ensemble_in_service() -> EnsembleConfig | None:
    """What the version in service was made of; None without one, or for one of a release before recipes."""
    serving = version_in_service()
    try:
        return EnsembleConfig.from_dict(version_store().manifest(serving)["config"]) if serving else None
    except (*LOAD_ERRORS, KeyError, ValueError):
        return None


def record_version(trained: TrainedVersion, fingerprint: str) -> ModelArtifact:
    """The row of a version that is on disk, with the gate's verdict on it."""
    versions, serving = version_store(), version_in_service()
    manifest = versions.manifest(str(trained.bundle.version))
    try:
        before = versions.manifest(serving) if serving else None
    except LOAD_ERRORS:
        before = None
    reason = rejection_reason(manifest, before, settings.MUSICREC["GATE_MARGIN"])
    return ModelArtifact.objects.create(
        version=str(trained.bundle.version),
        algorithm=trained.bundle.algorithm,
        fingerprint=fingerprint,
        gate=ModelArtifact.Gate.HELD_BACK if reason else ModelArtifact.Gate.PASSED,
        gate_reason=reason,
        items=len(trained.bundle.items),
        users=len(trained.bundle.users),
        plays=trained.manifest["plays"],
        size_bytes=versions.size(str(trained.bundle.version)),
        manifest=manifest,
    )


def summarize_training(trained: TrainedVersion) -> str:
    """One line for the operator."""
    bundle, report = trained.bundle, trained.manifest["report"]
    judged = ""
    ours, popular, theirs = (report_ndcg(report, of) for of in ("model", "most_popular", "in_service"))
    if ours is not None and popular is not None:
        judged = f"; NDCG@10 {ours:.4f} on a {report['split']} split, most popular {popular:.4f}"
        judged += f", the recipe in service {theirs:.4f}" if theirs is not None else ""
    if is_worse_than_popular(trained.manifest | {"algorithm": bundle.algorithm}):
        judged += "; worse than most popular, and published only because nothing else could serve"
    fallback = f"; {trained.manifest['fallback']}" if trained.manifest["fallback"] else ""
    return (
        f"version {bundle.version} by {bundle.algorithm}: {len(bundle.users):,} listeners, {len(bundle.items):,} "
        f"tracks, {trained.manifest['plays']:,} interactions{judged}{fallback}"
    )
