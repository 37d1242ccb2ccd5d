"""A policy is moved between installations as a file."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from engine.pipeline import PERSONAL
from recommendations.models import PolicyVersion
from recommendations.policies.selectors import find_served_policy
from recommendations.policies.services import save_policy, use_policy

VARIED = replace(PERSONAL, dials=replace(PERSONAL.dials, diversity=0.65))


def run(name: str, *arguments: str) -> str:
    output = StringIO()
    call_command(name, *arguments, stdout=output)
    return output.getvalue()


def test_an_exported_version_is_imported_as_the_next_one(db: None, tmp_path: Path) -> None:
    save_policy(VARIED)
    use_policy("personal", 1)
    file = tmp_path / "personal.json"
    file.write_text(run("export_policy", "personal"))
    assert json.loads(file.read_text()) == replace(VARIED, version=1).to_dict()
    assert run("export_policy", "personal@0") == json.dumps(PERSONAL.to_dict(), indent=2) + "\n"
    use_policy("personal", 0)
    PolicyVersion.objects.all().delete()
    assert run("import_policy", str(file), "--note", "moved") == "policy personal@1 is saved and not in use yet\n"
    assert find_served_policy("personal") == PERSONAL
    document = json.loads(file.read_text()) | {"candidates": 50}
    file.write_text(json.dumps(document))
    assert run("import_policy", str(file), "--use") == "policy personal@2 is saved and in use\n"
    assert find_served_policy("personal") == replace(VARIED, candidates=50, version=2)
    assert list(PolicyVersion.objects.order_by("version").values_list("note", flat=True)) == ["moved", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "unexpected end of data"),
        ("[]", "policy: must be an object"),
        ('{"name": "personal"}', "sources: is missing"),
        (
            '{"name": "personal", "sources": [{"source": "oracle", "weight": 1}]}',
            "there is no candidate source 'oracle'",
        ),
        (
            '{"name": "personal", "sources": [{"source": "popular", "weight": 11}]}',
            "sources.popular: the weight",
        ),
        ('{"name": "personal", "sources": [{"source": "popular", "weight": 1}], "x": 1}', "x: is unknown"),
        (json.dumps(PERSONAL.to_dict()), "nothing differs from personal as built in"),
    ],
)
def test_a_wrong_file_is_refused(db: None, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "personal.json"
    file.write_text(text)
    with pytest.raises(CommandError, match=message):
        run("import_policy", str(file), "--use")
    assert not PolicyVersion.objects.exists()


def test_a_missing_file_and_an_unknown_version_are_errors(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        run("import_policy", str(tmp_path / "none.json"))
    with pytest.raises(CommandError, match="there is no version 3 of a policy 'personal'"):
        run("export_policy", "personal@3")
