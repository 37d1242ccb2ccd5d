"""Training runs that choose a family."""

from typing import Any

import pytest

from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.popularity import Popularity
from recommendations.models import Alarm, ModelArtifact
from recommendations.training.run import run_training
from recommendations.training.tuning import run_tuning
from recommendations.version_store import version_in_service
from tests.people import CatalogueFactory

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def auto(settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"FAMILY": "auto", "GATE_MARGIN": 0.1}


def newest_manifest() -> Any:
    return ModelArtifact.objects.latest("pk").manifest


def test_the_first_night_tries_families_and_trains_the_best(taste_groups_in_database: None, auto: None) -> None:
    outcome = run_training("test")
    manifest = newest_manifest()
    scores = {tried["algorithm"]: tried["score"] for tried in manifest["choice"]["tried"]}
    best = max((name for name in scores if "+" not in name), key=lambda name: scores[name])
    assert len(scores) == 6  # five families and a blend
    assert outcome.status == "Published"
    assert manifest["algorithm"] == best != "ials"
    assert EnsembleConfig.from_dict(manifest["config"]).algorithm == best
    assert manifest["choice"]["reason"].startswith(f"{best}: NDCG@10 {scores[best]:.4f} on ")
    assert manifest["choice"]["reason"] in outcome.detail
    assert run_training("test").status == "Unchanged"


def test_the_choice_of_a_later_night_is_compared_with_the_recipe_in_service(
    taste_groups_in_database: None, auto: None
) -> None:
    weak = EnsembleConfig((ComponentConfig(Popularity()),))
    assert run_training("test", ensemble=weak).status == "Published"
    outcome = run_training("test")
    manifest = newest_manifest()
    assert outcome.status == "Published"
    assert manifest["choice"]["reason"].endswith("against the one in service")
    assert (manifest["report"]["comparison"], manifest["gate"]["compared_with"]) == ("recipe", "recipe")
    chosen = manifest["config"]["parts"]
    run_training("test", force=True)
    assert newest_manifest()["config"]["parts"] == chosen  # it stays


def test_a_choice_that_the_gate_does_not_confirm_loses_no_night(
    taste_groups_in_database: None, auto: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = EnsembleConfig((ComponentConfig(Popularity()),))
    run_training("test", ensemble=weak)
    monkeypatch.setattr("recommendations.training.quality_gate.REQUIRED_ERRORS", 99)
    outcome = run_training("test")
    held_back, published = ModelArtifact.objects.order_by("pk")[1:]
    assert (held_back.gate, published.gate) == ("held_back", "passed")
    assert EnsembleConfig.from_dict(published.manifest["config"]) == weak
    assert (outcome.status, published.version) == ("Published", version_in_service())
    assert f"Version {held_back.version} by {held_back.algorithm} was held back" in outcome.detail
    assert not Alarm.objects.exists()  # nobody expects it to be in use


def test_a_small_installation_takes_the_default(catalogue: CatalogueFactory, auto: None) -> None:
    catalogue.checkerboard()
    assert run_training("test").status == "Published"
    manifest = newest_manifest()
    assert (manifest["algorithm"], manifest["choice"]["tried"]) == ("ials", [])
    assert "without trying others" in manifest["choice"]["reason"]


def test_tuning_begins_with_the_ensemble_that_was_chosen(
    taste_groups_in_database: None, auto: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_training("test")
    in_service = EnsembleConfig.from_dict(newest_manifest()["config"])
    initial = []

    def stop_search(*args: Any, **kwargs: Any) -> None:
        initial.append(kwargs["initial"])
        raise ValueError("enough")

    monkeypatch.setattr("recommendations.training.tuning.tune", stop_search)
    run_tuning("test")
    assert initial == [in_service]
