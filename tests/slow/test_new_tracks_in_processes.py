"""A track that one web process stores is recommended by another, which no message reaches."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.play_files import write_checkerboard_csv
from tests.stack import Stack, new_stack

pytestmark = pytest.mark.slow
POLL_SECONDS = 2.0
TAGS = [[{"name": name, "kind": "genre", "weight": 1.0}] for name in ("even", "odd")]


@pytest.fixture
def installation(tmp_path: Path) -> Stack:
    """Return an installation whose tracks of even numbers have other listeners and tags than those of odd ones."""
    stack = new_stack(tmp_path, MUSICREC_FACTORS="2", MUSICREC_MODEL_POLL_SECONDS=str(POLL_SECONDS))
    stack.manage("import_plays", "--format", "csv", str(write_checkerboard_csv(tmp_path, bands=20)))
    tagged = [{"external_id": f"t{n}", "tags": TAGS[n % 2]} for n in range(20)]
    stack.run_python(f"from tracks.upserts import upsert_tracks; upsert_tracks({tagged!r})")
    stack.manage("train_model")
    return stack


@pytest.fixture
def processes(installation: Stack) -> Iterator[tuple[Stack, Stack]]:
    """Return the installation by the addresses of two web servers, each of one process."""
    other = replace(installation)
    with installation.run_servers(single_process=True), other.run_servers(single_process=True):
        yield installation, other


def wait_for(answer: Callable[[], Any], is_expected: Callable[[Any], bool]) -> Any:
    """Return an answer as soon as it is as expected, and the last one when the other process must have noticed."""
    deadline = time.monotonic() + POLL_SECONDS + 1
    while not is_expected(body := answer()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return body


def test_a_track_that_one_process_stores_appears_in_the_answers_of_another(processes: tuple[Stack, Stack]) -> None:
    writer, reader = processes
    key = "Api-Key " + writer.create_service_key("recommend", "catalogue")
    listener = writer.prepare_listener("u2")
    slate, similar = (
        f"/recommend/user/{listener}/ml?limit=30&exclude_played=true",
        "/recommend/similar/external:new?limit=5",
    )
    assert len(reader.request(slate, auth=key).body["results"]) == 11
    assert reader.request(similar, auth=key).status == 404

    body = {"title": "New", "artist": {"name": "Newcomer", "external_id": "newcomer"}, "tags": TAGS[0]}
    stored = writer.request("/tracks/external:new", auth=key, body=body, method="PUT")
    assert stored.status == 201
    new = stored.body["track_id"]

    def sources() -> dict[int, str]:
        results = reader.request(slate, auth=key).body["results"]
        return {result["track_id"]: result["source"] for result in results}

    assert wait_for(sources, lambda found: new in found)[new] in {"personal", "early", "content"}
    answer = wait_for(lambda: reader.request(similar, auth=key).body, lambda body: body.get("strategy") == "similar")
    assert (answer["strategy"], answer["fallback_reason"]) == ("similar", None)
    assert all(int(result["external_id"][1:]) % 2 == 0 for result in answer["results"])
    seed = answer["results"][0]["track_id"]
    results = reader.request(f"/recommend/similar/{seed}?limit=20", auth=key).body["results"]
    assert {result["track_id"]: result["source"] for result in results}[new] == "similar"
