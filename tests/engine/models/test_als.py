from engine.models.als import ALS
from tests.engine.models.contract import PersonalFamilyContract


class TestALS(PersonalFamilyContract):
    checkerboard_trainer = ALS(factors=2, iterations=10)
    taste_trainer = ALS(factors=8, regularization=5.0)
    invalid = [*((name, -1) for name in ("factors", "iterations", "regularization")), ("factors", float("nan"))]
