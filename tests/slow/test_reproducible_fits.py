"""The same seed gives the same model in every process."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from engine.models import FAMILIES

pytestmark = [pytest.mark.slow, pytest.mark.one_stack]


def test_every_process_fits_the_same_models() -> None:
    command = "from tests.slow.test_reproducible_fits import fingerprints; print(fingerprints())"
    assert subprocess.check_output([sys.executable, "-c", command], text=True).strip() == str(fingerprints())


def fingerprints() -> dict[str, str]:
    """Fit each family, and return hashes of the results."""
    rng = np.random.default_rng(0)
    matrix = sp.random(60, 40, 0.2, "csr", np.float32, rng)
    matrix.data = (1 + rng.random(matrix.nnz) * 3).astype(np.float32)
    hashes = {}
    for name, family in FAMILIES.items():
        model = family().fit(matrix, seed=1, threads=1)
        neighbours = [] if model.neighbours is None else [model.neighbours.indices, model.neighbours.data]
        content = b"".join(np.ascontiguousarray(a).tobytes() for a in [*(model.factors or ()), *neighbours])
        hashes[name] = hashlib.sha256(content).hexdigest()
    return hashes
