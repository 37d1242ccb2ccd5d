"""Some of the drills of `make drills`: no acknowledged event is lost, and the installation recovers."""

import os

import pytest

from benchmarks import drills

pytestmark = [
    pytest.mark.slow,
    pytest.mark.one_stack,  # they start PostgreSQL and Valkey of their own
    pytest.mark.skipif(os.environ.get("MUSICREC_TEST_STACK") != "production", reason="needs the wheels of the servers"),
]


@pytest.fixture(autouse=True)
def _no_servers_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name)


@pytest.mark.parametrize("drill", [drills.web_terminated, drills.model_flipped], ids=lambda drill: drill.__name__)
def test_nothing_acknowledged_is_lost_and_it_recovers(drill: drills.Drill) -> None:
    row, is_bad = drills.run_drill(drill)
    assert not is_bad, row


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_an_upload_to_a_full_disk_is_refused_and_leaves_nothing_behind() -> None:
    row, is_bad = drills.run_drill(drills.disk_full_while_uploading)
    assert not is_bad, row
    assert "upload: 507, 0 files left; afterwards 202" in row
