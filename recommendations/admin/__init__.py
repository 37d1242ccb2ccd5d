from recommendations.admin.operations import AlarmAdmin, TrainingRunAdmin, TuningStudyAdmin, UserFeaturesAdmin
from recommendations.admin.versions import ModelArtifactAdmin

__all__ = [
    "AlarmAdmin",
    "ModelArtifactAdmin",
    "TrainingRunAdmin",
    "TuningStudyAdmin",
    "UserFeaturesAdmin",
]
