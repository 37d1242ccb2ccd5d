"""The three questions that an evaluation answers: which tracks a list may hold, and which of them are relevant.

- `NEW`: tracks that the listener has not played before. Lists leave out the tracks of their past.
- `ALL`: every track that they played next, repeats included. Lists may hold any track.
- `REPEATS`: tracks of their past that they played again. Lists hold nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

NEW, ALL, REPEATS = "new", "all", "repeats"
QUESTIONS = (NEW, ALL, REPEATS)


def check_question(question: str) -> None:
    """Raise a ValueError for a question that is not one of `QUESTIONS`."""
    if question not in QUESTIONS:
        raise ValueError(f"question: must be one of {', '.join(QUESTIONS)}; not {question!r}")


def relevant_items(past: sp.csr_matrix, future: sp.csr_matrix, question: str) -> sp.csr_matrix:
    """Return the items of the future that answer a question.

    Args:
        past: CSR bool (users, items), without stored zeros.
        future: the same, for the plays that were held out.
        question: one of `QUESTIONS`.

    Returns:
        CSR bool (users, items).

    Raises:
        ValueError: for another question.
    """
    check_question(question)
    if question == ALL:
        return future
    return (future > past if question == NEW else future.multiply(past)).tocsr()


def mask_scores(scores: NDArray[np.float32], past: sp.csr_matrix, question: str) -> None:
    """Set the scores of items that do not answer a question to -inf, in place.

    Args:
        scores: float32 (b, items).
        past: CSR bool (b, items), the pasts of the same users, without stored zeros.
        question: one of `QUESTIONS`.

    Raises:
        ValueError: for another question.
    """
    check_question(question)
    played = past.nonzero()
    if question == NEW:
        scores[played] = -np.inf
    elif question == REPEATS:
        own_scores = scores[played]
        scores[:] = -np.inf
        scores[played] = own_scores


def question_report(report: Mapping[str, Any], question: str | None = None) -> dict[str, Any]:
    """Return the part of a version's report that answers one question.

    Args:
        report: the "report" of a manifest. Those of older releases answer the question `NEW` alone, and have no key
            "questions".
        question: one of `QUESTIONS`; by default the one for which the version was chosen.

    Returns:
        A report as of `engine.evaluation.evaluate.evaluate`; one without listeners and models where the question was
        not asked.
    """
    question = question or report.get("question", NEW)
    if "questions" in report:
        answer = report["questions"].get(question)
        return dict(answer) if isinstance(answer, Mapping) else empty_report()
    return dict(report) if question == NEW else empty_report()


def empty_report() -> dict[str, Any]:
    """Return the report of an evaluation without any listener to evaluate."""
    return {"listeners": 0, "models": {}, "differences": {}}
