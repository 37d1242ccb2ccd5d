from engine.models.popularity import Popularity
from tests.engine.models.contract import FamilyContract


class TestPopularity(FamilyContract):
    checkerboard_trainer = Popularity()
    ignores_confidences = True
