from recommendations.admin.operations import AlarmAdmin, TrainingRunAdmin, UserFeaturesAdmin
from recommendations.admin.tuning import TuningStudyAdmin
from recommendations.admin.versions import ModelArtifactAdmin

__all__ = [
    "AlarmAdmin",
    "ModelArtifactAdmin",
    "TrainingRunAdmin",
    "TuningStudyAdmin",
    "UserFeaturesAdmin",
]
