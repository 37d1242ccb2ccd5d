"""The admin's pages about model quality, on made-up reports and on a version that was really trained."""

import html
import json
import re
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.test import Client

from access.models import User
from engine.bundle.model_bundle import catalogue_bundle
from recommendations import selectors
from recommendations.models import ModelArtifact, TrainingRun
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service, version_store
from tests.people import CatalogueFactory
from tracks.models import Tag, TrackTag

LIST = "/admin/recommendations/modelartifact/"
QUALITY = f"{LIST}quality/"
FIRST_NIGHT = datetime(2026, 3, 1, 3, tzinfo=UTC)
OLD_REPORT = {"split": "time", "listeners": 40, "k": 10, "model": {"ndcg@10": 0.21}, "most_popular": {"ndcg@10": 0.07}}
NO_REPORT = {"split": "time", "listeners": 0}


def interval(mean: float, width: float = 0.01) -> dict[str, float]:
    return {"mean": round(mean, 5), "low": round(mean - width, 5), "high": round(mean + width, 5)}


def numbers(ndcg: float) -> dict[str, Any]:
    """All metrics of a model, by its NDCG@10."""
    found = {"personalised": interval(min(1, 2.4 * ndcg), 0.02)}
    for k in (5, 10, 20):
        grown = ndcg * (k / 10) ** 0.15
        found |= {f"{name}@{k}": interval(grown * f, 0.012 * f) for name, f in ACCURACY.items()}
        beyond = {"coverage": 1.6 * ndcg, "gini": 1 - 1.2 * ndcg, "diversity": 0.9 - ndcg, "novelty": 9 - 8 * ndcg}
        found |= {f"{name}@{k}": interval(value) for name, value in beyond.items()}
        found[f"popularity@{k}"] = interval(90 - 90 * ndcg)
    return found


ACCURACY = {"ndcg": 1.0, "recall": 0.8, "precision": 0.7, "map": 0.5, "mrr": 1.4, "hit_rate": 2.3}
SEGMENTS = {"cold": (210, 0.5), "light": (795, 0.9), "heavy": (795, 1.15), "head": (1750, 1.2), "tail": (1310, 0.45)}


def judged(ndcg: float) -> dict[str, Any]:
    segments = {n: {"listeners": size, "metrics": numbers(ndcg * f)} for n, (size, f) in SEGMENTS.items()}
    return {"metrics": numbers(ndcg), "segments": segments}


def report(ndcg: float, before: float | None = None, in_service: str = "", split: str = "time") -> dict[str, Any]:
    """Of a version with this NDCG@10; before: that of the version in service on the same plays."""
    models = {"model": judged(ndcg), "most_popular": judged(0.09)}
    differences = {"most_popular": {"ndcg@10": interval(ndcg - 0.09)}}
    if before is not None:
        models["in_service"] = judged(before)
        keys = [f"{name}@{k}" for k in (5, 10, 20) for name in ("ndcg", "recall")]
        differences["in_service"] = {key: interval(ndcg - before, 0.006) for key in keys}
    about = {"split": split, "holdout": 0.2, "algorithm": "als", "listeners": 1800, "tracks": 5000, "ks": [5, 10, 20]}
    return about | {"models": models, "differences": differences} | ({"in_service": in_service} if in_service else {})


def version(number: int, found: dict[str, Any], *, gate: str = "passed", **fields: Any) -> ModelArtifact:
    """The row of the version of a night, and that of the run that trained it."""
    at, plays = FIRST_NIGHT + timedelta(days=number), 120_000 + 2_500 * number
    manifest = {
        "report": found,
        "config": {"factors": 64 if number < 14 else 128, "iterations": 15, "parts": [{"base": 1.0, "bonus": 3.0}]},
        "plays": plays,
        "pairs": plays // 2,
        "plays_from": int(at.timestamp()) - 90 * 86_400,
        "plays_to": int(at.timestamp()) - 3_600,
        "seconds": {"judge": 30 + number, "fit": 40 + 1.3 * number},
        "libraries": {"numpy": "2.4.6", "implicit": "0.7.3"},
        "fallback": None,
    }
    sizes = {"items": 5000 + 20 * number, "users": 1800 + 15 * number, "plays": plays, "size_bytes": 21_000_000}
    columns = {"algorithm": "als", "fingerprint": "0" * 32, "gate": gate, "manifest": manifest} | sizes | fields
    artifact = ModelArtifact.objects.create(version=f"{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}", **columns)
    ModelArtifact.objects.filter(pk=artifact.pk).update(created_at=at)
    status = "published" if gate == "passed" else "held_back"
    timed = {"read": 4.2, "train": 70 + 2.3 * number, "write": 0.4}
    ended, memory = at + timedelta(seconds=85 + 3 * number), 400_000_000 + 6_000_000 * number
    run = TrainingRun(artifact=artifact, trigger="schedule", status=status, seconds=timed, finished_at=ended)
    run.peak_memory_bytes = memory
    run.save()
    TrainingRun.objects.filter(pk=run.pk).update(started_at=at)
    return artifact


def write_files(artifact: ModelArtifact, track_ids: list[int], factors: int = 8, tastes: int = 8) -> None:
    """A bundle for the version: tracks of the same taste point the same way, the first are the most popular."""
    random, tracks = np.random.default_rng(3), len(track_ids)
    middles = random.normal(size=(tastes, factors))
    placed = middles[np.arange(tracks) % tastes] + random.normal(scale=0.55, size=(tracks, factors))
    listeners = np.floor(200 / np.arange(1, tracks + 1) ** 0.6)
    bundle = replace(
        catalogue_bundle(track_ids, dict(zip(track_ids, listeners.tolist(), strict=True))),
        version=artifact.version,
        algorithm="als",
        item_factors=placed.astype(np.float32),
        item_norms=np.linalg.norm(placed, axis=1).astype(np.float32),
        gramian=placed.T @ placed,
        user_factors=np.zeros((0, factors), np.float32),
    )
    version_store().write(bundle, {"report": artifact.manifest["report"]})


def put_into_service(artifact: ModelArtifact) -> None:
    version_store().publish(artifact.version)
    ModelArtifact.objects.filter(pk=artifact.pk).update(published_at=FIRST_NIGHT)


@pytest.fixture
def operator(db: None) -> Client:
    """A superuser, signed in."""
    return signed_in(User.objects.create_superuser("operator"))


@pytest.fixture
def onlooker(db: None) -> Client:
    """Staff who may look at versions and at nothing else."""
    user = User.objects.create_user("onlooker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_modelartifact"))
    return signed_in(user)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page_of(artifact: ModelArtifact, rest: str = "change/") -> str:
    return f"{LIST}{artifact.pk}/{rest}"


def read(client: Client, path: str) -> str:
    """The text of a page, its tags and the space around them left out."""
    response = client.get(path)
    assert response.status_code == 200, response.content
    text = re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]+>", "|", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"[\s|]*\|[\s|]*", "|", html.unescape(text))


def chart_configs(client: Client, path: str = QUALITY) -> list[dict[str, Any]]:
    """Return what the page gives to Chart.js, a configuration for each chart."""
    page = client.get(path).content.decode()
    return [json.loads(html.unescape(config)) for config in re.findall(r'data-chart="(.*?)"', page)]


def charted_values(client: Client, path: str = QUALITY) -> dict[str, list[float | None]]:
    """Return the values of all lines by label, and the bounds of the interval of the first line."""
    charts = chart_configs(client, path)
    first = charts[0]["series"][0]
    values = {series["label"]: series["values"] for chart in charts for series in chart["series"]}
    return values | {"quality": first["values"], "low": first["low"], "high": first["high"]}


class TestQualityOverTime:
    def test_each_version_is_a_point_and_a_row_with_its_standing(self, operator: Client) -> None:
        before, serving = version(1, report(0.2), published_at=FIRST_NIGHT), version(2, report(0.25))
        held_back, waiting = version(3, report(0.1), gate="held_back"), version(4, report(0.26))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        for chart in chart_configs(operator):
            tooltips = [(version, text.partition(" ·")[0]) for version, text, *_ in chart["tooltips"]]
            assert tooltips == [
                (before.version, "Published before"),
                (serving.version, "In service"),
                (held_back.version, "Held back"),
                (waiting.version, "Not published"),
            ]
            assert chart["links"] == [page_of(v) for v in (before, serving, held_back, waiting)]
            assert [point[0] for point in chart["series"][0]["points"]] == ["circle", "circle", "crossRot", "circle"]
        row = f"|{serving.version}|2026-03-03|In service|0.2500|0.2380 to 0.2620|0.0900|125,000|"
        assert row in read(operator, QUALITY)

    def test_it_draws_quality_data_time_and_memory(self, operator: Client) -> None:
        version(2, report(0.25))
        assert charted_values(operator) == {
            "quality": [0.25],
            "low": [0.238],
            "high": [0.262],
            "NDCG@10": [0.25],
            "Most popular": [0.09],
            "Plays": [125_000],
            "Listener–track pairs": [62_500],
            "Listeners": [1830],
            "Tracks": [5040],
            "Whole run": [91.0],
            "Training": [74.6],
            "Peak memory of the run": [412_000_000],
        }

    def test_another_metric_may_be_asked_for(self, operator: Client) -> None:
        version(1, report(0.25))
        assert "|Coverage@10|95 % interval|" in read(operator, f"{QUALITY}?metric=coverage@10")
        assert charted_values(operator, f"{QUALITY}?metric=coverage@10")["quality"] == [0.4]
        assert charted_values(operator, f"{QUALITY}?metric=nonsense")["quality"] == [0.25]

    def test_old_reports_have_no_interval_and_missing_ones_no_point(self, operator: Client) -> None:
        version(1, OLD_REPORT)
        version(2, NO_REPORT)
        values = charted_values(operator)
        assert (values["quality"], values["low"], values["Most popular"]) == ([0.21, None], [None, None], [0.07, None])
        assert values["Plays"][1] == 125_000

    def test_a_run_that_found_nothing_new_is_not_the_one_that_trained(self, operator: Client) -> None:
        made = version(1, report(0.2))
        TrainingRun.objects.create(artifact=made, trigger="schedule", status="unchanged", finished_at=FIRST_NIGHT)
        assert charted_values(operator)["Whole run"] == [88.0]

    def test_without_versions_it_says_how_to_get_one(self, operator: Client) -> None:
        assert "No version has been trained yet" in read(operator, QUALITY)

    def test_the_list_of_versions_leads_there(self, operator: Client) -> None:
        version(1, report(0.2))
        assert QUALITY in operator.get(LIST).content.decode()
        assert "|0.2000|" in read(operator, LIST)


class TestVersionPage:
    def test_it_is_compared_with_the_version_in_service_on_the_same_plays(self, operator: Client) -> None:
        serving = version(1, report(0.2))
        better = version(2, report(0.25, before=0.21, in_service=serving.version))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        page = read(operator, page_of(better))
        assert "evaluated on the same listeners and the same held-out plays" in page
        assert "|NDCG|Whether the held-out tracks are recommended, and how early in the list|0.2500|" in page
        assert "|0.2100|▲|+0.0400|+19.0%|+0.0340 to +0.0460|0.0900|" in page

    @pytest.mark.parametrize(("before", "verdict"), [(0.3, "▼|-0.0500"), (0.251, "≈|-0.0010")])
    def test_it_says_whether_a_difference_is_clear(self, operator: Client, before: float, verdict: str) -> None:
        serving = version(1, report(0.2))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        assert verdict in read(operator, page_of(version(2, report(0.25, before, serving.version))))

    def test_reports_of_different_nights_are_compared_with_a_warning(self, operator: Client) -> None:
        other = version(1, report(0.2))
        page = read(operator, page_of(version(2, report(0.25)), f"change/?with={other.version}"))
        assert "A small difference may be one between the plays" in page
        assert "|0.2000|+0.0500|+25.0%|" in page

    def test_reports_on_different_splits_must_not_be_compared(self, operator: Client) -> None:
        other = version(1, report(0.2, split="ratio"))
        page = read(operator, page_of(version(2, report(0.25)), f"change/?with={other.version}"))
        assert "their numbers must not be compared" in page

    def test_the_version_in_service_is_beside_the_one_it_was_judged_beside(self, operator: Client) -> None:
        before = version(1, report(0.2))
        serving = version(2, report(0.25, before=0.21, in_service=before.version))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        page = read(operator, page_of(serving))
        assert f"|{before.version}|Difference|" in page
        assert "|Put into service|" not in page

    def test_segments_are_summed_up_and_each_has_its_tables(self, operator: Client) -> None:
        made = version(1, report(0.2))
        page = read(operator, page_of(made))
        assert "|Cold listeners|almost no plays yet|210|0.1000|" in page
        assert "|All metrics: All listeners|" in page
        page = read(operator, page_of(made, "change/?segment=tail"))
        assert "|All metrics: Tail of the catalogue|" in page
        assert "|Recall|Share of the held-out tracks that is recommended|0.0720|" in page

    def test_differing_settings_stand_apart_from_the_same_ones(self, operator: Client) -> None:
        few, many = version(1, report(0.2)), version(20, report(0.25))
        page = read(operator, page_of(many, f"change/?with={few.version}"))
        assert f"|{few.version}|factors|128|64|3 the same in both|iterations|15|parts.0.base|1.0|" in page

    def test_it_says_what_the_version_was_made_from_and_what_it_took(self, operator: Client) -> None:
        few, many = version(0, report(0.2)), version(20, report(0.25))
        page = read(operator, page_of(many, f"change/?with={few.version}"))
        assert "|Plays from|2025-12-21 to 2026-03-21|2025-12-01 to 2026-03-01|" in page
        assert "|Plays|170,000|120,000|+41.7%|" in page
        assert "|Evaluation, fit|50.0 s, 1 min 6 s|30.0 s, 40.0 s|" in page
        assert "|Whole run|2 min 25 s|1 min 25 s|+70.6%|" in page
        assert "|Peak memory|520 MB|400 MB|+30.0%|" in page

    def test_with_no_version_in_service_it_stands_alone(self, operator: Client) -> None:
        page = read(operator, page_of(version(1, report(0.2))))
        assert "There is no other version in service to compare with." in page
        assert "|4 settings|" in page

    @pytest.mark.parametrize("found", [OLD_REPORT, NO_REPORT])
    def test_it_shows_what_an_old_report_has(self, operator: Client, found: dict[str, Any]) -> None:
        serving = version(1, report(0.25))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        page = read(operator, page_of(version(2, found)))
        assert ("|NDCG|" in page) == (found is OLD_REPORT)
        assert ("Not evaluated: " in page) == (found is NO_REPORT)

    @pytest.mark.parametrize(
        "manifest",
        [
            {},
            {"report": None, "config": None, "seconds": None, "plays_from": "monday", "libraries": []},
            {"report": {"models": []}},
            {"report": {"models": {"model": None}, "differences": []}},
            {"report": {"models": {"model": {"metrics": {"ndcg@10": "?", "new@10": 1, "ndcg@x": {}}, "segments": []}}}},
        ],
    )
    def test_what_it_does_not_understand_is_left_out(self, operator: Client, manifest: dict[str, Any]) -> None:
        made = version(1, NO_REPORT)
        ModelArtifact.objects.filter(pk=made.pk).update(manifest=manifest)
        for path in (LIST, QUALITY, page_of(made), page_of(made, "map/")):
            assert read(operator, path)

    def test_a_number_that_does_not_exist_leads_back_to_the_list(self, operator: Client) -> None:
        assert operator.get(f"{LIST}999/change/").status_code == 302
        assert operator.get(f"{LIST}nonsense/map/").status_code == 404


class TestPutIntoService:
    @pytest.fixture
    def passed(self, db: None) -> ModelArtifact:
        made = version(1, report(0.25))
        write_files(made, [1, 2, 3])
        return made

    @pytest.fixture
    def held_back(self, db: None) -> ModelArtifact:
        made = version(2, report(0.1), gate="held_back", gate_reason="NDCG@10 0.1000 is worse")
        write_files(made, [1, 2, 3])
        return made

    def test_a_button_puts_a_version_into_service(self, operator: Client, passed: ModelArtifact) -> None:
        assert "|Put into service|" in read(operator, page_of(passed))
        response = operator.post(page_of(passed, "put-into-service"), follow=True)
        assert f"Version {passed.version} is in service." in response.content.decode()
        assert version_in_service() == passed.version
        assert LogEntry.objects.get().get_change_message() == "Put into service."

    @pytest.mark.parametrize("from_the_list", [False, True])
    def test_overriding_the_gate_is_asked_about_first(
        self, operator: Client, held_back: ModelArtifact, from_the_list: bool
    ) -> None:
        form = {"action": "put_into_service", "_selected_action": held_back.pk} if from_the_list else {}
        asked = operator.post(LIST if from_the_list else page_of(held_back, "put-into-service"), form)
        assert "overriding the gate?" in asked.content.decode()
        assert held_back.gate_reason in asked.content.decode()
        assert version_in_service() is None
        operator.post(page_of(held_back, "put-into-service"), {"confirmed": "yes"})
        assert version_in_service() == held_back.version
        assert LogEntry.objects.get().get_change_message() == "Put into service, overriding the gate."
        assert "|In service, the gate overridden|" in read(operator, page_of(held_back))

    def test_the_list_puts_a_version_into_service_too(self, operator: Client, passed: ModelArtifact) -> None:
        operator.post(LIST, {"action": "put_into_service", "_selected_action": passed.pk})
        assert version_in_service() == passed.version

    def test_without_its_files_a_version_cannot_serve(self, operator: Client) -> None:
        pruned = version(1, report(0.2), pruned_at=FIRST_NIGHT)
        page = read(operator, page_of(pruned))
        assert "its files have been removed" in page
        assert "|Put into service|" not in page
        response = operator.post(page_of(pruned, "put-into-service"), follow=True)
        assert "its files do not exist" in response.content.decode()
        assert not LogEntry.objects.exists()

    def test_it_takes_a_superuser_and_a_post(self, operator: Client, onlooker: Client, passed: ModelArtifact) -> None:
        assert "|Put into service|" not in read(onlooker, page_of(passed))
        response = onlooker.post(page_of(passed, "put-into-service"), follow=True)
        assert "Only a superuser may do this." in response.content.decode()
        assert operator.get(page_of(passed, "put-into-service")).status_code == 405
        assert version_in_service() is None


class TestWhoMayLook:
    PAGES = ("quality/", "{}/change/", "{}/map/", "{}/map.json")

    @pytest.fixture
    def paths(self, db: None) -> list[str]:
        made = version(1, report(0.2))
        write_files(made, [1, 2, 3])
        return [LIST + page.format(made.pk) for page in self.PAGES]

    def test_staff_who_may_view_versions(self, onlooker: Client, paths: list[str]) -> None:
        assert [onlooker.get(path).status_code for path in paths] == [200] * 4

    def test_not_other_staff(self, paths: list[str]) -> None:
        other = signed_in(User.objects.create_user("other", is_staff=True))
        assert [other.get(path).status_code for path in paths] == [403] * 4

    def test_nobody_else(self, paths: list[str], alice: User) -> None:
        for client in (Client(), signed_in(alice)):
            assert all(client.get(path)["Location"].startswith("/admin/login/") for path in paths)


class TestMapOfTracks:
    def test_a_trained_version_has_a_map_of_its_tracks(self, operator: Client, catalogue: CatalogueFactory) -> None:
        _, tracks = catalogue.checkerboard()
        assert run_training("test").status == "Published"
        made = ModelArtifact.objects.get()
        assert "Laying out the 20 most popular tracks" in read(operator, page_of(made, "map/"))
        answer = operator.get(page_of(made, "map.json")).json()
        assert answer["method"] == "PCA"  # twenty are too few to unfold
        assert {track["title"] for track in answer["tracks"]} == {track.title for track in tracks}
        assert all(track["artist"] == "The Testers" and track["listeners"] == 9 for track in answer["tracks"])
        even, odd = ([t["at"] for t in answer["tracks"] if int(t["title"][5:]) % 2 == side] for side in (0, 1))
        assert np.linalg.norm(np.mean(even, axis=0) - np.mean(odd, axis=0)) > 1

    def test_tracks_are_coloured_by_their_strongest_genre(self, operator: Client, catalogue: CatalogueFactory) -> None:
        genre, weak = (Tag.objects.create(name=name, kind="genre") for name in ("jazz", "folk"))
        other = Tag.objects.create(name="seen live")
        first, second, third = catalogue.tracks(3)
        weights = [(first, other, 50), (first, genre, 5), (first, weak, 2), (second, other, 1), (third, genre, 1)]
        TrackTag.objects.bulk_create(TrackTag(track=t, tag=tag, weight=w) for t, tag, w in weights)
        made = version(1, report(0.2))
        write_files(made, [first.pk, second.pk, third.pk])
        answer = operator.get(page_of(made, "map.json")).json()
        assert [track["tag"] for track in answer["tracks"]] == ["jazz", "seen live", "jazz"]
        assert answer["tags"] == [["jazz", 2], ["seen live", 1]]

    def test_the_most_popular_tracks_are_shown_and_deleted_ones_are_not(
        self, operator: Client, catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selectors, "MAX_TRACKS", 3)
        tracks = catalogue.tracks(5)
        made = version(1, report(0.2))
        write_files(made, [track.pk for track in tracks])
        tracks[0].delete()
        answer = operator.get(page_of(made, "map.json")).json()
        assert [track["title"] for track in answer["tracks"]] == ["Song 1", "Song 2"]

    def test_the_layout_is_computed_once(
        self, operator: Client, catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = version(1, report(0.2))
        write_files(made, [track.pk for track in catalogue.tracks(5)])
        first = operator.get(page_of(made, "map.json")).json()
        monkeypatch.setattr(selectors, "project_to_plane", None)
        assert operator.get(page_of(made, "map.json")).json() == first

    def test_while_it_is_being_computed_others_are_asked_to_wait(self, operator: Client) -> None:
        made = version(1, report(0.2))
        write_files(made, [1, 2, 3])
        cache.add(f"track_map:{made.version}:busy", True, 10)
        response = operator.get(page_of(made, "map.json"))
        assert (response.status_code, response["Retry-After"]) == (202, "2")
        cache.delete(f"track_map:{made.version}:busy")
        assert operator.get(page_of(made, "map.json")).status_code == 200

    @pytest.mark.parametrize(
        ("factors", "pruned_at", "reason"),
        [
            (None, FIRST_NIGHT, "have been removed"),
            (None, None, "cannot be read"),
            (0, None, "has no factors"),
        ],
    )
    def test_where_there_is_no_map_it_says_why(
        self, operator: Client, factors: int | None, pruned_at: datetime | None, reason: str
    ) -> None:
        made = version(1, report(0.2), pruned_at=pruned_at)
        if factors is not None:
            write_files(made, [1, 2, 3], factors=factors)
        assert reason in read(operator, page_of(made, "map/"))
        response = operator.get(page_of(made, "map.json"))
        assert response.status_code == 404
        assert reason in response.json()["error"]
