"""Behaviour that only a real server shows: bodies without Content-Length, and the log at level DEBUG."""

import http.client
import json
import logging
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.stack import PASSWORD, Stack, new_stack

LIMIT = 2_621_440


def post_in_chunks(stack: Stack, path: str, chunks: Iterable[bytes]) -> tuple[int, Any]:
    """Post JSON with chunked transfer encoding, so without Content-Length, and return status and parsed body."""
    with closing(http.client.HTTPConnection("127.0.0.1", stack.port, timeout=20)) as connection:
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        try:
            for chunk in chunks:
                connection.send(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            connection.send(b"0\r\n\r\n")
        except OSError:  # the server refused the body and closed the connection
            pass
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_chunked_bodies_are_read_up_to_the_limit_and_no_credential_is_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stack = new_stack(tmp_path, LOG_LEVEL="DEBUG")
    stack.run_python(f"from access.models import User; User.objects.create_user('ann', password='{PASSWORD}')")
    key, right = stack.create_service_key("recommend"), {"username": "ann", "password": PASSWORD}
    with stack.run_servers(single_process=True):
        status, tokens = post_in_chunks(stack, "/token", [b'{"username": "ann", ', b'"password": "secret-77"}'])
        assert (status, tokens["token_type"]) == (200, "Bearer")
        status, problem = post_in_chunks(stack, "/token", (b" " * 65_536 for _ in range(LIMIT // 65_536 + 1)))
        assert (status, problem["status"]) == (413, 413)
        assert post_in_chunks(stack, "/token", [])[0] == 400

        wrong = {"username": "ann", "password": "not-my-password-5"}
        assert stack.request("/token", body=wrong).status == 401
        assert stack.request("/token", body=right).status == 200
        assert stack.request("/recommend/user/me", auth=f"Bearer {tokens['access']}").status == 200
        assert stack.request("/recommend/user/me", auth="Bearer wrong.bearer.token").status == 401
        assert stack.request("/recommend/user/1", auth=f"Api-Key {key}").status == 200
        assert stack.request("/recommend/user/1", auth="Api-Key mr_wrong_key_77").status == 401
        fresh = stack.request("/token/refresh", body={"refresh": tokens["refresh"]}).body
        assert stack.request("/token/refresh", body={"refresh": tokens["refresh"]}).status == 401
        assert stack.request("/token/revoke", body={"refresh": fresh["refresh"]}).status == 204
    log = "".join(capfd.readouterr())
    assert "Unauthorized: /token" in log
    assert "was used twice; the sign-in has been ended" in log
    secret = [PASSWORD, "not-my-password-5", key, "mr_wrong_key_77", "wrong.bearer.token"]
    for credential in (*secret, *(pair[name] for pair in (tokens, fresh) for name in ("access", "refresh"))):
        assert credential not in log


def test_no_log_record_contains_a_credential(alice: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The arguments of a record count as well: a handler may send them elsewhere."""
    caplog.set_level(logging.DEBUG)
    tokens = APIClient().post("/token", {"username": "alice", "password": "wonderland-7"}, format="json").json()
    for header in (f"Bearer {tokens['access']}", "Bearer wrong.bearer.token", "Api-Key mr_wrong_key_77"):
        APIClient().get("/recommend/user/me", HTTP_AUTHORIZATION=header)
    for name in ("wonderland-7", "not-my-password-5"):
        APIClient().post("/token", {"username": "alice", "password": name}, format="json")
    assert caplog.records
    for record in caplog.records:
        text = f"{record.getMessage()} {record.args} {record.exc_text}"
        for credential in (tokens["access"], "wrong.bearer", "mr_wrong_key_77", "wonderland-7", "not-my-password-5"):
            assert credential not in text
