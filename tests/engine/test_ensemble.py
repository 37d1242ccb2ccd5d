import json
import math

import numpy as np
import pytest

from engine.data.confidence import ConfidenceWeights
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.models import FAMILIES
from engine.models.ials import IALS
from engine.models.rp3beta import RP3Beta


@pytest.mark.parametrize("family", FAMILIES)
def test_a_configuration_can_be_stored_as_json(family: str) -> None:
    component = ComponentConfig(
        FAMILIES[family](), ConfidenceWeights(bonus=0.5, transform="log", half_life=30), damping=0.2, recency=0.7
    )
    ensemble = EnsembleConfig((component, ComponentConfig(RP3Beta(beta=0.7))), BlendWeights((0.2, 0.8), (0.6, 0.4), 30))
    assert EnsembleConfig.from_dict(json.loads(json.dumps(ensemble.to_dict()))) == ensemble
    assert ensemble.algorithm == f"{family}+rp3beta"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "magic"}, "'magic' is not one of als, ials"),
        ({"factors": -1}, "ials: factors must be above 0, not -1"),
        ({"flavour": 1}, "ials: .*flavour"),
        ({"confidence": {"transform": "cube"}}, "'cube' is not one of none, log, capped, bm25"),
        ({"confidence": {"base": 0}}, "base: must be above 0"),
        ({"recency": -0.1}, "recency: must be 0 or above, not -0.1"),
        *(({"recency": value}, "recency: must be") for value in (math.nan, math.inf, 1e30)),
        *(({"damping": value}, "damping: must be from -4 to 4") for value in (math.nan, math.inf, -math.inf, 5)),
    ],
)
def test_it_names_what_is_wrong_in_a_configuration(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ComponentConfig.from_dict(ComponentConfig(IALS()).to_dict() | change)


def test_a_configuration_of_an_older_release_has_no_recency() -> None:
    stored = ComponentConfig(RP3Beta(), recency=0.5).to_dict()
    del stored["recency"]
    assert ComponentConfig.from_dict(stored) == ComponentConfig(RP3Beta())


def test_without_weights_all_components_weigh_the_same() -> None:
    ensemble = EnsembleConfig((ComponentConfig(), ComponentConfig(RP3Beta())))
    assert ensemble.weights == BlendWeights((0.5, 0.5), (0.5, 0.5))
    with pytest.raises(ValueError, match="one weight per component"):
        EnsembleConfig((ComponentConfig(),), BlendWeights.equal(2))
    with pytest.raises(ValueError, match="at least one"):
        EnsembleConfig(())
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="those of `many` must be numbers up to 1e"):
            BlendWeights((1.0,), (value,))


def test_listeners_with_few_tracks_have_their_own_weights() -> None:
    weights = BlendWeights((1.0, 0.0), (0.0, 1.0), boundary=5).for_listeners(np.array([0, 4, 5, 90]))
    assert weights.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
