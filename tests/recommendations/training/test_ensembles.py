"""Versions with different ensembles are evaluated next to each other on the same plays."""

import json
from typing import Any

import pytest

from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.questions import question_report
from engine.models import FAMILIES
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from recommendations.models import ModelArtifact
from recommendations.training import run
from recommendations.training.publish import publish
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service, version_store
from tests.people import CatalogueFactory

NEIGHBOURS = EnsembleConfig((ComponentConfig(RP3Beta()),))


@pytest.fixture
def catalogue_with_plays(catalogue: CatalogueFactory) -> CatalogueFactory:
    catalogue.checkerboard()
    return catalogue


def first_version() -> str:
    assert run_training("test").status == "Published"
    return str(version_in_service())


def ensembles_compared_with(ensemble: EnsembleConfig | None) -> set[str]:
    """Return the names of the ensembles that a new version is evaluated next to, without most popular."""
    run_training("test", force=True, ensemble=ensemble)
    report = question_report(ModelArtifact.objects.latest("created_at").manifest["report"])
    return set(report["models"]) - {"model", "most_popular"}


def test_another_ensemble_is_evaluated_next_to_the_one_in_service_on_the_same_plays(
    catalogue_with_plays: CatalogueFactory,
) -> None:
    first = first_version()
    outcome = run_training("test", ensemble=NEIGHBOURS)
    artifact = ModelArtifact.objects.latest("created_at")
    report = artifact.manifest["report"]
    assert report["in_service"] == first
    for question in ("new", "all"):
        answer = question_report(report, question)
        assert answer["models"].keys() == {"model", "in_service", "most_popular"}
        assert "ndcg@10" in answer["differences"]["in_service"]
    assert (artifact.algorithm, outcome.run.artifact) == ("rp3beta", artifact)
    assert "the ensemble in service" in outcome.detail or "on the same plays" in outcome.detail


def test_the_next_version_is_compared_with_one_published_by_hand(catalogue: CatalogueFactory, settings: Any) -> None:
    catalogue.checkerboard(60)  # the gate holds no version back that was judged on a few listeners
    first_version()
    settings.MUSICREC = settings.MUSICREC | {"GATE_MARGIN": -99}
    assert run_training("test", ensemble=NEIGHBOURS).status == "Held back"
    publish(ModelArtifact.objects.latest("created_at").version)
    settings.MUSICREC = settings.MUSICREC | {"GATE_MARGIN": 1}
    assert ensembles_compared_with(NEIGHBOURS) == set()
    assert ensembles_compared_with(None) == {"in_service"}


@pytest.mark.parametrize("config", [{}, {"factors": 64}, {"parts": [{"family": "crystal_ball"}], "weights": {}}])
def test_an_unreadable_ensemble_in_service_does_not_stop_training(
    catalogue_with_plays: CatalogueFactory, config: dict[str, Any]
) -> None:
    first = first_version()
    manifest = version_store().manifest(first) | {"config": config}
    (version_store().folder(first) / "manifest.json").write_text(json.dumps(manifest))
    assert ensembles_compared_with(None) == set()


def test_a_version_worse_than_most_popular_is_published_only_if_nothing_better_serves(
    catalogue: CatalogueFactory, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.checkerboard(60)
    settings.MUSICREC = settings.MUSICREC | {"GATE_MARGIN": 1}

    def train_with_difference(*args: Any, **kwargs: Any) -> Any:
        candidate = original(*args, **kwargs)
        bounds = {"mean": difference, "low": difference - 0.1, "high": difference + 0.1}
        candidate.manifest["report"]["questions"]["new"]["differences"]["most_popular"]["ndcg@10"] = bounds
        return candidate

    original = run.train
    monkeypatch.setattr(run, "train", train_with_difference)
    difference = -0.2
    for _ in range(2):  # the second is as bad as the first, and knows more plays
        published = run_training("test", force=True)
        assert published.status == "Published"
        assert "worse than most popular, and published because nothing better could serve" in published.detail
    difference = 0.2
    assert run_training("test", force=True).status == "Published"
    difference = -0.2
    held_back = run_training("test", force=True)
    assert held_back.status == "Held back"
    assert "of most popular (difference -0.2000" in held_back.detail
    assert run_training("test", ensemble=EnsembleConfig((ComponentConfig(Popularity()),))).status == "Published"


def test_the_algorithm_column_is_long_enough_for_many_families(
    catalogue_with_plays: CatalogueFactory, settings: Any
) -> None:
    names = ("ials", "linear_autoencoder", "popularity", "item_knn", "rp3beta")
    ensemble = EnsembleConfig(tuple(ComponentConfig(FAMILIES[name]()) for name in names))
    assert run_training("test", ensemble=ensemble).status == "Published"
    assert ModelArtifact.objects.get().algorithm == "+".join(names)
