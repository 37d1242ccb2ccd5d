from typing import Any

import pytest

from recommendations.checks import BOUNDS, check_settings


def test_the_defaults_are_accepted() -> None:
    assert check_settings(None) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACTORS", 0),
        ("HOLDOUT", 0.9),
        ("MODEL_KEEP", 1),
        ("COLD_BELOW", 0),
        ("GATE_MARGIN", -1),
        ("CONFIDENCE_BASE", 0),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_a_sentence(settings: Any, name: str, value: float) -> None:
    settings.MUSICREC = settings.MUSICREC | {name: value}
    [error] = check_settings(None)
    assert error.msg == f"MUSICREC_{name} is {value}; it must be {BOUNDS[name][1]}."
