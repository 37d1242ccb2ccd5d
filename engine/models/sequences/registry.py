"""The registry of sequence families; `engine.models.sequences` fills it."""

from __future__ import annotations

from engine.models.sequences.base import SequenceTrainer

SEQUENCE_FAMILIES: dict[str, type[SequenceTrainer]] = {}
"""The registered families by name."""


def register_sequence_family(family: type[SequenceTrainer]) -> type[SequenceTrainer]:
    """Make a family available to stored models and to fusions.

    Raises:
        ValueError: another family has the same name.
    """
    if SEQUENCE_FAMILIES.setdefault(family.family, family) is not family:
        raise ValueError(
            f"family: {family.family!r} is registered already, by {SEQUENCE_FAMILIES[family.family].__name__}"
        )
    return family
