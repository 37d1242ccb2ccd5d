"""The rows of versions, and what the gate reads from them."""

from typing import Any

import pytest

from recommendations.models import ModelArtifact
from recommendations.training.artifacts import earlier_differences
from recommendations.training.quality_gate import MAX_VERSIONS, Decision, Difference

pytestmark = pytest.mark.usefixtures("db")


def create_versions(*decisions: Decision, question: str = "new") -> dict[str, Any]:
    """Create a version for each decision, with the one before it in service; return the manifest of the last."""
    for number, decision in enumerate(decisions):
        artifact = ModelArtifact.objects.create(
            version=f"v{number}",
            manifest={"gate": decision.to_dict() | {"version": f"v{number - 1}"}, "report": {"question": question}},
            **dict.fromkeys(("items", "users", "plays", "size_bytes"), 1),
        )
    manifest: dict[str, Any] = artifact.manifest
    return manifest


def same_recipe(mean: float, *, passed: bool = True) -> Decision:
    return Decision(passed, "", "version", difference=Difference.from_error(mean, 0.01))


def means(manifest: dict[str, Any] | None, question: str = "new") -> list[float]:
    return [difference.mean for difference in earlier_differences(manifest, question)]


def test_the_differences_of_successive_versions_are_read_newest_first() -> None:
    manifest = create_versions(Decision(True, "", "recipe"), same_recipe(-0.1), same_recipe(-0.2), same_recipe(-0.3))
    assert means(manifest) == [-0.3, -0.2, -0.1]
    assert means(None) == means({}) == []


def test_they_end_at_a_version_that_was_published_in_spite_of_the_gate() -> None:
    assert means(create_versions(same_recipe(-0.1), same_recipe(-0.2, passed=False), same_recipe(-0.3))) == [-0.3]


def test_they_end_where_another_question_was_asked_and_where_a_row_is_missing() -> None:
    manifest = create_versions(same_recipe(-0.1), same_recipe(-0.2), question="all")
    assert (means(manifest, "new"), means(manifest, "all")) == ([], [-0.2, -0.1])
    ModelArtifact.objects.filter(version="v0").delete()
    assert means(manifest, "all") == [-0.2]


def test_no_more_versions_are_read_than_the_gate_adds_up() -> None:
    assert len(means(create_versions(*[same_recipe(-0.1)] * (MAX_VERSIONS + 3)))) == MAX_VERSIONS
