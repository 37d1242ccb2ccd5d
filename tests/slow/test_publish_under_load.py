"""Two processes serve under load while versions are published twenty times."""

import threading
import time
from collections import Counter
from typing import Any

import pytest

from tests.play_files import write_checkerboard_csv
from tests.stack import Stack, new_stack

pytestmark = pytest.mark.slow
PUBLICATIONS = 20
CLIENTS = 4
SWAP_SECONDS = 5

# The factors of version n are those of the first version times n, so that the scores of the versions are far apart. The
# scores of an answer that mixes two versions would fit neither.
SCALED_VERSIONS = """
from dataclasses import replace
from engine.bundle.model_bundle import assemble_bundle
from engine.models.base import FittedModel
from recommendations.version_store import version_store
s = version_store()
first = s.load(s.pointer().version)
for number in (1, 2, 3, 4):
    bundle = assemble_bundle(
        version=f"scaled-{number}", items=first.items, popularity=first.popularity, ensemble=first.ensemble,
        fitted_models=[FittedModel((first.user_factors, first.item_factors * number), first.fold_in)],
        users=first.users, user_stamps=first.user_stamps, statistics=first.statistics)
    s.write(bundle, {"report": {}})
"""
PUBLISH = """
import sys, time
from recommendations.training.publish import publish
for number in range({publications}):
    publish(f"scaled-{{number % 4 + 1}}")
    time.sleep(0.3)
"""


def test_no_request_fails_and_no_answer_mixes_versions(tmp_path: Any) -> None:
    stack = new_stack(tmp_path, MUSICREC_FACTORS="2")
    stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
    stack.manage("train_model")
    stack.run_python(SCALED_VERSIONS)
    key = f"Api-Key {stack.create_service_key('recommend')}"
    listener = stack.prepare_listener("u2")
    path = f"/recommend/user/{listener}/ml?limit=5&exclude_played=true"  # scores of repeats are not of the version
    with stack.run_servers():
        unscaled = [r["score"] for r in stack.request(path, auth=key).body["results"]]
        seen, failures, stop = Counter[str](), list[Any](), threading.Event()

        def send_requests() -> None:
            while not stop.is_set():
                try:
                    answer = stack.request(path, auth=key)
                    version = answer.body["model_version"]
                    factor = int(version.removeprefix("scaled-")) if version.startswith("scaled-") else 1
                    scores = [r["score"] for r in answer.body["results"]]
                    consistent = scores == pytest.approx([s * factor for s in unscaled], abs=1e-5)
                    if answer.status != 200 or answer.body["degraded"] or not consistent:
                        failures.append(answer)
                    seen[version] += 1
                except Exception as error:
                    failures.append(error)

        clients = [threading.Thread(target=send_requests) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        stack.run_python(PUBLISH.format(publications=PUBLICATIONS))
        _wait_until_every_process_serves(stack, f"scaled-{(PUBLICATIONS - 1) % 4 + 1}")
        stop.set()
        for client in clients:
            client.join()
    assert failures == []
    assert {f"scaled-{n}" for n in (1, 2, 3, 4)} <= seen.keys()
    assert seen.total() > 100


def _wait_until_every_process_serves(stack: Stack, version: str) -> None:
    """Wait until both web processes serve the version, for a few seconds at most."""
    deadline = time.monotonic() + SWAP_SECONDS
    served: dict[int, str] = {}
    while time.monotonic() < deadline:
        body = stack.request("/health/ready").body
        served[body["pid"]] = body["model_version"]
        if len(served) == 2 and set(served.values()) == {version}:
            return
    raise AssertionError(f"served after {SWAP_SECONDS} s: {served}")
