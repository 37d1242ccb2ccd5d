"""Versions with different ensembles are evaluated next to each other on the same plays."""

import json
from typing import Any

import pytest

from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.questions import question_report
from engine.models import FAMILIES
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from recommendations.models import Alarm, ModelArtifact
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


def comparison_of_new_version(ensemble: EnsembleConfig | None) -> tuple[str, bool]:
    """Train a version; return what it is compared with, and whether its report has that."""
    run_training("test", force=True, ensemble=ensemble)
    report = ModelArtifact.objects.latest("created_at").manifest["report"]
    return report["comparison"], "in_service" in question_report(report)["models"]


def test_another_ensemble_is_evaluated_next_to_the_one_in_service_on_the_same_plays(
    catalogue_with_plays: CatalogueFactory,
) -> None:
    first = first_version()
    outcome = run_training("test", ensemble=NEIGHBOURS)
    artifact = ModelArtifact.objects.latest("created_at")
    report = artifact.manifest["report"]
    assert report["comparison"] == "recipe"
    assert report["in_service"] == first
    for question in ("new", "all"):
        answer = question_report(report, question)
        assert answer["models"].keys() == {"model", "in_service", "most_popular"}
        assert "ndcg@10" in answer["differences"]["in_service"]
    assert (artifact.algorithm, outcome.run.artifact) == ("rp3beta", artifact)
    assert outcome.status == "Held back"  # 20 listeners are too few to tell whether another recipe is better
    assert artifact.manifest["gate"]["compared_with"] == "recipe"


def test_the_next_version_is_compared_with_one_published_by_hand(catalogue: CatalogueFactory, settings: Any) -> None:
    catalogue.checkerboard()
    first_version()
    assert run_training("test", ensemble=NEIGHBOURS).status == "Held back"
    publish(ModelArtifact.objects.latest("created_at").version)
    settings.MUSICREC = settings.MUSICREC | {"GATE_MARGIN": 1}
    assert comparison_of_new_version(NEIGHBOURS) == ("version", True)
    assert comparison_of_new_version(None) == ("recipe", True)


@pytest.mark.parametrize("config", [{}, {"factors": 64}, {"parts": [{"family": "crystal_ball"}], "weights": {}}])
def test_an_unreadable_ensemble_in_service_does_not_stop_training(
    catalogue_with_plays: CatalogueFactory, config: dict[str, Any]
) -> None:
    first = first_version()
    manifest = version_store().manifest(first) | {"config": config}
    (version_store().folder(first) / "manifest.json").write_text(json.dumps(manifest))
    assert comparison_of_new_version(None) == ("", False)


def test_a_version_of_an_older_release_is_replaced_whatever_its_report_says(catalogue: CatalogueFactory) -> None:
    catalogue.checkerboard(60)
    folder = version_store().folder(first_version())
    manifest = json.loads((folder / "manifest.json").read_text())
    report = question_report(manifest["report"]) | {"split": "time", "holdout": 0.2}
    report["models"]["model"]["metrics"]["ndcg@10"] = {"mean": 0.9, "low": 0.89, "high": 0.91}
    del manifest["judged"], manifest["gate"], manifest["choice"]
    (folder / "manifest.json").write_text(json.dumps(manifest | {"report": report}))
    (folder / "judged.npz").unlink()
    outcome = run_training("test", force=True)
    assert outcome.status == "Published"
    assert outcome.detail.endswith(
        "it cannot be compared with the version in service: its report is one of an older release, which did not "
        "evaluate what is served"
    )
    assert comparison_of_new_version(None) == ("version", True)


def test_a_version_worse_than_most_popular_is_never_published_by_itself(
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
    held_back = run_training("test", force=True)
    assert held_back.status == "Held back"
    assert "of most popular (difference -0.2000" in held_back.detail
    assert version_in_service() is None
    difference = 0.2
    assert run_training("test", force=True).status == "Published"
    serving, difference = version_in_service(), -0.2
    assert run_training("test", force=True).status == "Held back"
    assert version_in_service() == serving
    popularity = EnsembleConfig((ComponentConfig(Popularity()),))
    assert run_training("test", ensemble=popularity).status == "Published"


def test_no_night_is_lost_to_settings_that_are_not_better(
    catalogue_with_plays: CatalogueFactory, settings: Any
) -> None:
    first = first_version()
    settings.MUSICREC = settings.MUSICREC | {"FAMILY": "rp3beta"}
    outcome = run_training("test")
    held_back, published = ModelArtifact.objects.exclude(version=first).order_by("pk")
    assert (held_back.algorithm, held_back.gate, held_back.published_at) == ("rp3beta", "held_back", None)
    assert (published.algorithm, published.gate, published.version) == ("ials", "passed", version_in_service())
    assert (outcome.status, outcome.run.artifact) == ("Published", published)
    assert outcome.detail.split(". ")[1] == (
        f"Version {held_back.version} by rp3beta was held back, so the recipe in service was trained too: its page in "
        f"the admin says why, and manage.py publish_model {held_back.version} uses its recipe from now on"
    )
    alarm = Alarm.objects.get(resolved_at=None)
    assert (alarm.kind, alarm.subject, alarm.count) == ("held_back", held_back.version, 1)
    assert alarm.message == (
        f"the recipe of the settings (rp3beta) is not in use, because its version was held back: "
        f"{held_back.gate_reason}. The recipe in service is trained instead, until that of the settings wins. To use "
        f"it from now on, put the version into service in the admin or by manage.py publish_model {held_back.version}; "
        "otherwise change the settings back"
    )
    assert run_training("test").detail == f"nothing new since version {published.version}"
    publish(held_back.version)
    assert not Alarm.objects.filter(resolved_at=None).exists()
    assert run_training("test", force=True).run.artifact.algorithm == "rp3beta"


def test_a_run_that_ends_between_the_two_versions_is_done_again(
    catalogue_with_plays: CatalogueFactory, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = first_version()
    settings.MUSICREC = settings.MUSICREC | {"FAMILY": "rp3beta"}

    def train_once(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(run, "train", fail)
        return original(*args, **kwargs)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError("no memory")

    original = run.train
    monkeypatch.setattr(run, "train", train_once)
    assert run_training("test").status == "Failed"
    assert (ModelArtifact.objects.latest("pk").gate, version_in_service()) == ("held_back", first)
    monkeypatch.setattr(run, "train", original)
    assert run_training("test").status == "Published"
    assert ModelArtifact.objects.get(version=version_in_service()).algorithm == "ials"


def test_no_night_is_lost_to_settings_that_are_worse_than_most_popular(
    catalogue: CatalogueFactory, settings: Any
) -> None:
    catalogue.checkerboard(60)
    first = first_version()
    settings.MUSICREC = settings.MUSICREC | {"FAMILY": "repeat"}  # which finds no new track
    assert run_training("test").status == "Published"
    held_back, published = ModelArtifact.objects.exclude(version=first).order_by("pk")
    assert (held_back.algorithm, held_back.gate) == ("repeat", "held_back")
    assert (published.algorithm, published.version) == ("ials", version_in_service())


def test_the_algorithm_column_is_long_enough_for_many_families(
    catalogue_with_plays: CatalogueFactory, settings: Any
) -> None:
    names = ("ials", "linear_autoencoder", "popularity", "item_knn", "rp3beta")
    ensemble = EnsembleConfig(tuple(ComponentConfig(FAMILIES[name]()) for name in names))
    assert run_training("test", ensemble=ensemble).status == "Published"
    assert ModelArtifact.objects.get().algorithm == "+".join(names)
