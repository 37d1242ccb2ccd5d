from django.urls import path

from access.views import TokenView

urlpatterns = [path("token", TokenView.as_view(), name="token")]
