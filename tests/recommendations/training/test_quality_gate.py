"""The quality gate decides which new versions go into service automatically."""

import json
from typing import Any

import pytest

from recommendations.models import ModelArtifact
from recommendations.training.quality_gate import Decision, Difference, decide, earlier_difference, report_ndcg

Bounds = tuple[float, float, float]
TOO_FEW = "too few judged listeners ({}) to compare; the gate needs 50"


def interval(mean: float, low: float | None = None, high: float | None = None) -> dict[str, float]:
    return {"mean": mean, "low": mean if low is None else low, "high": mean if high is None else high}


def manifest(
    model: float | None,
    in_service: float | None = None,
    *,
    comparison: str = "",
    half_width: float = 0.01,
    listeners: int = 200,
    split: str = "time",
    popular: float = 0.05,
    to_service: Bounds = (-0.05, -0.06, -0.04),
    to_popular: Bounds = (0.1, 0.09, 0.11),
    algorithm: str = "ials",
    windows: list[dict[str, float]] | None = None,
) -> dict[str, Any]:
    """Return a manifest: without evaluation if `model` is None, and with what is in service if given."""
    report: dict[str, Any] = {"split": split, "holdout": 0.2, "listeners": 0, "models": {}, "differences": {}}
    if comparison:
        report["comparison"] = comparison
    if windows:
        report["windows"] = windows
    if model is not None:
        ndcg = {"model": model, "in_service": in_service, "most_popular": popular}
        report["listeners"] = listeners
        report["models"] = {
            name: {"metrics": {"ndcg@10": interval(mean, mean - half_width, mean + half_width)}, "segments": {}}
            for name, mean in ndcg.items()
            if mean is not None
        }
        intervals = {"in_service": to_service, "most_popular": to_popular}
        report["differences"] = {
            name: {"ndcg@10": interval(*intervals[name])} for name in report["models"] if name != "model"
        }
    return {"version": "v1", "algorithm": algorithm, "report": report}


def other_recipe(to_service: Bounds, **options: Any) -> dict[str, Any]:
    return manifest(0.2, 0.19, comparison="recipe", to_service=to_service, **options)


def same_recipe(to_service: Bounds, **options: Any) -> dict[str, Any]:
    return manifest(0.2, 0.25, comparison="version", to_service=to_service, **options)


def with_questions(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"report": content["report"] | {"question": "new", "questions": {"new": content["report"]}}}


def old_manifest(ndcg: float, split: str = "time") -> dict[str, Any]:
    """Return a manifest as the first release wrote it."""
    return {"report": {"split": split, "listeners": 99, "model": {"ndcg@10": ndcg}, "most_popular": {"ndcg@10": 0.1}}}


def decision_and_reason(
    candidate: dict[str, Any], serving: dict[str, Any] | None, earlier: list[Difference] | None = None
) -> tuple[bool, str]:
    decision = decide(candidate, serving, 0.1, earlier or [])
    assert len(decision.reason) <= ModelArtifact._meta.get_field("gate_reason").max_length
    assert json.loads(json.dumps(decision.to_dict()))["passed"] == decision.passed
    return decision.passed, decision.reason


SERVING = manifest(0.2)
WORSE_THAN_POPULAR = manifest(0.2, popular=0.25, to_popular=(-0.05, -0.08, -0.02))


@pytest.mark.parametrize("serving", [None, SERVING, WORSE_THAN_POPULAR])
def test_a_version_worse_than_most_popular_never_passes(serving: dict[str, Any] | None) -> None:
    assert decision_and_reason(WORSE_THAN_POPULAR, serving) == (
        False,
        "NDCG@10 for new tracks 0.2000 is worse than 0.2500 of most popular (difference -0.0500, standard error "
        "0.0153, 95 % between "
        "-0.0800 and -0.0200)",
    )


@pytest.mark.parametrize(
    "candidate",
    [
        pytest.param(manifest(0.2, popular=0.21, to_popular=(-0.01, -0.03, 0.01)), id="not beyond chance"),
        pytest.param(manifest(0.0, popular=0.3, listeners=1, to_popular=(-0.3, -0.3, -0.3)), id="for one listener"),
        pytest.param(
            manifest(0.2, popular=0.2, to_popular=(-0.01, -0.02, -0.005), algorithm="popularity"), id="is popularity"
        ),
    ],
)
def test_a_version_that_may_be_as_good_as_most_popular_passes(candidate: dict[str, Any]) -> None:
    assert decision_and_reason(candidate, None) == (
        True,
        "there was no version in service that it could be compared with",
    )


@pytest.mark.parametrize(
    ("candidate", "passed", "reason"),
    [
        pytest.param(
            other_recipe((0.01, 0.002, 0.018)),
            True,
            "NDCG@10 for new tracks 0.2000 against 0.1900 of the recipe in service, on the same 200 listeners "
            "(difference +0.0100, "
            "standard error 0.0041, 95 % between +0.0020 and +0.0180)",
            id="better beyond chance",
        ),
        pytest.param(
            other_recipe((0.01, -0.002, 0.022)),
            False,
            "another recipe must win by more than 2 standard errors, and this one does not: NDCG@10 for new tracks "
            "0.2000 against "
            "0.1900 of the recipe in service, on the same 200 listeners (difference +0.0100, standard error 0.0061, "
            "95 % between -0.0020 and +0.0220)",
            id="better, perhaps by chance",
        ),
        pytest.param(
            other_recipe((0.01, 0.002, 0.018), listeners=49),
            False,
            TOO_FEW.format(49)
            + ". Another recipe than the one in service is published only if it is better, or by an operator",
            id="better for a handful",
        ),
        pytest.param(
            other_recipe(
                (0.01, -0.002, 0.022),
                windows=[
                    {"listeners": 100, "mean": 0.02, "standard_error": 0.006},
                    {"listeners": 300, "mean": 0.04, "standard_error": 0.008},
                ],
            ),
            True,
            "NDCG@10 for new tracks 0.2000 against 0.1900 of the recipe in service, on the same 200 listeners, in 2 "
            "windows of their "
            "plays (difference +0.0350, standard error 0.0062, 95 % between +0.0229 and +0.0471)",
            id="better beyond chance in several windows",
        ),
    ],
)
def test_another_recipe_passes_only_if_it_is_better_beyond_chance(
    candidate: dict[str, Any], passed: bool, reason: str
) -> None:
    assert decision_and_reason(candidate, SERVING) == (passed, reason)


def test_a_report_of_an_older_release_with_two_recipes_is_read_as_such() -> None:
    assert decision_and_reason(manifest(0.2, 0.21, to_service=(-0.01, -0.02, 0)), SERVING)[0] is False


@pytest.mark.parametrize(
    ("candidate", "passed", "reason"),
    [
        pytest.param(
            same_recipe((-0.05, -0.09, -0.01)),
            True,
            "NDCG@10 for new tracks 0.2000 against 0.2500 of the version in service, on the same 200 listeners "
            "(difference -0.0500, "
            "standard error 0.0204, 95 % between -0.0900 and -0.0100)",
            id="perhaps worse by no more than the margin",
        ),
        pytest.param(
            same_recipe((-0.05, -0.06, -0.04)),
            False,
            "worse than the version in service by more than the margin of 10%: NDCG@10 for new tracks 0.2000 against "
            "0.2500 of the "
            "version in service, on the same 200 listeners (difference -0.0500, standard error 0.0051, 95 % between "
            "-0.0600 and -0.0400)",
            id="worse by more",
        ),
        pytest.param(same_recipe((-0.05, -0.06, -0.04), listeners=49), True, TOO_FEW.format(49), id="a handful"),
    ],
)
def test_the_same_recipe_passes_unless_it_is_worse_by_more_than_the_margin(
    candidate: dict[str, Any], passed: bool, reason: str
) -> None:
    assert decision_and_reason(candidate, SERVING) == (passed, reason)


def test_small_losses_of_many_versions_add_up() -> None:
    candidate = same_recipe((-0.01, -0.014, -0.006))
    loss = Difference.from_error(-0.01, 0.002)
    assert decision_and_reason(candidate, SERVING, [loss])[0] is True
    decision = decide(candidate, SERVING, 0.1, [loss, loss, loss])
    assert decision == Decision(
        passed=False,
        reason="worse by more than the margin of 10% over the last 4 versions of this recipe, each compared with the "
        "one before it on the same plays (sum of the differences: -0.0400, standard error 0.0040, 95 % "
        "between -0.0479 and -0.0321)",
        compared_with="version",
        version="v1",
        listeners=200,
        difference=Difference(-0.01, 0.002041, -0.014, -0.006),
        versions=4,
        sum=Difference(-0.04, 0.004021, -0.04788, -0.03212),
    )
    gain = Difference.from_error(0.04, 0.002)
    assert decision_and_reason(candidate, SERVING, [gain, loss, loss, loss])[0] is True
    assert decide(candidate, SERVING, 0.1, [loss, loss, loss, gain]) == decision  # an older gain hides nothing


@pytest.mark.parametrize(
    ("candidate", "serving", "passed"),
    [
        pytest.param(manifest(0.19), manifest(0.2), True, id="a little worse"),
        pytest.param(manifest(0.17), manifest(0.2), True, id="worse by more, within the interval"),
        pytest.param(manifest(0.1, half_width=0.1), manifest(0.2), True, id="half as good, in a wide interval"),
        pytest.param(manifest(0.1), manifest(0.2, half_width=0.1), True, id="half as good as one in a wide interval"),
        pytest.param(manifest(0.16, half_width=0.008), manifest(0.2, half_width=0.006), False, id="worse by more"),
        pytest.param(manifest(0.01, listeners=49), manifest(0.2), True, id="far worse, on a handful of listeners"),
        pytest.param(manifest(0.01), manifest(0.2, listeners=49), True, id="far worse than one on a handful"),
        pytest.param(manifest(0.1), manifest(0.2, split="ratio"), True, id="another kind of split"),
        pytest.param(manifest(0.1), old_manifest(0.2), True, id="worse than an old report, which has no intervals"),
        pytest.param(with_questions(manifest(0.1)), manifest(0.2), True, id="a report not made as served"),
        pytest.param(with_questions(manifest(0.1)), with_questions(manifest(0.2)), False, id="half as good"),
        pytest.param(old_manifest(0.1), old_manifest(0.2), True, id="two old reports"),
        pytest.param(manifest(None), manifest(0.2), True, id="nothing to evaluate on"),
        pytest.param(manifest(0.1), manifest(None), True, id="the other was not evaluated"),
        pytest.param(manifest(0.1), {}, True, id="a version without a report"),
    ],
)
def test_without_a_common_evaluation_the_reports_are_compared(
    candidate: dict[str, Any], serving: dict[str, Any], passed: bool
) -> None:
    assert decision_and_reason(candidate, serving)[0] is passed


def test_the_reason_says_that_two_reports_were_compared_and_why() -> None:
    candidate = manifest(0.16, half_width=0.008)
    candidate["report"]["not_evaluated"] = "its model has seen some of them"
    assert decision_and_reason(candidate, manifest(0.2, half_width=0.006)) == (
        False,
        "NDCG@10 for new tracks 0.1600 is worse, by more than the margin of 10%, than 0.2000 in the report of the "
        "version in service (difference -0.0400, standard error 0.0051, 95 % between -0.0500 and -0.0300), which could "
        "not be evaluated on the same plays: its model has seen some of them",
    )


@pytest.mark.parametrize(
    ("candidate", "serving", "obstacle"),
    [
        (
            with_questions(manifest(0.1)),
            manifest(0.2),
            "its report is one of an older release, which did not evaluate what is served",
        ),
        (manifest(0.1), old_manifest(0.2), "its report is one of an older release, without intervals"),
        (
            manifest(0.1),
            manifest(0.2, split="ratio"),
            "its report is about a ratio split, and this one about a time split",
        ),
        (manifest(0.1), manifest(None), "its report is about 0 listeners, and the gate needs 50"),
    ],
)
def test_the_reason_says_why_two_reports_cannot_be_compared(
    candidate: dict[str, Any], serving: dict[str, Any], obstacle: str
) -> None:
    reason = f"it cannot be compared with the version in service: {obstacle}"
    assert decision_and_reason(candidate, serving) == (True, reason)


def test_reports_of_versions_that_were_chosen_for_different_questions_are_compared_on_the_same_one() -> None:
    candidate, serving = with_questions(manifest(0.2)), with_questions(manifest(0.2))
    serving["report"]["question"] = "all"
    serving["report"]["questions"]["all"] = manifest(0.9)["report"]
    assert decision_and_reason(candidate, serving) == (
        True,
        "NDCG@10 for new tracks 0.2000 against 0.2000 in the report of the version in service (difference +0.0000, "
        "standard error 0.0072, 95 % between -0.0141 and +0.0141)",
    )


@pytest.mark.parametrize(("question", "relevant"), [("new", "new tracks"), ("all", "plays"), ("repeats", "repeats")])
def test_the_reason_says_why_nobody_could_be_judged(question: str, relevant: str) -> None:
    candidate = manifest(None)
    candidate["report"]["question"] = question
    reason = f"nobody could be judged: no listener has plays before the split and {relevant} after it"
    assert decision_and_reason(candidate, SERVING) == (True, reason)


def test_a_margin_of_one_holds_back_only_versions_worse_than_popular() -> None:
    assert decide(manifest(0.001), manifest(0.9), 1).passed
    assert decide(other_recipe((-0.1, -0.2, -0.05)), manifest(0.9), 1).passed
    assert decide(other_recipe((-0.1, -0.2, -0.05), listeners=10), manifest(0.9), 1).passed
    assert not decide(manifest(0.001, to_popular=(-0.2, -0.3, -0.1)), manifest(0.9), 1).passed


def test_the_difference_of_an_earlier_version_is_read_from_its_decision() -> None:
    decision = decide(same_recipe((-0.01, -0.014, -0.006)), SERVING, 0.1)
    assert earlier_difference({"gate": decision.to_dict()}) == decision.difference
    assert earlier_difference({"gate": decide(other_recipe((0.01, 0, 0.02)), SERVING, 0.1).to_dict()}) is None
    assert earlier_difference({"gate": decide(SERVING, None, 0.1).to_dict()}) is None
    assert earlier_difference({}) is None


def test_a_loss_that_an_operator_accepted_does_not_hold_back_the_next_version() -> None:
    overridden = decide(same_recipe((-0.05, -0.06, -0.04)), SERVING, 0.1)
    assert (overridden.passed, overridden.compared_with) == (False, "version")
    assert earlier_difference({"gate": overridden.to_dict()}) is None


@pytest.mark.parametrize(
    ("stored_manifest", "ndcg"),
    [(manifest(0.3), 0.3), (old_manifest(0.2), 0.2), (manifest(None), None), ({"report": {}}, None), ({}, None)],
)
def test_ndcg_is_read_from_reports_of_every_release(stored_manifest: dict[str, Any], ndcg: float) -> None:
    assert ModelArtifact(manifest=stored_manifest).ndcg == ndcg
    assert report_ndcg(stored_manifest.get("report", {})) == ndcg
