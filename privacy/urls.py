from django.urls import path

from privacy.views import ErasureView, ListenerExportView, ListenerView

urlpatterns = [
    path("users/<str:user_id>", ListenerView.as_view(), name="listener"),
    path("users/<str:user_id>/export", ListenerExportView.as_view(), name="export-listener"),
    path("erasures/<uuid:receipt>", ErasureView.as_view(), name="erasure"),
]
