"""`manage.py evaluate_model` evaluates an ensemble without training a version for service."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.rp3beta import RP3Beta
from engine.pipeline import PERSONAL, POLICIES
from recommendations.models import ModelArtifact
from recommendations.policies.selectors import find_policy
from recommendations.policies.services import save_policy, use_policy
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service
from tests.people import CatalogueFactory

NEIGHBOURS = EnsembleConfig((ComponentConfig(RP3Beta()),))


@pytest.fixture
def trained_catalogue(catalogue: CatalogueFactory, settings: Any) -> CatalogueFactory:
    catalogue.checkerboard()
    settings.MUSICREC = settings.MUSICREC | {"GATE_MARGIN": 1}
    assert run_training("test").status == "Published"
    return catalogue


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    """Write a file with another ensemble than the one in service and return its path."""
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(NEIGHBOURS.to_dict()))
    return str(path)


def evaluate_model(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("evaluate_model", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_ensemble_in_service_is_evaluated_next_to_most_popular(trained_catalogue: CatalogueFactory) -> None:
    first, headings, columns, *lines, repeats, last = evaluate_model()
    assert first == "time split, 20% held out; decisive question: new"
    report = ModelArtifact.objects.get().manifest["report"]
    assert headings.split() == [
        word for name in ("new", "all") for word in (name, f"({report['questions'][name]['listeners']}", "listeners)")
    ]
    assert columns.split() == ["model", "95", "%", "interval", "most_popular", "model", "most_popular"]
    assert repeats == "repeats: no listener could be asked"  # in the checkerboard nobody plays a track twice
    assert last == (
        "next track: not evaluated, it needs 100 sessions of at least two plays before those that are held out"
    )
    names = [line.split()[0] for line in lines]
    assert {f"{metric}@{k}" for metric in ("ndcg", "recall", "coverage", "diversity") for k in (5, 10, 20)} <= set(
        names
    )
    assert any(line.startswith("ndcg@10 heavy ") for line in lines)
    ndcg = next(line for line in lines if line.startswith("ndcg@10 ")).split()
    (model, popular), others = (
        [report["questions"][question]["models"][name]["metrics"]["ndcg@10"] for name in ("model", "most_popular")]
        for question in ("new", "all")
    )
    texts = [f"{model['mean']:.4f}", f"{model['low']:.4f}", "…", f"{model['high']:.4f}", f"{popular['mean']:.4f}"]
    assert ndcg[1:] == texts + [f"{value['mean']:.4f}" for value in others]


def test_another_ensemble_is_evaluated_next_to_both_and_nothing_changes(
    trained_catalogue: CatalogueFactory, recipe: str, tmp_path: Path
) -> None:
    before = (version_in_service(), ModelArtifact.objects.count())
    report = tmp_path / "report.json"
    lines = evaluate_model(
        "--recipe", recipe, "--split", "ratio", "--k", "3", "--listeners", "7", "--json", str(report)
    )
    assert lines[0] == "ratio split, 20% held out; decisive question: new"
    assert lines[1].split() == ["new", "(7", "listeners)", "all", "(7", "listeners)"]
    models = ["in_service", "most_popular"]
    assert lines[2].split() == ["model", "95", "%", "interval", *models, "model", *models]
    written = json.loads(report.read_text())
    assert written["algorithm"] == "rp3beta"
    assert written["questions"]["all"]["ks"] == [3]
    assert written["questions"]["all"]["models"].keys() == {"model", "in_service", "most_popular"}
    assert (version_in_service(), ModelArtifact.objects.count()) == before


def test_another_question_can_be_chosen(trained_catalogue: CatalogueFactory) -> None:
    first, _, columns, *_ = evaluate_model("--question", "all")
    assert first == "time split, 20% held out; decisive question: all"
    assert columns.split() == ["model", "most_popular", "model", "95", "%", "interval", "most_popular"]


def test_a_policy_is_tried_beside_the_one_in_use(trained_catalogue: CatalogueFactory, tmp_path: Path) -> None:
    save_policy(replace(PERSONAL, candidates=50))
    save_policy(replace(POLICIES["popular"], name="personal"))
    use_policy("personal", 1)
    file, report = tmp_path / "personal.json", tmp_path / "report.json"
    file.write_text(json.dumps(find_policy("personal", 2).to_dict()))
    for argument in ("personal@2", str(file)):
        first, *lines = evaluate_model("--policy", argument, "--json", str(report))
        assert first == f"column policy: {argument} in place of personal@1"
        assert lines[2].split() == ["model", "95", "%", "interval", *("policy", "most_popular", "model") * 2][:-1]
        models = json.loads(report.read_text())["questions"]["new"]["models"]
        assert models["policy"]["metrics"]["ndcg@10"] == models["most_popular"]["metrics"]["ndcg@10"]
        assert models["model"]["metrics"]["ndcg@10"] != models["policy"]["metrics"]["ndcg@10"]


def test_versions_are_evaluated_by_the_policies_in_use(trained_catalogue: CatalogueFactory, tmp_path: Path) -> None:
    save_policy(replace(POLICIES["popular"], name="personal"))
    use_policy("personal", 1)
    evaluate_model("--json", str(tmp_path / "report.json"))
    models = json.loads((tmp_path / "report.json").read_text())["questions"]["new"]["models"]
    assert models["model"]["metrics"]["ndcg@10"] == models["most_popular"]["metrics"]["ndcg@10"]


@pytest.mark.parametrize("split", ["ratio", "leave_last", "new_users"])
def test_other_splits_can_be_chosen(trained_catalogue: CatalogueFactory, split: str) -> None:
    assert evaluate_model("--split", split, "--listeners", "0")[0].startswith(f"{split} split, ")


def test_the_ensemble_of_a_version_can_be_evaluated(trained_catalogue: CatalogueFactory) -> None:
    first = version_in_service()
    assert run_training("test", ensemble=NEIGHBOURS).status == "Published"
    assert evaluate_model(str(first))[2].count("in_service") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "^version nonsense cannot be evaluated: its files do not exist$"),
        (["../../etc"], "^version ../../etc cannot be evaluated: '../../etc' is not a version name$"),
        (["--recipe", "nowhere.json"], "--recipe: .*nowhere.json"),
        (["--holdout", "1"], "--holdout must be between 0 and 1, not 1.0"),
        (["--k", "0"], "--k must be 1 or more, not 0"),
        (["--listeners", "-1"], "--listeners must be 0 or more, not -1"),
        (["--split", "by_moon"], "invalid choice"),
        (["--question", "why"], "invalid choice"),
        (["--json", "/nowhere/report.json"], "--json: .*No such file"),
        (["version", "--recipe", "x.json"], "not allowed with"),
        (["--policy", "personal@9"], "--policy: there is no version 9 of a policy 'personal'"),
        (["--policy", "similar"], "policy similar answers tracks, not listeners, and cannot be evaluated"),
    ],
)
def test_the_message_for_invalid_arguments_names_the_argument(
    trained_catalogue: CatalogueFactory, arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        evaluate_model(*arguments)


def test_the_message_for_an_invalid_ensemble_file_states_the_cause(
    trained_catalogue: CatalogueFactory, tmp_path: Path
) -> None:
    for content, message in (("[", "Expecting value"), ('{"parts": [{"family": "magic"}]}', "'magic' is not one of")):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(CommandError, match=message):
            evaluate_model("--recipe", str(tmp_path / "bad.json"))


@pytest.mark.usefixtures("catalogue")
def test_without_plays_the_command_fails_and_advises_to_import_some() -> None:
    with pytest.raises(CommandError, match="import plays first"):
        evaluate_model()
