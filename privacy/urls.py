from django.urls import path

from privacy.views import ErasureView, ListenerExportView, ListenerMergeView, ListenerView

urlpatterns = [
    path("users/<str:user_id>", ListenerView.as_view(), name="listener"),
    path("users/<str:user_id>/export", ListenerExportView.as_view(), name="export-listener"),
    path("users/<str:user_id>/merge", ListenerMergeView.as_view(), name="merge-device"),
    path("erasures/<uuid:receipt>", ErasureView.as_view(), name="erasure"),
]
