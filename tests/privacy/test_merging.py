"""Merging the anonymous listener of a device into an account: once, and each play once."""

import itertools
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from access.devices import sign_in_device
from access.listen_tokens import create_listen_token
from access.models import Device, ListenToken, SignIn, User
from importers.records import ListenRecord
from interactions.events.services import record_events
from interactions.listenbrainz.services import store_listens
from interactions.models import ExclusionKind, Exposure, HistoryImport, Interaction, UnmatchedListen
from interactions.selectors import current_opinions
from interactions.taste.services import ExclusionTarget, add_exclusions
from interactions.training_data import iter_play_chunks
from privacy.erasure import request_erasure
from privacy.merging import MergeRefused, merge_device
from privacy.personal_data import personal_data_of, tables_with_data_of
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.listener_rows import create_rows_about
from tests.people import NOON, CatalogueFactory, store_track
from tracks.models import Artist, Track

DEVICE = "7b7a6a1e-9a34-4d5c-8a37-5e6a1f0c2b11"
START = 1_700_000_007
DURATION_S = 200
ZEROS = dict.fromkeys(("interactions", "duplicates", "exposures", "slates", "blocks", "waiting_listens", "imports"), 0)
# Tables whose rows about an anonymous listener are deleted: they are about its tokens or the moment, or computed.
DELETED = {
    *("playing_now", "mixes"),
    *("sign_ins", "user_features", "event_batches", "django_session", "django_admin_log"),
    *("access_user_groups", "access_user_user_permissions"),
}


@pytest.fixture
def device(db: None) -> User:
    """Return the anonymous listener of DEVICE."""
    return User.objects.get(pk=sign_in_device(DEVICE).user_id)


@pytest.fixture
def song(db: None) -> Track:
    return store_track(title="Low Tide", artist=Artist.objects.create(name="Lights"), duration_ms=DURATION_S * 1000)


def merge(api: APIClient, user_id: object = "me", device_id: str = DEVICE) -> Any:
    return api.post(f"/users/{user_id}/merge", {"device_id": device_id}, format="json")


def merged_numbers(response: Any) -> dict[str, int]:
    assert response.status_code == 200, response.content
    return {name: number for name, number in response.json().items() if name in ZEROS}


def make_event(track: Track, type: str = "play_end", at: datetime = NOON, **fields: Any) -> dict[str, Any]:
    event = {"event_id": str(uuid.uuid4()), "type": type, "track_id": track.pk, "occurred_at": at.isoformat()}
    return event | ({"ms_played": DURATION_S * 1000} if type == "play_end" else {}) | fields


def listen(at: int, **fields: Any) -> ListenRecord:
    return ListenRecord("Lights", "Low Tide", at, **fields)


def count_rows(user: User) -> dict[str, int]:
    return {m._meta.db_table: m._base_manager.filter(q).count() for m, q in personal_data_of(user.pk).items()}


# --- What is moved ---


def test_everything_moves_into_the_account_and_the_anonymous_listener_is_gone(
    device: User, alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    tokens = sign_in_device(DEVICE)
    create_rows_about(device, catalogue)
    HistoryImport.objects.update(status=HistoryImport.Status.DONE)
    api = as_listener(alice)
    own, rows = count_rows(alice), count_rows(device)
    expected = {table: own[table] + (0 if table in DELETED else number) for table, number in rows.items()}
    numbers = merged_numbers(merge(api))
    assert numbers == ZEROS | dict.fromkeys(
        ("interactions", "exposures", "slates", "blocks", "waiting_listens", "imports"), 1
    )
    assert count_rows(alice) == expected, "decide in privacy/merging.py what becomes of the rows of a new table"
    assert tables_with_data_of(device.pk) == []
    assert Device.objects.filter(user=alice, merged_at__isnull=False).count() == Device.objects.count() == 2
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.access}")
    assert_problem(client.get("/users/me"), 401)
    assert_problem(APIClient().post("/token/refresh", {"refresh": tokens.refresh}, format="json"), 401)


def test_a_second_merge_moves_nothing_and_says_when_the_first_was(
    device: User, alice: User, bob: User, song: Track, as_listener: Callable[[User], APIClient]
) -> None:
    record_events([make_event(song), make_event(song, "impression")], device.pk)
    api = as_listener(alice)
    first = merge(api)
    assert merged_numbers(first) == ZEROS | {"interactions": 1, "exposures": 1}
    second = merge(api)
    assert second.json() == first.json() | ZEROS
    assert second.json()["user_id"] == alice.pk
    assert_problem(merge(as_listener(bob)), 409)
    assert (Interaction.objects.filter(user=alice).count(), Interaction.objects.count()) == (1, 1)


def test_a_device_gets_another_listener_after_a_merge_who_can_be_merged_as_well(
    device: User, alice: User, bob: User, song: Track, as_listener: Callable[[User], APIClient]
) -> None:
    merge(as_listener(alice))
    again = sign_in_device(DEVICE).user_id
    assert again not in (device.pk, alice.pk)
    record_events([make_event(song)], again)
    assert merged_numbers(merge(as_listener(bob))) == ZEROS | {"interactions": 1}
    assert Interaction.objects.get().user_id == bob.pk


def test_an_event_that_both_have_counts_once(
    device: User, alice: User, song: Track, as_listener: Callable[[User], APIClient]
) -> None:
    """The phone sends a batch again with the token of the account, because the first answer was lost."""
    batch = [make_event(song), make_event(song, "like"), make_event(song, "impression")]
    record_events(batch, device.pk)
    record_events(batch, alice.pk)
    assert merged_numbers(merge(as_listener(alice))) == ZEROS | {"duplicates": 2}
    assert (Interaction.objects.count(), Exposure.objects.count()) == (2, 1)


@pytest.mark.parametrize("sources", list(itertools.permutations(["api", "listenbrainz", "import:spotify"], 2)), ids=str)
@pytest.mark.parametrize("gap", [0, 20, 60])
def test_a_play_that_both_have_from_different_services_counts_once(
    device: User, alice: User, song: Track, as_listener: Callable[[User], APIClient], sources: Any, gap: int
) -> None:
    for user, source, start in ((device, sources[0], START), (alice, sources[1], START + gap)):
        if source == "api":
            end = datetime.fromtimestamp(start + DURATION_S, UTC)
            record_events([make_event(song, at=end)], user.pk)
        else:
            store_listens(user.pk, [listen(start)], source)
    assert merged_numbers(merge(as_listener(alice))) == ZEROS | {"duplicates": 1}
    [play] = Interaction.objects.all()
    assert play.user_id == alice.pk
    if "api" in sources:
        assert play.source == "api"
    # The same report again is recognised as well, although its id is derived from the listener.
    for source, start in ((sources[0], START), (sources[1], START + gap)):
        if source != "api":
            assert store_listens(alice.pk, [listen(start)], source).added == 0


def test_plays_at_different_times_all_count(
    device: User, alice: User, song: Track, as_listener: Callable[[User], APIClient]
) -> None:
    for number in range(4):
        store_listens((device if number % 2 else alice).pk, [listen(START + 300 * number)], "listenbrainz")
    assert merged_numbers(merge(as_listener(alice))) == ZEROS | {"interactions": 2}
    assert Interaction.objects.filter(user=alice).count() == 4


def test_a_waiting_listen_that_both_have_waits_once(
    device: User, alice: User, as_listener: Callable[[User], APIClient]
) -> None:
    store_listens(device.pk, [listen(START), listen(START + 400)], "listenbrainz")
    store_listens(alice.pk, [listen(START + 5)], "import:spotify")
    assert merged_numbers(merge(as_listener(alice))) == ZEROS | {"waiting_listens": 1}
    assert list(UnmatchedListen.objects.values_list("user", flat=True)) == [alice.pk, alice.pk]


@pytest.mark.parametrize(("device_at", "expected"), [(1, "dislike"), (-1, "like")])
def test_of_two_opinions_the_newer_one_counts(
    device: User, alice: User, song: Track, as_listener: Callable[[User], APIClient], device_at: int, expected: str
) -> None:
    record_events([make_event(song, "like")], alice.pk)
    record_events([make_event(song, "dislike", NOON + timedelta(days=device_at))], device.pk)
    merge(as_listener(alice))
    assert current_opinions(alice.pk) == {song.pk: expected}


def test_exclusions_of_both_apply_to_the_plays_of_both(
    device: User, alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    ours, theirs, neither = catalogue.tracks(3)
    for user, track in ((alice, ours), (device, theirs)):
        catalogue.play(user, ours, theirs, neither)
        add_exclusions(user.pk, [ExclusionTarget(ExclusionKind.TRACK, track.pk)])
        add_exclusions(user.pk, [ExclusionTarget(ExclusionKind.SESSION, name="s1")])
    merged_numbers(merge(as_listener(alice)))
    rows = alice.interactions.order_by("pk").values_list("track", "left_out")
    assert sorted(rows) == [(ours.pk, True)] * 2 + [(theirs.pk, True)] * 2 + [(neither.pk, False)] * 2
    assert alice.exclusions.count() == 3


def test_of_two_blocks_the_longer_one_counts(
    device: User, alice: User, as_listener: Callable[[User], APIClient]
) -> None:
    for kind, ours, theirs in (("artist", NOON, None), ("album", None, NOON), ("genre", NOON, NOON)):
        alice.blocks.create(kind=kind, target_id=1, until=ours)
        device.blocks.create(kind=kind, target_id=1, until=theirs)
    device.blocks.create(kind="track", target_id=2)
    assert merged_numbers(merge(as_listener(alice))) == ZEROS | {"blocks": 1}
    assert dict(alice.blocks.values_list("kind", "until")) == {
        "artist": None,
        "album": None,
        "genre": NOON,
        "track": None,
    }


def test_a_client_that_copies_a_history_continues_where_nothing_is_skipped(
    device: User, alice: User, as_listener: Callable[[User], APIClient]
) -> None:
    earlier, later = NOON, NOON + timedelta(days=1)
    for user, times in ((alice, {"a": earlier, "b": later}), (device, {"a": later, "b": earlier, "c": later})):
        for service, listened_at in times.items():
            user.latest_imports.create(service=service, listened_at=listened_at)
    merge(as_listener(alice))
    assert dict(alice.latest_imports.values_list("service", "listened_at")) == {
        "a": earlier,
        "b": earlier,
        "c": later,
    }


def test_a_scrobbler_of_the_device_continues_for_the_account(
    device: User, alice: User, as_listener: Callable[[User], APIClient]
) -> None:
    token = create_listen_token(device.pk)
    merge(as_listener(alice))
    assert ListenToken.objects.get().user_id == alice.pk
    scrobbler = APIClient()
    scrobbler.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert scrobbler.get("/1/validate-token").json()["valid"] is True


def test_the_next_answer_and_the_next_model_know_what_was_moved(
    device: User, alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    _, tracks = catalogue.checkerboard()
    run_training("test")
    api = as_listener(alice)
    assert api.get("/recommend/user/me/ml").json()["strategy"] == "popular"
    catalogue.play(device, *tracks[0:12:2])
    merge(api)
    answer = api.get("/recommend/user/me/ml?limit=3").json()
    assert answer["strategy"] == "personal"
    trained = {int(user) for chunk in iter_play_chunks() for user in chunk.user}
    assert alice.pk in trained
    assert device.pk not in trained


def test_a_back_end_merges_for_any_listener(
    device: User, alice: User, song: Track, as_service_with: Callable[..., APIClient]
) -> None:
    User.objects.filter(pk=alice.pk).update(external_id="x:alice")
    record_events([make_event(song)], device.pk)
    service = as_service_with("listeners")
    assert merged_numbers(merge(service, "external:x:alice")) == ZEROS | {"interactions": 1}
    assert merged_numbers(merge(service, alice.pk)) == ZEROS


# --- What is refused ---


def test_what_cannot_be_merged_is_refused_and_nothing_changes(
    device: User, alice: User, bob: User, song: Track, as_listener: Callable[[User], APIClient], service: APIClient
) -> None:
    record_events([make_event(song)], device.pk)
    api = as_listener(alice)
    assert_problem(merge(api, device_id=str(uuid.uuid4())), 404)
    assert_problem(merge(api, device_id="short"), 400)
    assert_problem(merge(api, bob.pk), 404)
    assert_problem(merge(service, 10**9), 404)
    assert_problem(merge(service, 10**30), 404)
    assert "sign in to an account" in assert_problem(merge(as_listener(device)), 409)["detail"]
    job = HistoryImport.objects.create(user=device, format="lastfm")
    assert "import of the device's listener is not finished" in assert_problem(merge(api), 409)["detail"]
    job.delete()
    for user, name in ((alice, "the account's consent"), (device, "the consent of the device's listener")):
        User.objects.filter(pk=user.pk).update(consent=False)
        assert f"{name} is off" in assert_problem(merge(api), 409)["detail"]
        User.objects.filter(pk=user.pk).update(consent=True)
    assert Interaction.objects.get().user_id == device.pk
    assert Device.objects.get().merged_at is None
    request_erasure(device.pk)
    assert_problem(merge(api), 404)
    assert Interaction.objects.get().user_id == device.pk


def test_a_closed_account_is_not_merged_into(device: User, alice: User, service: APIClient) -> None:
    request_erasure(alice.pk)
    assert_problem(merge(service, alice.pk), 404)
    assert User.objects.filter(pk=device.pk).exists()


def test_erasing_the_account_forgets_the_device(
    device: User, alice: User, as_listener: Callable[[User], APIClient], no_erasure_process: None
) -> None:
    merge(as_listener(alice))
    alice.delete()
    assert not Device.objects.exists()


def test_a_device_whose_listener_is_being_erased_gets_another_one(device: User) -> None:
    request_erasure(device.pk)
    assert sign_in_device(DEVICE).user_id != device.pk


# --- At the same moment ---


def run_at_once(*calls: Callable[[], Any]) -> list[Any]:
    def call_and_disconnect(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call_and_disconnect, calls))


@pytest.mark.django_db(transaction=True)
def test_of_merges_at_the_same_moment_one_moves(device: User, alice: User, bob: User, song: Track) -> None:
    record_events([make_event(song, at=NOON + timedelta(hours=n)) for n in range(20)], device.pk)
    merges = [lambda user_id=user.pk: merge_device(user_id, DEVICE) for user in (alice, alice, bob, bob)]
    results = run_at_once(*merges)
    refused = [result for result in results if isinstance(result, MergeRefused)]
    numbers = sorted(result.interactions for result in results if not isinstance(result, Exception))
    assert (len(refused), numbers) == (2, [0, 20])
    assert len(set(Interaction.objects.values_list("user", flat=True))) == 1
    assert Interaction.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_events_that_arrive_during_a_merge_are_stored_for_the_account_or_refused(
    device: User, alice: User, song: Track
) -> None:
    batches = [
        [make_event(song, type, NOON + timedelta(hours=n)) for type in ("play_end", "impression", "like")]
        for n in range(30)
    ]
    sends = [lambda batch=batch: record_events(batch, device.pk) for batch in batches]
    *receipts, report = run_at_once(*sends[:15], *sends[15:], lambda: merge_device(alice.pk, DEVICE))
    accepted = sum(receipt.accepted for receipt in receipts)
    rejected = sum(len(receipt.rejected) for receipt in receipts)
    assert accepted + rejected == 90
    stored = [*Interaction.objects.values_list("user", flat=True), *Exposure.objects.values_list("user", flat=True)]
    assert stored == [alice.pk] * accepted
    assert report.interactions + report.exposures == accepted
    assert tables_with_data_of(device.pk) == []


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_is_sent_again_for_the_account_during_a_merge_counts_once(
    device: User, alice: User, song: Track
) -> None:
    batches = [[make_event(song, at=NOON + timedelta(hours=10 * b + n)) for n in range(10)] for b in range(12)]
    for batch in batches:
        record_events(batch, device.pk)
    sends = [lambda batch=batch: record_events(batch, alice.pk) for batch in reversed(batches)]
    results = run_at_once(*sends[:6], lambda: merge_device(alice.pk, DEVICE), *sends[6:])
    assert not [result for result in results if isinstance(result, Exception)]
    assert Interaction.objects.filter(user=alice).count() == Interaction.objects.count() == 120


@pytest.mark.django_db(transaction=True)
def test_a_sign_in_of_the_device_during_a_merge_gets_a_listener_who_exists(
    device: User, alice: User, song: Track
) -> None:
    record_events([make_event(song)], device.pk)
    sign_ins = [lambda: sign_in_device(DEVICE)] * 5
    results = run_at_once(*sign_ins, lambda: merge_device(alice.pk, DEVICE), *sign_ins)
    assert not [result for result in results if isinstance(result, Exception)]
    assert Interaction.objects.get().user_id == alice.pk
    owners = set(SignIn.objects.values_list("user", flat=True))
    assert owners <= set(User.objects.values_list("pk", flat=True)) - {device.pk}
