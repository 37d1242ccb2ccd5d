"""The quality gate decides which new versions go into service automatically."""

from typing import Any

import pytest

from recommendations.models import ModelArtifact
from recommendations.training.quality_gate import missing_evidence, rejection_reason, report_ndcg

Bounds = tuple[float, float, float]


def interval(mean: float, low: float | None = None, high: float | None = None) -> dict[str, float]:
    return {"mean": mean, "low": mean if low is None else low, "high": mean if high is None else high}


def manifest(
    model: float | None,
    in_service: float | None = None,
    *,
    half_width: float = 0.01,
    listeners: int = 200,
    split: str = "time",
    popular: float = 0.05,
    to_service: Bounds = (-0.05, -0.06, -0.04),
    to_popular: Bounds = (0.1, 0.09, 0.11),
    algorithm: str = "ials",
) -> dict[str, Any]:
    """Return a manifest: without evaluation if `model` is None, and with the ensemble in service if given."""
    if model is None:
        return {"algorithm": algorithm, "report": {"split": split, "listeners": 0, "models": {}, "differences": {}}}
    ndcg = {"model": model, "in_service": in_service, "most_popular": popular}
    models = {
        name: {"metrics": {"ndcg@10": interval(mean, mean - half_width, mean + half_width)}, "segments": {}}
        for name, mean in ndcg.items()
        if mean is not None
    }
    intervals = {"in_service": to_service, "most_popular": to_popular}
    differences = {n: {"ndcg@10": interval(*intervals[n])} for n in models if n != "model"}
    report = {"split": split, "holdout": 0.2, "listeners": listeners, "models": models, "differences": differences}
    return {"algorithm": algorithm, "report": report}


def old_manifest(ndcg: float, split: str = "time") -> dict[str, Any]:
    """Return a manifest as the first release wrote it."""
    return {"report": {"split": split, "listeners": 99, "model": {"ndcg@10": ndcg}, "most_popular": {"ndcg@10": 0.1}}}


WORSE_THAN_POPULAR = manifest(0.2, popular=0.25, to_popular=(-0.05, -0.08, -0.02))


@pytest.mark.parametrize(
    ("candidate", "serving", "reason"),
    [
        pytest.param(manifest(0.1), None, "", id="the first version"),
        pytest.param(WORSE_THAN_POPULAR, None, "", id="the first, though worse than popular"),
        pytest.param(manifest(0.19), manifest(0.2), "", id="a little worse"),
        pytest.param(manifest(0.17), manifest(0.2), "", id="worse by more, within the interval"),
        pytest.param(manifest(0.1, half_width=0.1), manifest(0.2), "", id="half as good, in a wide interval"),
        pytest.param(manifest(0.1), manifest(0.2, half_width=0.1), "", id="half as good as one in a wide interval"),
        pytest.param(
            manifest(0.16, half_width=0.008),
            manifest(0.2, half_width=0.006),
            "NDCG@10 0.1600 is worse than 0.2000 in service by more than the margin of 10% "
            "(difference -0.0400, 95 % between -0.0500 and -0.0300)",
            id="worse by more",
        ),
        pytest.param(manifest(0.01, listeners=49), manifest(0.2), "", id="far worse, on a handful of listeners"),
        pytest.param(manifest(0.01), manifest(0.2, listeners=49), "", id="far worse than one on a handful"),
        pytest.param(
            manifest(0.17, 0.22, to_service=(-0.05, -0.06, -0.04)),
            manifest(0.1),
            "NDCG@10 0.1700 is worse than 0.2200 in service by more than the margin of 10%, on the same plays "
            "(difference -0.0500, 95 % between -0.0600 and -0.0400)",
            id="worse on the same plays, whatever the other report says",
        ),
        pytest.param(
            manifest(0.17, 0.22, to_service=(-0.05, -0.09, -0.01)),
            manifest(0.1),
            "",
            id="perhaps worse on the same plays",
        ),
        pytest.param(
            manifest(0.17, 0.22, listeners=49, to_service=(-0.05, -0.06, -0.04)),
            manifest(0.1),
            "",
            id="worse on the same plays of a handful",
        ),
        pytest.param(
            manifest(0.2, 0.21, to_service=(-0.01, -0.02, 0)), manifest(0.9), "", id="as good on the same plays"
        ),
        pytest.param(
            manifest(0.2, 0.1, split="ratio", to_service=(0.1, 0.09, 0.11)),
            manifest(0.9),
            "",
            id="better on the same plays, another split",
        ),
        pytest.param(manifest(0.1), manifest(0.2, split="ratio"), "", id="another kind of split"),
        pytest.param(manifest(0.1), old_manifest(0.2), "", id="worse than an old report, which has no intervals"),
        pytest.param(old_manifest(0.1), old_manifest(0.2), "", id="two old reports"),
        pytest.param(manifest(None), manifest(0.2), "", id="nothing to evaluate on"),
        pytest.param(manifest(0.1), manifest(None), "", id="the other was not evaluated"),
        pytest.param(manifest(0.1), {}, "", id="a version without a report"),
        pytest.param(
            WORSE_THAN_POPULAR,
            manifest(0.2),
            "NDCG@10 0.2000 is worse than 0.2500 of most popular (difference -0.0500, 95 % between -0.0800 and "
            "-0.0200)",
            id="worse than popular",
        ),
        pytest.param(WORSE_THAN_POPULAR, WORSE_THAN_POPULAR, "", id="worse than popular, as the one in service is"),
        pytest.param(
            manifest(0.0, popular=0.3, listeners=1, to_popular=(-0.3, -0.3, -0.3)),
            manifest(0.2),
            "",
            id="worse than popular for the only listener",
        ),
        pytest.param(
            manifest(0.2, popular=0.21, to_popular=(-0.01, -0.03, 0.01)),
            manifest(0.2),
            "",
            id="not significantly worse than popular",
        ),
        pytest.param(
            manifest(0.2, popular=0.2, to_popular=(-0.01, -0.02, -0.005), algorithm="popularity"),
            manifest(0.2),
            "",
            id="popularity itself",
        ),
    ],
)
def test_the_gate_rejects_only_what_an_interval_shows_to_be_worse(
    candidate: dict[str, Any], serving: dict[str, Any] | None, reason: str
) -> None:
    assert rejection_reason(candidate, serving, margin=0.1) == reason
    assert len(reason) <= ModelArtifact._meta.get_field("gate_reason").max_length


def test_a_margin_of_one_holds_back_only_versions_worse_than_popular() -> None:
    assert rejection_reason(manifest(0.001), manifest(0.9), margin=1) == ""
    assert rejection_reason(manifest(0.001, to_popular=(-0.2, -0.3, -0.1)), manifest(0.9), margin=1) != ""


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (manifest(0.2), ""),
        (manifest(0.2, listeners=1), "too few judged listeners (1) to compare; the gate needs 50"),
        (manifest(None), "too few judged listeners (0) to compare; the gate needs 50"),
        ({"report": {}}, "too few judged listeners (0) to compare; the gate needs 50"),
    ],
)
def test_the_gate_states_what_it_cannot_know(candidate: dict[str, Any], reason: str) -> None:
    assert missing_evidence(candidate) == reason


@pytest.mark.parametrize(
    ("stored_manifest", "ndcg"),
    [(manifest(0.3), 0.3), (old_manifest(0.2), 0.2), (manifest(None), None), ({"report": {}}, None), ({}, None)],
)
def test_ndcg_is_read_from_reports_of_every_release(stored_manifest: dict[str, Any], ndcg: float) -> None:
    assert ModelArtifact(manifest=stored_manifest).ndcg == ndcg
    assert report_ndcg(stored_manifest.get("report", {})) == ndcg
