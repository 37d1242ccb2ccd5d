from engine.models.svd import SVD
from tests.engine.models.contract import PersonalFamilyContract


class TestSVD(PersonalFamilyContract):
    checkerboard_trainer = SVD(factors=2)
    taste_trainer = SVD(factors=6)
    invalid = [("factors", 0), ("factors", float("nan"))]
