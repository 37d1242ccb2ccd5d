"""System checks that refuse unusable settings at start."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from engine.bundle.index_files import INDEX_KINDS
from engine.data.confidence import TRANSFORMS
from engine.data.split import SPLITTERS
from engine.evaluation.questions import QUESTIONS
from engine.models import FAMILIES

SETTING_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "FACTORS": (lambda v: 1 <= v <= 1024, "between 1 and 1024"),
    "ITERATIONS": (lambda v: 1 <= v <= 1000, "between 1 and 1000"),
    "REGULARIZATION": (lambda v: v >= 0, "0 (the default of the family) or more"),
    "CONFIDENCE_BASE": (lambda v: v > 0, "more than 0"),
    "FAMILY": (lambda v: v in FAMILIES, f"one of {', '.join(FAMILIES)}"),
    "CONFIDENCE_BONUS": (lambda v: v >= 0, "0 or more"),
    "CONFIDENCE_LIKED": (lambda v: v >= 0, "0 or more"),
    "CONFIDENCE_ADDED": (lambda v: v >= 0, "0 or more"),
    "CONFIDENCE_SHARED": (lambda v: v >= 0, "0 or more"),
    "CONFIDENCE_SKIPPED": (lambda v: v >= 0, "0 or more"),
    "CONFIDENCE_DISLIKED": (lambda v: v >= 0, "0 or more"),
    "CONFIDENCE_TRANSFORM": (lambda v: v in TRANSFORMS, f"one of {', '.join(TRANSFORMS)}"),
    "CONFIDENCE_SCALE": (lambda v: v >= 0, "0 or more"),
    "CONFIDENCE_HALF_LIFE": (lambda v: v >= 0, "0 (no decay) or more days"),
    "TUNING_SECONDS": (lambda v: v >= 1, "1 or more"),
    "TUNING_PAIRS": (lambda v: v >= 1000, "1000 or more"),
    "SPLIT": (lambda v: v in SPLITTERS, f"one of {', '.join(SPLITTERS)}"),
    "QUESTION": (lambda v: v in QUESTIONS, f"one of {', '.join(QUESTIONS)}"),
    "HOLDOUT": (lambda v: 0 < v <= 0.5, "more than 0 and at most 0.5"),
    "GATE_MARGIN": (lambda v: 0 <= v <= 1, "between 0 and 1"),
    "RESULTS_SECONDS": (lambda v: v >= 0, "0 (cache no responses) or more"),
    "INDEX": (lambda v: v in INDEX_KINDS, f"one of {', '.join(INDEX_KINDS)}"),
    "INDEX_ABOVE": (lambda v: v >= 0, "0 or more tracks"),
    "AHEAD_LISTENERS": (lambda v: v >= 0, "0 (precompute nothing) or more"),
    "SLATE_BUFFER": (lambda v: v >= 0, "0 (log no slates) or more"),
    "SLATE_DAYS": (lambda v: v >= 0, "0 (keep them forever) or more"),
    "COLD_BELOW": (lambda v: v >= 1, "1 or more"),
    "MODEL_KEEP": (lambda v: v >= 2, "2 or more: the version in service and the one before"),
    "MODEL_POLL_SECONDS": (lambda v: 0 <= v <= 60, "between 0 (check at every request) and 60"),
    "WATCH_SECONDS": (lambda v: 1 <= v <= 3600, "between 1 and 3600"),
    "TRAINING_SEED": (lambda v: 0 <= v < 2**32, "between 0 and 4294967295"),
    "IMPORT_MAX_BYTES": (lambda v: v >= 1, "1 or more"),
    "TRAINING_THREADS": (lambda v: v >= 0, "0 (all cores) or more"),
}


def raise_for_invalid_settings() -> None:
    """Run the checks in a web process, where Django does not run them.

    Raises:
        ImproperlyConfigured: a setting cannot work.
    """
    if errors := check_settings(None):
        raise ImproperlyConfigured(" ".join(error.msg for error in errors))


@register(Tags.compatibility)
def check_settings(app_configs: Any, **kwargs: Any) -> list[Error]:
    return [
        Error(f"MUSICREC_{name} is {settings.MUSICREC[name]}; it must be {rule}.", id="musicrec.E001")
        for name, (is_valid, rule) in SETTING_RULES.items()
        if not is_valid(settings.MUSICREC[name])
    ]
