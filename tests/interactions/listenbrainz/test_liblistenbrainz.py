"""The client library of ListenBrainz, against a running server."""

import time
from collections.abc import Iterator

import liblistenbrainz
import pytest
from liblistenbrainz.errors import InvalidAuthTokenException, ListenBrainzAPIException

from tests.stack import Stack, new_stack

pytestmark = pytest.mark.slow
PLAYS = "user,track,title,artist,played_at\nann,t1,Fade,Kanye West,1700000000\n"
NOW = int(time.time())


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("listenbrainz")
    stack = new_stack(folder)
    (folder / "plays.csv").write_text(PLAYS)
    stack.manage("import_plays", str(folder / "plays.csv"), "--format", "csv")
    with stack.run_servers():
        yield stack


@pytest.fixture(scope="module")
def client(stack: Stack) -> liblistenbrainz.ListenBrainz:
    token = stack.manage("create_listen_token", str(stack.prepare_listener("ann"))).stdout.splitlines()[-1]
    client = liblistenbrainz.ListenBrainz(api_base_url=stack.base)
    client.set_auth_token(token)  # asks whether it is valid
    return client


def new_fade_listen(at: int | None) -> liblistenbrainz.Listen:
    return liblistenbrainz.Listen(track_name="Fade", artist_name="Kanye West", listened_at=at, tags=["house"])


def count_rows(stack: Stack) -> str:
    return stack.run_python(
        "from interactions.models import Interaction, UnmatchedListen as U; "
        "print(Interaction.objects.filter(source='listenbrainz').count(), U.objects.count())"
    )


def test_listens_are_submitted_one_by_one_and_in_batches(stack: Stack, client: liblistenbrainz.ListenBrainz) -> None:
    assert client.submit_single_listen(new_fade_listen(NOW)) == {"status": "ok"}
    assert count_rows(stack) == "1 0"
    unknown = liblistenbrainz.Listen(track_name="Unknown", artist_name="Nobody", listened_at=NOW - 500)
    assert client.submit_multiple_listens([new_fade_listen(NOW), new_fade_listen(NOW - 300), unknown]) == {
        "status": "ok"
    }
    assert count_rows(stack) == "2 1"


def test_listens_are_read_page_by_page_and_submitted_again_without_effect(
    stack: Stack, client: liblistenbrainz.ListenBrainz
) -> None:
    client.submit_multiple_listens([new_fade_listen(NOW - 5_000 - 500 * n) for n in range(4)])
    rows = count_rows(stack)
    latest = client.get_listens("ann", count=1, max_ts=NOW - 5_000)[0]
    assert (latest.listened_at, latest.track_name, latest.artist_name) == (NOW - 5_500, "Fade", "Kanye West")
    listens = client.get_listens("ann", count=1000)
    assert len(listens) == client._get("/1/user/ann/listen-count")["payload"]["count"] > 4
    assert client.submit_multiple_listens(listens) == {"status": "ok"}
    assert count_rows(stack) == rows
    with pytest.raises(ListenBrainzAPIException) as refused:
        client.get_listens("bob")
    assert refused.value.status_code == 404


def test_the_track_that_is_playing_is_shown(client: liblistenbrainz.ListenBrainz) -> None:
    assert client.get_playing_now("ann") is None
    assert client.submit_playing_now(new_fade_listen(None)) == {"status": "ok"}
    assert client.get_playing_now("ann").track_name == "Fade"


def test_feedback_for_an_unknown_recording_is_refused(client: liblistenbrainz.ListenBrainz) -> None:
    with pytest.raises(ListenBrainzAPIException) as refused:
        client.submit_user_feedback(1, "1d5fa3b5-6a8b-4cf5-b1bb-3f5b3b7e1f00")
    assert refused.value.status_code == 404


def test_an_unknown_token_is_refused(stack: Stack) -> None:
    stranger = liblistenbrainz.ListenBrainz(api_base_url=stack.base)
    with pytest.raises(InvalidAuthTokenException):
        stranger.set_auth_token("1d5fa3b5-6a8b-4cf5-b1bb-3f5b3b7e1f00")
    stranger.set_auth_token("1d5fa3b5-6a8b-4cf5-b1bb-3f5b3b7e1f00", check_validity=False)
    with pytest.raises(ListenBrainzAPIException) as refused:
        stranger.submit_single_listen(new_fade_listen(NOW))
    assert (refused.value.status_code, "token" in refused.value.message) == (401, True)


def test_the_client_reads_the_rate_limit_and_the_error(client: liblistenbrainz.ListenBrainz) -> None:
    with pytest.raises(ListenBrainzAPIException) as refused:
        client.submit_single_listen(new_fade_listen(1000))
    assert (refused.value.status_code, "2002" in refused.value.message) == (400, True)
    assert client.remaining_requests > 0
    assert client.ratelimit_reset_in >= 0
