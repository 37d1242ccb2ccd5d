"""The gate decides whether a version is published with its sequence model, without it, or not at all."""

from typing import Any

import pytest

from recommendations.training.sequence_gate import (
    HELD_BACK,
    LEFT_OUT,
    PUBLISHED,
    SequenceDecision,
    decide_about_sequence,
)

Bounds = tuple[float, float, float]


def interval(bounds: Bounds) -> dict[str, float]:
    return dict(zip(("mean", "low", "high"), bounds, strict=True))


def manifest(
    to_rules: Bounds = (0.05, 0.03, 0.07),
    to_service: Bounds | None = None,
    served: Bounds | None = None,
    sessions: int = 400,
) -> dict[str, Any]:
    """Return a manifest with these differences in Recall@20, of a model with 0.25."""
    differences = {"most popular": (0.24, 0.2, 0.28), "last-item rules": to_rules}
    if to_service:
        differences = {"in_service": to_service, **differences}
    report: dict[str, Any] = {
        "sessions": sessions,
        "plays": 2_000,
        "models": {"model": {"recall@20": 0.25}}
        | {name: {"recall@20": round(0.25 - mean, 4)} for name, (mean, *_) in differences.items()},
        "differences": {name: interval(bounds) for name, bounds in differences.items()},
    }
    if served:
        report["served"] = {
            "sessions": 100,
            "plays": 300,
            "models": {"with_session": {"recall@20": 0.1}, "without_session": {"recall@20": round(0.1 - served[0], 4)}},
            "differences": {"without_session": interval(served)},
        }
    return {"sequence": {"skipped": None}, "report": {"next_track": report}}


def decide(content: dict[str, Any], margin: float = 0.1) -> tuple[str, str]:
    decision = decide_about_sequence(content, margin)
    assert decision == SequenceDecision(**decision.to_dict())
    return decision.outcome, decision.reason


def test_a_model_that_is_better_than_simple_ones_is_published() -> None:
    assert decide(manifest(served=(0.05, 0.02, 0.08))) == (
        PUBLISHED,
        "Recall@20 of the next track 0.2500 against 0.2000 of last-item rules, on the same 2,000 plays of 400 later "
        "sessions",
    )


def test_a_model_that_is_certainly_worse_than_a_simple_one_is_left_out() -> None:
    assert decide(manifest((-0.02, -0.04, -0.01))) == (
        LEFT_OUT,
        "Recall@20 of the next track 0.2500 is worse than 0.2700 of last-item rules, on the same 2,000 plays of 400 "
        "later sessions (difference -0.0200, standard error 0.0077, 95 % between -0.0400 and -0.0100)",
    )
    assert decide(manifest((-0.02, -0.05, 0.01)))[0] == PUBLISHED  # it may be chance


def test_a_model_that_makes_slates_worse_is_left_out() -> None:
    assert decide(manifest(served=(-0.03, -0.05, -0.01))) == (
        LEFT_OUT,
        "slates that count the session have the next track less often, Recall@20 0.1000 against 0.1300 without it, on "
        "300 plays (difference -0.0300, standard error 0.0102, 95 % between -0.0500 and -0.0100)",
    )
    assert decide(manifest(served=(-0.03, -0.07, 0.01)))[0] == PUBLISHED


def test_a_model_that_is_certainly_worse_than_that_in_service_holds_the_version_back() -> None:
    lost = manifest(to_service=(-0.06, -0.07, -0.05))
    assert decide(lost) == (
        HELD_BACK,
        "worse by more than the margin of 10% at saying what is played next: Recall@20 of the next track 0.2500 "
        "against 0.3100 of the version in service, on the same 2,000 plays of 400 later sessions (difference -0.0600, "
        "standard error 0.0051, 95 % between -0.0700 and -0.0500)",
    )
    assert decide(lost, margin=1)[0] == PUBLISHED
    assert decide(manifest(to_service=(-0.06, -0.09, -0.03)))[0] == PUBLISHED
    assert decide(manifest(to_service=(0.01, -0.01, 0.03))) == (
        PUBLISHED,
        "Recall@20 of the next track 0.2500 against 0.2400 of the version in service, on the same 2,000 plays of 400 "
        "later sessions (difference +0.0100, standard error 0.0102, 95 % between -0.0100 and +0.0300)",
    )


@pytest.mark.parametrize(
    ("content", "decision"),
    [
        (
            manifest((-0.02, -0.04, -0.01), sessions=49),
            (PUBLISHED, "too few later sessions (49) to compare; the gate needs 50"),
        ),
        (
            {"sequence": {"skipped": None}, "report": {"next_track": {"skipped": "there are none"}}},
            (PUBLISHED, "its sequence model was not evaluated: there are none"),
        ),
        (
            {"sequence": {"skipped": None}, "report": {}},
            (PUBLISHED, "its sequence model was not evaluated: nothing was held out"),
        ),
        (
            {"sequence": {"skipped": "could not be fitted (KeyError: 1)"}, "report": {}},
            (LEFT_OUT, "there is no sequence model: it could not be fitted (KeyError: 1)"),
        ),
    ],
)
def test_nothing_is_decided_by_what_was_not_measured(content: dict[str, Any], decision: tuple[str, str]) -> None:
    assert decide(content) == decision
