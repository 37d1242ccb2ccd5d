"""Names that a reader can rely on."""

import ast
from collections import defaultdict

import pytest

from musicrec.processes import ROOT

PACKAGES = [
    "engine",
    "importers",
    "common",
    "webhooks",
    "access",
    "tracks",
    "interactions",
    "experiments",
    "recommendations",
    "privacy",
    "web",
    "musicrec",
]
CONVENTIONAL = {"Meta", "Media", "Command", "Status", "Kind"}  # inner classes by Django's conventions
pytestmark = pytest.mark.one_stack


def test_a_class_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in file.parts:
                for node in ast.walk(ast.parse(file.read_text())):
                    if isinstance(node, ast.ClassDef):
                        places[node.name].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    repeated = {name: where for name, where in places.items() if len(where) > 1 and name not in CONVENTIONAL}
    assert len(places) > 200
    assert repeated == {}
