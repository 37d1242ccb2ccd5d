from recommendations.admin.listeners import ListenerPageAdmin
from recommendations.admin.operations import AlarmAdmin, TrainingRunAdmin, TuningStudyAdmin, UserFeaturesAdmin
from recommendations.admin.policies import PolicyVersionAdmin
from recommendations.admin.schedule import PeriodicTaskAdmin
from recommendations.admin.versions import ModelArtifactAdmin

__all__ = [
    "AlarmAdmin",
    "ListenerPageAdmin",
    "ModelArtifactAdmin",
    "PeriodicTaskAdmin",
    "PolicyVersionAdmin",
    "TrainingRunAdmin",
    "TuningStudyAdmin",
    "UserFeaturesAdmin",
]
