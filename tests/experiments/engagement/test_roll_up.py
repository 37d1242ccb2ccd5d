"""The roll-up counts days repeatedly, and deletes expired rows."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from access.models import User
from experiments.engagement.roll_up import roll_up
from experiments.models import Engagement, RollUp, Slate
from interactions.models import EventBatch, Exposure
from tests.experiments.factories import NOW, TODAY, create_exposure, create_play, create_slate, engagement_counts
from tests.people import CatalogueFactory


def test_the_next_run_counts_late_events_and_repeating_it_changes_nothing(
    alice: User, catalogue: CatalogueFactory
) -> None:
    tracks = [t.pk for t in catalogue.tracks(3)]
    shown = create_slate(alice, tracks, days=3)
    roll_up()
    before = engagement_counts()
    create_play(alice, tracks[1], shown, is_completed=True, ms_played=1000)
    for _ in range(2):
        assert roll_up().status == "done"
        assert engagement_counts() == before | {"plays": 1, "completions": 1, "listened_ms": 1000}
    assert RollUp.objects.count() == 3


def test_an_obsolete_group_is_deleted_and_a_day_without_its_slates_stays(
    alice: User, catalogue: CatalogueFactory, settings: Any
) -> None:
    settings.MUSICREC = settings.MUSICREC | {"SLATE_DAYS": 5}
    tracks = [t.pk for t in catalogue.tracks(2)]
    create_slate(alice, tracks, days=8)
    wrong = create_slate(alice, tracks, days=1, strategy="popular")
    create_slate(alice, tracks, days=1)
    create_exposure(alice, tracks[0], "impression", None, at=TODAY - timedelta(days=8))
    EventBatch.objects.create(principal="user:1", key="old", digest="", receipt={})
    EventBatch.objects.update(created_at=NOW - timedelta(days=3))
    assert "removed: 1 event batches, 1 exposures, 1 slates" in roll_up().detail
    assert (Slate.objects.count(), Exposure.objects.count(), EventBatch.objects.count()) == (2, 0, 0)
    assert Engagement.objects.count() == 3
    wrong.delete()
    roll_up()
    assert Engagement.objects.filter(strategy="popular").count() == 0
    assert Engagement.objects.count() == 2


def test_days_are_deleted_as_a_whole(alice: User, catalogue: CatalogueFactory, settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"SLATE_DAYS": 5}
    tracks, limit = [t.pk for t in catalogue.tracks(2)], timezone.now() - timedelta(days=5)
    create_slate(alice, tracks, days=7)
    for at in (limit - timedelta(seconds=1), limit + timedelta(hours=1)):
        Slate.objects.filter(pk=create_slate(alice, tracks).pk).update(shown_at=at)
    roll_up()
    before = list(Engagement.objects.order_by("day").values_list("day", "slates"))
    roll_up()
    assert list(Engagement.objects.order_by("day").values_list("day", "slates")) == before


def test_a_day_half_deleted_by_a_killed_run_keeps_its_count(
    alice: User, catalogue: CatalogueFactory, settings: Any
) -> None:
    tracks = [t.pk for t in catalogue.tracks(2)]
    first = create_slate(alice, tracks, days=7)
    create_slate(alice, tracks, days=7)
    roll_up()
    settings.MUSICREC = settings.MUSICREC | {"SLATE_DAYS": 5}
    first.delete()
    assert "removed: 1 slates" in roll_up().detail
    assert engagement_counts()["slates"] == 2


def test_a_failed_run_records_the_error(monkeypatch: pytest.MonkeyPatch, alice: User) -> None:
    def broken(day: Any) -> int:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("experiments.engagement.roll_up.count_day", broken)
    with pytest.raises(RuntimeError):
        roll_up()
    run = RollUp.objects.get()
    assert (run.status, run.detail) == ("failed", "RuntimeError: the disk is full")


def test_the_next_run_marks_a_killed_run_as_failed(db: None) -> None:
    killed = RollUp.objects.create()
    roll_up(days=1)
    killed.refresh_from_db()
    assert (killed.status, killed.detail) == ("failed", "the process was killed, or another run began")


def test_the_command_prints_what_was_counted(capsys: pytest.CaptureFixture[str], db: None) -> None:
    call_command("roll_up_engagement", "--days", "2")
    assert capsys.readouterr().out == "2 days, 0 groups; removed: nothing\n"
    with pytest.raises(CommandError, match="between 1 and 4000"):
        call_command("roll_up_engagement", "--days", "0")
