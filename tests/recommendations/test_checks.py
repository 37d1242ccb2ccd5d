from typing import Any

import pytest
from django.conf import settings as configured

from recommendations.checks import SETTING_RULES, check_settings


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
        ("FAMILY", "crystal_ball"),
        ("REGULARIZATION", -0.1),
        ("CONFIDENCE_LIKED", -1),
        ("CONFIDENCE_TRANSFORM", "cube"),
        ("CONFIDENCE_SCALE", -1),
        ("CONFIDENCE_HALF_LIFE", -7),
        ("SPLIT", "by_moon"),
        ("QUESTION", ""),
        ("TUNING_SECONDS", 0),
        ("TUNING_PAIRS", 10),
        ("WEBHOOK_DAYS", -1),
    ],
)
def test_the_message_for_an_invalid_value_states_what_is_allowed(settings: Any, name: str, value: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {name: value}
    [error] = check_settings(None)
    assert error.msg == f"MUSICREC_{name} is {value!r}; it must be {SETTING_RULES[name][1]}."


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
@pytest.mark.parametrize("name", sorted(name for name in SETTING_RULES if isinstance(configured.MUSICREC[name], float)))
def test_a_number_that_is_not_finite_or_absurdly_large_is_refused(settings: Any, name: str, value: float) -> None:
    settings.MUSICREC = settings.MUSICREC | {name: value}
    assert [error.msg.split()[0] for error in check_settings(None)] == [f"MUSICREC_{name}"]


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        (
            "FAMILY",
            "auto or one of als, ials, bpr, svd, rp3beta, item_knn, slim, linear_autoencoder, sparse_autoencoder, "
            "spectral, repeat, popularity",
        ),
        ("CONFIDENCE_TRANSFORM", "one of none, log, capped, bm25, activation"),
        ("SPLIT", "one of time, ratio, leave_last, new_users"),
    ],
)
def test_choices_are_listed_in_the_message(name: str, choices: str) -> None:
    assert SETTING_RULES[name][1] == choices
