from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from access.listen_tokens import create_listen_token
from access.models import User


@pytest.fixture
def as_scrobbler(db: None) -> Callable[[User], APIClient]:
    """Return a function that makes a client with a listen token of a listener."""

    def client(user: User) -> APIClient:
        api = APIClient()
        api.credentials(HTTP_AUTHORIZATION=f"Token {create_listen_token(user.pk)}")
        return api

    return client


@pytest.fixture
def scrobbler(alice: User, as_scrobbler: Callable[[User], APIClient]) -> APIClient:
    """Return a client with a listen token of Alice's."""
    return as_scrobbler(alice)
