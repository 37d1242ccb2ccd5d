"""System checks that refuse unusable settings at start."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from engine.bundle.index_files import INDEX_KINDS
from engine.data.confidence import MAX_WEIGHT, TRANSFORMS
from engine.data.split import SPLITTERS
from engine.evaluation.questions import QUESTIONS
from engine.models import FAMILIES
from engine.models.validation import MAX_VALUE
from recommendations.training.config import AUTO

SETTING_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "FACTORS": (lambda v: 1 <= v <= 1024, "between 1 and 1024"),
    "ITERATIONS": (lambda v: 1 <= v <= 1000, "between 1 and 1000"),
    "REGULARIZATION": (lambda v: 0 <= v <= MAX_VALUE, f"between 0 (the default of the family) and {MAX_VALUE:g}"),
    "CONFIDENCE_BASE": (lambda v: 0 < v <= MAX_WEIGHT, f"more than 0 and at most {MAX_WEIGHT:g}"),
    "FAMILY": (lambda v: v == AUTO or v in FAMILIES, f"{AUTO} or one of {', '.join(FAMILIES)}"),
    "CONFIDENCE_BONUS": (lambda v: 0 <= v <= MAX_WEIGHT, f"between 0 and {MAX_WEIGHT:g}"),
    "CONFIDENCE_LIKED": (lambda v: 0 <= v <= MAX_WEIGHT, f"between 0 and {MAX_WEIGHT:g}"),
    "CONFIDENCE_ADDED": (lambda v: 0 <= v <= MAX_WEIGHT, f"between 0 and {MAX_WEIGHT:g}"),
    "CONFIDENCE_SHARED": (lambda v: 0 <= v <= MAX_WEIGHT, f"between 0 and {MAX_WEIGHT:g}"),
    "CONFIDENCE_SKIPPED": (lambda v: 0 <= v <= MAX_WEIGHT, f"between 0 and {MAX_WEIGHT:g}"),
    "CONFIDENCE_DISLIKED": (lambda v: 0 <= v <= MAX_WEIGHT, f"between 0 and {MAX_WEIGHT:g}"),
    "CONFIDENCE_TRANSFORM": (lambda v: v in TRANSFORMS, f"one of {', '.join(TRANSFORMS)}"),
    "CONFIDENCE_SCALE": (lambda v: 0 <= v <= MAX_WEIGHT, f"between 0 and {MAX_WEIGHT:g}"),
    "CONFIDENCE_HALF_LIFE": (lambda v: 0 <= v <= MAX_WEIGHT, f"between 0 (no decay) and {MAX_WEIGHT:g} days"),
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
    "RADIO_DAYS": (lambda v: v >= 0, "0 (keep them forever) or more"),
    "SLATE_DAYS": (lambda v: v >= 0, "0 (keep them forever) or more"),
    "COLD_BELOW": (lambda v: v >= 1, "1 or more"),
    "MODEL_KEEP": (lambda v: v >= 2, "2 or more: the version in service and the one before"),
    "MODEL_POLL_SECONDS": (lambda v: 0 <= v <= 60, "between 0 (check at every request) and 60"),
    "WATCH_SECONDS": (lambda v: 1 <= v <= 3600, "between 1 and 3600"),
    "TRAINING_SEED": (lambda v: 0 <= v < 2**32, "between 0 and 4294967295"),
    "WEBHOOK_DAYS": (lambda v: v >= 0, "0 (keep them forever) or more"),
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
        Error(f"MUSICREC_{name} is {settings.MUSICREC[name]!r}; it must be {rule}.", id="musicrec.E001")
        for name, (is_valid, rule) in SETTING_RULES.items()
        if not is_valid(settings.MUSICREC[name])
    ]
