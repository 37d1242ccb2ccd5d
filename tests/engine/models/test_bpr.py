from engine.models.bpr import BPR
from tests.engine.models.contract import PersonalFamilyContract


class TestBPR(PersonalFamilyContract):
    checkerboard_trainer = BPR(factors=4, iterations=300, learning_rate=0.1)
    taste_trainer = BPR(factors=16, iterations=60, learning_rate=0.02)
    ignores_confidences = True
    invalid = [
        *((name, 0) for name in ("factors", "iterations", "learning_rate")),
        ("regularization", -0.1),
        ("factors", float("nan")),
    ]
