import numpy as np

from engine.tuning.blend_weights import ValidationPool, learn_weights


def test_each_segment_gets_the_weights_of_its_better_component_where_that_pays() -> None:
    """Component 0 knows the answer for users with few tracks, component 1 for the others."""
    rng = np.random.default_rng(0)
    users, pool_size = 1200, 40
    history_lengths = rng.integers(1, 100, users)
    is_relevant = np.zeros((users, pool_size), bool)
    is_relevant[np.arange(users), rng.integers(0, pool_size, users)] = True
    relevant_counts = np.ones(users, int)
    light = history_lengths < np.median(history_lengths) + 1
    scores = rng.standard_normal((users, pool_size, 2)).astype(np.float32)
    scores[light, :, 0] += 3 * is_relevant[light]
    scores[~light, :, 1] += 3 * is_relevant[~light]

    weights, expected = learn_weights(ValidationPool(scores, is_relevant, relevant_counts, history_lengths), seed=1)
    assert weights.few[0] > 0.8
    assert weights.many[1] > 0.8
    assert expected > 0.75

    identical = np.repeat(scores[:, :, :1], 2, axis=2)
    weights, _ = learn_weights(ValidationPool(identical, is_relevant, relevant_counts, history_lengths), seed=1)
    assert weights.boundary == 0
