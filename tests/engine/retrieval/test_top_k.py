import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.retrieval.exact_search import top_k

scores = hnp.arrays(
    np.float32, st.integers(0, 40), elements=st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 1.0, 7.0]).map(np.float32)
)


@given(scores, st.integers(0, 50))
def test_it_is_what_sorting_everything_gives(s: np.ndarray, k: int) -> None:
    obvious = [row for row in sorted(range(len(s)), key=lambda r: (-s[r], r)) if s[row] > -np.inf][:k]
    assert top_k(s, k).tolist() == obvious


@given(scores, st.integers(1, 50))
def test_longer_list_begins_with_the_shorter(s: np.ndarray, k: int) -> None:
    assert top_k(s, k + 1)[:k].tolist() == top_k(s, k).tolist()
