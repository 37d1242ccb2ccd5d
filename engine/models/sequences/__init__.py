"""Models of what is played next in a session. Adding a family means one module and one line here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from engine.models.sequences.base import SequenceModel
from engine.models.sequences.registry import SEQUENCE_FAMILIES, register_sequence_family
from engine.models.sequences.sequence_fusion import SequenceFusion
from engine.models.sequences.sequential_rules import SequentialRules
from engine.models.sequences.session_knn import SessionKNN
from engine.models.sequences.session_repeats import SessionRepeats

register_sequence_family(SequentialRules)
register_sequence_family(SessionKNN)
register_sequence_family(SessionRepeats)
register_sequence_family(SequenceFusion)


def sequence_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> SequenceModel:
    """Return the model of which `SequenceModel.to_arrays` returned these arrays.

    Raises:
        KeyError, TypeError, ValueError: an array or a hyperparameter is missing, unknown, or does not fit the others.
    """
    description = json.loads(arrays["description"].tobytes())
    hyperparameters = dict(description["trainer"])
    trainer = SEQUENCE_FAMILIES[hyperparameters.pop("family")].from_dict(hyperparameters)
    learnt = {name: array for name, array in arrays.items() if name != "description"}
    return trainer.restore(learnt, description["items"])
