"""Plays that several services report: each counts once, in whatever order the reports arrive."""

import itertools
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access.models import User
from importers.records import ListenRecord
from interactions.events.services import record_events
from interactions.listenbrainz.services import IngestReport, match_waiting_listens, store_listens
from interactions.models import Interaction, UnmatchedListen
from interactions.play_reports import APP, LISTENBRAINZ, MAX_REPORTS
from tests.people import store_track
from tracks.models import Artist, Track

START = 1_700_000_007
LASTFM, SPOTIFY, LISTENBRAINZ_EXPORT = "import:lastfm", "import:spotify", "import:listenbrainz"
DURATION_S = 200


@pytest.fixture
def song(db: None) -> Track:
    return store_track(title="Low Tide", artist=Artist.objects.create(name="Lights"), duration_ms=DURATION_S * 1000)


def listen(at: int, **fields: Any) -> ListenRecord:
    return ListenRecord("Lights", "Low Tide", at, **fields)


def store(user: User, source: str, *listens: ListenRecord) -> IngestReport:
    return store_listens(user.pk, listens, source)


def send_play(user: User, track: Track, start: int, ms_played: int | None = DURATION_S * 1000, **fields: Any) -> Any:
    """Send a `play_end` of the app. Its time is the end of the play."""
    end = datetime.fromtimestamp(start + (DURATION_S if ms_played is None else ms_played / 1000), UTC)
    event = {"event_id": str(uuid.uuid4()), "type": "play_end", "track_id": track.pk, "occurred_at": end.isoformat()}
    return record_events([event | {"ms_played": ms_played} | fields], user.pk)


def stored_plays() -> list[tuple[str, int]]:
    rows = Interaction.objects.order_by("played_at").values_list("source", "played_at")
    return [(source, int(played_at.timestamp())) for source, played_at in rows]


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations([SPOTIFY, LASTFM, LISTENBRAINZ], 2)))
@pytest.mark.parametrize("gap", [0, 1, 20, 60])
def test_a_play_that_two_services_report_up_to_a_minute_apart_counts_once(
    song: Track, alice: User, first: str, second: str, gap: int
) -> None:
    assert store(alice, first, listen(START)) == IngestReport(added=1)
    assert store(alice, second, listen(START + gap)) == IngestReport(known=1)
    assert store(alice, first, listen(START)) == IngestReport(known=1)
    assert Interaction.objects.count() == 1


def test_an_export_with_minutes_only_is_compared_within_90_seconds(song: Track, alice: User) -> None:
    minute = START // 60 * 60
    store(alice, LASTFM, listen(minute))
    assert store(alice, SPOTIFY, listen(minute + 90)) == IngestReport(known=1)
    assert store(alice, LISTENBRAINZ, listen(minute - 61)) == IngestReport(added=1)
    assert store(alice, LASTFM, listen(minute + 37)) == IngestReport(known=1)  # another export, with seconds
    assert store(alice, SPOTIFY, listen(minute + 200)) == IngestReport(added=1)


def test_two_exports_of_one_service_with_minutes_and_seconds_are_compared(song: Track, alice: User) -> None:
    store(alice, SPOTIFY, listen(START, ms_played=200_000))
    assert store(alice, SPOTIFY, listen(START - 47, ms_played=200_000, time_precision=60)) == IngestReport(known=1)
    assert store(alice, SPOTIFY, listen(START - 47, ms_played=200_000, time_precision=60)) == IngestReport(known=1)
    assert stored_plays() == [(SPOTIFY, START)]


@pytest.mark.parametrize("gap", [DURATION_S, DURATION_S + 1, 3_600])
def test_a_second_play_that_begins_after_the_first_has_ended_counts(song: Track, alice: User, gap: int) -> None:
    for source in (SPOTIFY, LASTFM, LISTENBRAINZ, LISTENBRAINZ_EXPORT):
        store(alice, source, listen(START), listen(START + gap))
    assert [start for _, start in stored_plays()] == [START, START + gap]


def test_a_short_track_that_is_repeated_counts_each_time(alice: User) -> None:
    store_track(title="Low Tide", artist=Artist.objects.create(name="Lights"), duration_ms=40_000)
    store(alice, SPOTIFY, *(listen(START + 40 * n, ms_played=40_000) for n in range(5)))
    store(alice, LASTFM, *(listen(START + 40 * n + 2) for n in reversed(range(5))))
    store(alice, LISTENBRAINZ, listen(START + 200))  # the sixth time; Spotify's export ends before
    assert stored_plays() == [*((SPOTIFY, START + 40 * n) for n in range(5)), (LISTENBRAINZ, START + 200)]


def test_without_a_known_length_each_service_may_report_a_track_repeatedly(alice: User) -> None:
    store_track(title="Low Tide", artist=Artist.objects.create(name="Lights"))
    for source, offset in ((SPOTIFY, 0), (LASTFM, 1), (LISTENBRAINZ, 2)):
        for n in range(3):
            store(alice, source, listen(START + 50 * n + offset))
    assert Interaction.objects.count() == 3


def test_reports_of_one_service_are_of_different_plays_unless_they_have_the_same_time(song: Track, alice: User) -> None:
    report = store(alice, SPOTIFY, listen(START), listen(START + 1), listen(START), listen(START, device="phone"))
    assert (report.added, report.known) == (2, 2)


def test_two_scrobblers_of_one_listener_are_two_services(song: Track, alice: User) -> None:
    store(alice, LISTENBRAINZ, listen(START, device="Pano Scrobbler"))
    assert store(alice, LISTENBRAINZ, listen(START + 4, device="Web Scrobbler")) == IngestReport(known=1)
    assert store(alice, LISTENBRAINZ, listen(START + 8, device="Pano Scrobbler")) == IngestReport(added=1)


def test_a_play_lists_a_bounded_number_of_reports(song: Track, alice: User) -> None:
    for batch in range(2):
        store(alice, LISTENBRAINZ, *(listen(START, device=f"player {batch} {n}") for n in range(MAX_REPORTS)))
    assert len(Interaction.objects.get().reports) == MAX_REPORTS


@pytest.mark.parametrize(
    "title",
    [
        "Low Tide",
        "LOW TIDE",
        "Ｌｏｗ Tide",
        "Low\u00a0 Tide",
        "Lo\u00adw\u200b Ti\u2060de\ufeff",
        "\u202aLow Tide\u202c",
    ],
)
def test_names_that_match_the_same_track_make_one_play(song: Track, alice: User, title: str) -> None:
    store(alice, LISTENBRAINZ, listen(START))
    assert store(alice, LISTENBRAINZ, listen(START)._replace(title=title)) == IngestReport(known=1)


def test_a_play_that_was_broken_off_is_not_the_one_that_a_scrobbler_reports(song: Track, alice: User) -> None:
    store(alice, LASTFM, listen(START + 12))
    store(alice, SPOTIFY, listen(START, ms_played=5_000, end_reason="skipped"), listen(START + 10, ms_played=200_000))
    assert stored_plays() == [(SPOTIFY, START), (SPOTIFY, START + 10)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_report_that_says_most_is_stored_in_any_order(song: Track, alice: User, order: Sequence[int]) -> None:
    reports = [
        (LASTFM, listen(START // 60 * 60)),
        (LISTENBRAINZ, listen(START + 1)),
        (SPOTIFY, listen(START + 2, ms_played=190_000, end_reason="finished", device="phone")),
    ]
    added = [store(alice, *reports[n]).added for n in order]
    assert added == [1, 0, 0]
    row = Interaction.objects.get()
    assert (row.source, row.ms_played, row.end_reason, row.device) == (SPOTIFY, 190_000, "finished", "phone")
    assert (int(row.played_at.timestamp()), row.milestone, row.is_listen) == (START + 2, 95, True)
    assert sorted(map(tuple, row.reports)) == [
        ("import:lastfm by minute", START // 60 * 60),
        (SPOTIFY, START + 2),
        (LISTENBRAINZ, START + 1),
    ]


@pytest.mark.parametrize("is_app_first", [True, False])
@pytest.mark.parametrize("ms_played", [150_000, None])
def test_a_scrobble_of_a_play_of_the_app_is_the_same_play(
    song: Track, alice: User, is_app_first: bool, ms_played: int | None
) -> None:
    sent = [lambda: send_play(alice, song, START, ms_played), lambda: store(alice, LISTENBRAINZ, listen(START + 3))]
    for send in sent if is_app_first else reversed(sent):
        send()
    row = Interaction.objects.get()
    assert (row.source, row.ms_played) == (APP, ms_played)
    assert row.reports == [[APP, START], [LISTENBRAINZ, START + 3]]
    assert store(alice, LISTENBRAINZ, listen(START + 3)) == IngestReport(known=1)
    assert store(alice, LASTFM, listen(START + 5)) == IngestReport(known=1)
    assert Interaction.objects.get().pk == row.pk


@pytest.mark.parametrize("is_app_first", [True, False])
def test_a_scrobble_of_a_play_that_must_not_teach_does_not_teach_either(
    song: Track, alice: User, is_app_first: bool
) -> None:
    sent = [lambda: send_play(alice, song, START, learn=False), lambda: store(alice, LISTENBRAINZ, listen(START + 3))]
    for send in sent if is_app_first else reversed(sent):
        send()
    row = Interaction.objects.get()
    assert (row.learn, row.left_out, len(row.reports)) == (False, True, 2)


def test_every_play_of_the_app_counts_however_close(song: Track, alice: User) -> None:
    store(alice, LISTENBRAINZ, listen(START))
    receipts = [send_play(alice, song, START + n, 100_000) for n in (0, 0, 1, 30)]
    assert [receipt.accepted for receipt in receipts] == [1, 1, 1, 1]
    assert [source for source, _ in stored_plays()] == [APP] * 4


def test_a_play_of_the_app_absorbs_only_scrobbles_of_its_listener_track_and_time(
    song: Track, alice: User, bob: User
) -> None:
    other = store_track(title="High Tide", artist=song.artist, duration_ms=200_000)
    store(bob, LISTENBRAINZ, listen(START))
    store(alice, LISTENBRAINZ, listen(START + DURATION_S), listen(START + 1)._replace(title="High Tide"))
    assert send_play(alice, song, START).accepted == 1
    assert send_play(alice, other, START + 10_000).accepted == 1
    assert Interaction.objects.count() == 5


def test_a_skip_in_the_app_does_not_absorb_a_scrobble(song: Track, alice: User) -> None:
    store(alice, LISTENBRAINZ, listen(START + 8))
    send_play(alice, song, START, 5_000, end_reason="skipped")
    assert Interaction.objects.count() == 2


def test_a_repeated_event_keeps_the_scrobbles_that_it_absorbed(song: Track, alice: User) -> None:
    event = {"event_id": str(uuid.uuid4())}
    send_play(alice, song, START, **event)
    store(alice, LISTENBRAINZ, listen(START))
    assert send_play(alice, song, START, **event).duplicates == 1
    assert Interaction.objects.get().reports == [[APP, START], [LISTENBRAINZ, START]]


def test_waiting_listens_of_one_play_wait_once_and_become_one_play(alice: User) -> None:
    names = [("Lights", "Low Tide"), ("LIGHTS", "Low\u200b Tide"), ("Lights", "Lów Tide".replace("ó", "o\u0301"))]
    for n, (source, (artist, title)) in enumerate(itertools.product([LASTFM, LISTENBRAINZ], names)):
        report = store(alice, source, listen(START + n // 3)._replace(artist=artist, title=title))
        assert report == (IngestReport(known=1) if n else IngestReport(unmatched=1))
    waiting = UnmatchedListen.objects.get()
    assert sorted(map(tuple, waiting.reports)) == [(LASTFM, START), (LISTENBRAINZ, START + 1)]
    store_track(title="Low Tide", artist=Artist.objects.create(name="Lights"))
    assert match_waiting_listens() == 1
    assert not UnmatchedListen.objects.exists()
    assert store(alice, LASTFM, listen(START)) == IngestReport(known=1)
    assert Interaction.objects.get().reports is not None


def test_listens_of_one_batch_that_wait_are_counted_once(alice: User) -> None:
    brief = listen(START + 30, ms_played=5_000, end_reason="skipped")
    unnamed = listen(START)._replace(artist="!!!", title="???")  # nothing is left of these names when normalised
    batch = [listen(START), listen(START), brief, listen(START + 3_600, device="phone"), brief, unnamed, unnamed]
    assert store(alice, SPOTIFY, *batch) == IngestReport(known=3, unmatched=4)
    assert store(alice, SPOTIFY, *batch, listen(START + 7_200)) == IngestReport(known=7, unmatched=1)
    # A report that says more replaces the one that waits, which is not a new listen.
    assert store(alice, SPOTIFY, listen(START, ms_played=190_000)) == IngestReport(known=1)
    assert UnmatchedListen.objects.count() == 5


def test_one_batch_may_have_listens_of_every_kind(song: Track, alice: User) -> None:
    unknown = listen(START)._replace(title="High Tide")
    batch = [listen(START), listen(START), unknown, unknown, listen(START + 3_600)]
    assert store(alice, LASTFM, *batch) == IngestReport(added=2, known=2, unmatched=1)
    assert store(alice, LISTENBRAINZ, *batch) == IngestReport(known=5)
    assert (Interaction.objects.count(), UnmatchedListen.objects.count()) == (2, 1)


def test_a_waiting_listen_of_a_play_that_is_stored_already_adds_nothing(alice: User) -> None:
    store(alice, LASTFM, listen(START))
    song = store_track(title="Low Tide", artist=Artist.objects.create(name="Lights"))
    send_play(alice, song, START - 1)
    assert match_waiting_listens() == 0
    assert not UnmatchedListen.objects.exists()
    assert stored_plays() == [(APP, START - 1 + DURATION_S)]


def test_a_history_in_any_order_of_time_is_compared(song: Track, alice: User) -> None:
    starts = [START + 100_000 * n for n in range(250)]
    store(alice, SPOTIFY, *(listen(start) for start in starts))
    assert store(alice, LASTFM, *(listen(start + 1) for start in reversed(starts))) == IngestReport(known=250)


class Arrival(NamedTuple):
    source: str
    start: int
    ms_played: int | None = None


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[int, list[Arrival], list[Arrival]]:
    """Draw the number of real plays, and two orders in which their reports arrive, some of them twice."""
    plays = draw(st.integers(1, 3))
    start, reports = START + draw(st.integers(0, 120)), []
    for _ in range(plays):
        true_reports = [
            Arrival(LISTENBRAINZ, start + draw(st.integers(-20, 20))),
            Arrival(SPOTIFY, start + draw(st.integers(-20, 20)), 180_000),
            Arrival(LASTFM, start // 60 * 60),
            Arrival(LISTENBRAINZ_EXPORT, start),
            Arrival(APP, start + draw(st.integers(-20, 20)), 180_000),
        ]
        reports += draw(st.lists(st.sampled_from(true_reports), min_size=1, max_size=4, unique_by=lambda a: a.source))
        start += DURATION_S + draw(st.integers(0, 300))
    again = draw(
        st.lists(st.sampled_from([report for report in reports if report.source != APP] or reports), max_size=2)
    )
    again = [report for report in again if report.source != APP]
    orders = [draw(st.permutations([*reports, *again])) for _ in range(2)]
    return plays, orders[0], orders[1]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=arrivals(), batch_size=st.integers(1, 4))
def test_the_same_plays_are_stored_in_whatever_order_their_reports_arrive(
    song: Track, alice: User, drawn: tuple[int, list[Arrival], list[Arrival]], batch_size: int
) -> None:
    plays, one_order, other_order = drawn
    results = []
    for order, size in ((one_order, 1), (other_order, batch_size)):
        with transaction.atomic():
            deliver(alice, song, order, size)
            results.append(set(Interaction.objects.values_list("source", "played_at", "ms_played", "milestone")))
            assert Interaction.objects.count() == plays
            transaction.set_rollback(True)
    assert results[0] == results[1]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=arrivals(), batch_size=st.integers(1, 4), is_in_catalogue=st.booleans())
def test_each_listen_is_counted_as_new_or_known_in_whatever_order_it_arrives(
    alice: User, drawn: tuple[int, list[Arrival], list[Arrival]], batch_size: int, is_in_catalogue: bool
) -> None:
    _, *orders = drawn
    results = []
    for order, size in zip(orders, (1, batch_size), strict=True):
        listens = [arrival for arrival in order if arrival.source != APP]
        with transaction.atomic():
            track = Track()
            if is_in_catalogue:
                artist = Artist.objects.create(name="Lights")
                track = store_track(title="Low Tide", artist=artist, duration_ms=DURATION_S * 1000)
            table = Interaction if is_in_catalogue else UnmatchedListen
            report = deliver(alice, track, listens, size)
            stored = table.objects.count()
            results.append(report)
            new = {"added": stored} if is_in_catalogue else {"unmatched": stored}
            assert report == IngestReport(known=len(listens) - stored, **new)
            assert deliver(alice, track, reversed(listens), size) == IngestReport(known=len(listens))
            assert table.objects.count() == stored
            transaction.set_rollback(True)
    assert results[0] == results[1]


def deliver(user: User, track: Track, order: Iterable[Arrival], batch_size: int) -> IngestReport:
    """Send the reports in this order, those of one source that follow each other in batches.

    Returns:
        The sums of the numbers of those that are not of the app.
    """
    total = IngestReport()
    for source, group in itertools.groupby(order, key=lambda arrival: arrival.source):
        batch = list(group)
        for first in range(0, len(batch), batch_size):
            if source == APP:
                for arrival in batch[first : first + batch_size]:
                    send_play(user, track, arrival.start, arrival.ms_played)
            else:
                listens = [listen(a.start, ms_played=a.ms_played) for a in batch[first : first + batch_size]]
                report = store(user, source, *listens)
                total.added += report.added
                total.known += report.known
                total.unmatched += report.unmatched
    return total


@pytest.mark.django_db(transaction=True)
def test_imports_and_events_of_one_listener_at_once_count_each_play_once() -> None:
    alice = User.objects.create_user("alice")
    song = store_track(title="Low Tide", artist=Artist.objects.create(name="Lights"), duration_ms=200_000)
    starts = [START + 400 * n for n in range(40)]

    def run(work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            connection.close()

    def import_from(source: str, offset: int) -> Callable[[], Any]:
        return lambda: [store(alice, source, *(listen(s + offset) for s in starts[n::4])) for n in range(4)]

    works = [
        import_from(SPOTIFY, 0),
        import_from(LASTFM, 5),
        import_from(LISTENBRAINZ, 10),
        lambda: [send_play(alice, song, start + 2) for start in starts[:10]],
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, works))
    assert Interaction.objects.count() == 40
    assert Interaction.objects.filter(source=APP).count() == 10
