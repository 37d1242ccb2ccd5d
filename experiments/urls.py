from django.urls import path

from experiments.views import EngagementView

urlpatterns = [path("engagement", EngagementView.as_view(), name="engagement")]
