from django.urls import path

from access.views import ListenersView, TokenView

urlpatterns = [
    path("token", TokenView.as_view(), name="token"),
    path("listeners", ListenersView.as_view(), name="find-listener"),
]
