"""The admin's pages about model quality, with invented reports and with a version that was trained."""

import html
import json
import re
import secrets
import shutil
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


def model_metrics(ndcg: float) -> dict[str, Any]:
    """Return all metrics of a model with this NDCG@10."""
    metrics = {"personalised": interval(min(1, 2.4 * ndcg), 0.02)}
    for k in (5, 10, 20):
        scaled = ndcg * (k / 10) ** 0.15
        metrics |= {f"{name}@{k}": interval(scaled * f, 0.012 * f) for name, f in ACCURACY.items()}
        beyond_accuracy = {
            "coverage": 1.6 * ndcg,
            "gini": 1 - 1.2 * ndcg,
            "diversity": 0.9 - ndcg,
            "novelty": 9 - 8 * ndcg,
        }
        metrics |= {f"{name}@{k}": interval(value) for name, value in beyond_accuracy.items()}
        metrics[f"popularity@{k}"] = interval(90 - 90 * ndcg)
    return metrics


ACCURACY = {"ndcg": 1.0, "recall": 0.8, "precision": 0.7, "map": 0.5, "mrr": 1.4, "hit_rate": 2.3}
SEGMENTS = {"cold": (210, 0.5), "light": (795, 0.9), "heavy": (795, 1.15), "head": (1750, 1.2), "tail": (1310, 0.45)}


def evaluated_model(ndcg: float) -> dict[str, Any]:
    segments = {n: {"listeners": size, "metrics": model_metrics(ndcg * f)} for n, (size, f) in SEGMENTS.items()}
    return {"metrics": model_metrics(ndcg), "segments": segments}


def report(ndcg: float, before: float | None = None, in_service: str = "", split: str = "time") -> dict[str, Any]:
    """Return the report of a version of a release that asked for new tracks only.

    Args:
        ndcg: its NDCG@10.
        before: the NDCG@10 of the version in service on the same plays, if it is evaluated as well.
        in_service: the name of that version.
        split: how plays were held out.
    """
    models = {"model": evaluated_model(ndcg), "most_popular": evaluated_model(0.09)}
    differences = {"most_popular": {"ndcg@10": interval(ndcg - 0.09)}}
    if before is not None:
        models["in_service"] = evaluated_model(before)
        keys = [f"{name}@{k}" for k in (5, 10, 20) for name in ("ndcg", "recall")]
        differences["in_service"] = {key: interval(ndcg - before, 0.006) for key in keys}
    header = {"split": split, "holdout": 0.2, "algorithm": "als", "listeners": 1800, "tracks": 5000, "ks": [5, 10, 20]}
    return header | {"models": models, "differences": differences} | ({"in_service": in_service} if in_service else {})


def report_of_questions(
    ndcg: float, before: float | None = None, in_service: str = "", question: str = "new"
) -> dict[str, Any]:
    """Return a report whose answers are better for all tracks and best for repeats; see `report` for the arguments."""
    factors = {"new": 1.0, "all": 1.5, "repeats": 2.0}
    answers = {name: report(f * ndcg, None if before is None else f * before) for name, f in factors.items()}
    header = {"split": "time", "holdout": 0.2, "algorithm": "als", "question": question, "questions": answers}
    return header | ({"in_service": in_service} if in_service else {})


def create_version(number: int, report: dict[str, Any], *, gate: str = "passed", **fields: Any) -> ModelArtifact:
    """Create the row of the version of a night, and of the run that trained it."""
    at, plays = FIRST_NIGHT + timedelta(days=number), 120_000 + 2_500 * number
    manifest = {
        "report": report,
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
    seconds = {"read": 4.2, "train": 70 + 2.3 * number, "write": 0.4}
    ended, memory = at + timedelta(seconds=85 + 3 * number), 400_000_000 + 6_000_000 * number
    run = TrainingRun(artifact=artifact, trigger="schedule", status=status, seconds=seconds, finished_at=ended)
    run.peak_memory_bytes = memory
    run.save()
    TrainingRun.objects.filter(pk=run.pk).update(started_at=at)
    return artifact


def write_files(artifact: ModelArtifact, track_ids: list[int], factors: int = 8, tastes: int = 8) -> None:
    """Write a bundle for the version: tracks of the same taste have similar factors, and the first are most popular."""
    random, tracks = np.random.default_rng(3), len(track_ids)
    centres = random.normal(size=(tastes, factors))
    item_factors = centres[np.arange(tracks) % tastes] + random.normal(scale=0.55, size=(tracks, factors))
    listeners = np.floor(200 / np.arange(1, tracks + 1) ** 0.6)
    bundle = replace(
        catalogue_bundle(track_ids, dict(zip(track_ids, listeners.tolist(), strict=True))),
        version=artifact.version,
        algorithm="als",
        item_factors=item_factors.astype(np.float32),
        item_norms=np.linalg.norm(item_factors, axis=1).astype(np.float32),
        gramian=item_factors.T @ item_factors,
        user_factors=np.zeros((0, factors), np.float32),
    )
    version_store().write(bundle, {"report": artifact.manifest["report"]})


def put_into_service(artifact: ModelArtifact) -> None:
    version_store().publish(artifact.version)
    ModelArtifact.objects.filter(pk=artifact.pk).update(published_at=FIRST_NIGHT)


@pytest.fixture
def operator(db: None) -> Client:
    """Return the client of a signed-in superuser."""
    return sign_in(User.objects.create_superuser("operator"))


@pytest.fixture
def viewer(db: None) -> Client:
    """Return the client of a staff user who may view versions and nothing else."""
    user = User.objects.create_user("onlooker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_modelartifact"))
    return sign_in(user)


def sign_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page_path(artifact: ModelArtifact, rest: str = "change/") -> str:
    return f"{LIST}{artifact.pk}/{rest}"


def read_page(client: Client, path: str) -> str:
    """Return the text of a page; tags and the white space around them become `|`."""
    response = client.get(path)
    return text_of(response)


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.content
    text = re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]+>", "|", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"[\s|]*\|[\s|]*", "|", html.unescape(text))


def answer_of(page: str) -> dict[str, str]:
    """Return the field by which the form of a confirmation page agrees."""
    return {"confirmed": html.unescape(re.findall(r'name="confirmed" value="(.*?)"', page)[0])}


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
    def test_each_version_is_a_point_and_a_row_with_its_status(self, operator: Client) -> None:
        before, serving = create_version(1, report(0.2), published_at=FIRST_NIGHT), create_version(2, report(0.25))
        held_back, unpublished = create_version(3, report(0.1), gate="held_back"), create_version(4, report(0.26))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        for chart in chart_configs(operator):
            tooltips = [(version, text.partition(" ·")[0]) for version, text, *_ in chart["tooltips"]]
            assert tooltips == [
                (before.version, "Published before"),
                (serving.version, "In service"),
                (held_back.version, "Held back"),
                (unpublished.version, "Not published"),
            ]
            assert chart["links"] == [page_path(v) for v in (before, serving, held_back, unpublished)]
            assert [point[0] for point in chart["series"][0]["points"]] == ["circle", "circle", "crossRot", "circle"]
        row = f"|{serving.version}|2026-03-03|In service|0.2500|0.2380 to 0.2620|0.0900|—|125,000|"
        assert row in read_page(operator, QUALITY)

    def test_the_charts_show_quality_data_time_and_memory(self, operator: Client) -> None:
        create_version(2, report(0.25))
        assert charted_values(operator) == {
            "quality": [0.25],
            "low": [0.238],
            "high": [0.262],
            "NDCG@10, new tracks": [0.25],
            "Most popular": [0.09],
            "Plays": [125_000],
            "Listener–track pairs": [62_500],
            "Listeners": [1830],
            "Tracks": [5040],
            "Whole run": [91.0],
            "Training": [74.6],
            "Peak memory of the run": [412_000_000],
        }

    def test_another_metric_can_be_chosen(self, operator: Client) -> None:
        create_version(1, report(0.25))
        assert "|Coverage@10, new tracks|95 % interval|" in read_page(operator, f"{QUALITY}?metric=coverage@10")
        assert charted_values(operator, f"{QUALITY}?metric=coverage@10")["quality"] == [0.4]
        assert charted_values(operator, f"{QUALITY}?metric=nonsense")["quality"] == [0.25]

    def test_another_question_can_be_chosen(self, operator: Client, settings: Any) -> None:
        create_version(1, report(0.25))
        create_version(2, report_of_questions(0.2))
        assert charted_values(operator)["quality"] == [0.25, 0.2]
        assert charted_values(operator, f"{QUALITY}?question=repeats")["quality"] == [None, 0.4]
        settings.MUSICREC = settings.MUSICREC | {"QUESTION": "all"}
        assert charted_values(operator)["quality"] == [None, pytest.approx(0.3)]
        assert charted_values(operator, f"{QUALITY}?question=nonsense")["quality"] == [None, pytest.approx(0.3)]
        page = operator.get(f"{QUALITY}?question=new&metric=recall@10").content.decode()
        assert 'href="?question=repeats&amp;metric=recall%4010"' in page
        assert 'href="?question=new&amp;metric=ndcg%4010"' in page

    def test_old_reports_have_no_interval_and_missing_ones_no_point(self, operator: Client) -> None:
        create_version(1, OLD_REPORT)
        create_version(2, NO_REPORT)
        values = charted_values(operator)
        assert (values["quality"], values["low"], values["Most popular"]) == ([0.21, None], [None, None], [0.07, None])
        assert values["Plays"][1] == 125_000

    def test_a_run_without_new_plays_is_not_charted(self, operator: Client) -> None:
        artifact = create_version(1, report(0.2))
        TrainingRun.objects.create(artifact=artifact, trigger="schedule", status="unchanged", finished_at=FIRST_NIGHT)
        assert charted_values(operator)["Whole run"] == [88.0]

    def test_without_versions_the_page_explains_how_to_train_one(self, operator: Client) -> None:
        assert "No version has been trained yet" in read_page(operator, QUALITY)

    def test_the_list_of_versions_links_to_the_page(self, operator: Client) -> None:
        create_version(1, report(0.2))
        assert QUALITY in operator.get(LIST).content.decode()
        assert "|0.2000 (new tracks)|" in read_page(operator, LIST)


class TestVersionPage:
    def test_a_version_is_compared_with_the_one_in_service_on_the_same_plays(self, operator: Client) -> None:
        serving = create_version(1, report(0.2))
        better = create_version(2, report(0.25, before=0.21, in_service=serving.version))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        page = read_page(operator, page_path(better))
        assert "evaluated on the same listeners and the same held-out plays" in page
        assert "|NDCG|Whether the held-out tracks are recommended, and how early in the list|0.2500|" in page
        assert "|0.2100|▲|+0.0400|+19.0%|+0.0340 to +0.0460|0.0900|" in page

    @pytest.mark.parametrize(("before", "verdict"), [(0.3, "▼|-0.0500"), (0.251, "≈|-0.0010")])
    def test_the_sign_of_a_difference_is_marked_only_if_it_is_significant(
        self, operator: Client, before: float, verdict: str
    ) -> None:
        serving = create_version(1, report(0.2))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        assert verdict in read_page(operator, page_path(create_version(2, report(0.25, before, serving.version))))

    def test_reports_of_different_nights_are_compared_with_a_warning(self, operator: Client) -> None:
        other = create_version(1, report(0.2))
        page = read_page(operator, page_path(create_version(2, report(0.25)), f"change/?with={other.version}"))
        assert "If those are different plays, a small difference may come from them" in page
        assert "|0.2000|+0.0500|+25.0%|" in page

    def test_reports_on_different_splits_must_not_be_compared(self, operator: Client) -> None:
        other = create_version(1, report(0.2, split="ratio"))
        page = read_page(operator, page_path(create_version(2, report(0.25)), f"change/?with={other.version}"))
        assert "their numbers must not be compared" in page

    def test_the_version_in_service_is_compared_with_its_predecessor(self, operator: Client) -> None:
        before = create_version(1, report(0.2))
        serving = create_version(2, report(0.25, before=0.21, in_service=before.version))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        page = read_page(operator, page_path(serving))
        assert f"|{before.version}|Difference|" in page
        assert "|Put into service|" not in page

    def test_the_three_questions_are_shown_side_by_side_and_each_can_be_chosen(self, operator: Client) -> None:
        before = create_version(1, report_of_questions(0.2))
        write_files(before, [1, 2, 3])
        put_into_service(before)
        artifact = create_version(2, report_of_questions(0.25, 0.21, before.version, question="all"))
        page = read_page(operator, page_path(artifact))
        assert "|NDCG@10 by question|The gate and the search look at: All tracks." in page
        rows = (
            "|New tracks|that the listener had not played before|1,800|0.2500|",
            "|All tracks|that they played next, repeats included|1,800|0.3750|",
            "|Repeats|tracks of their past that they played again|1,800|0.5000|",
        )
        assert all(row in page for row in rows)
        assert "|All metrics: All listeners, all tracks|" in page
        assert "|Recall|Share of the held-out tracks that is recommended|0.3000|" in page
        page = read_page(operator, page_path(artifact, "change/?question=repeats&segment=tail"))
        assert "|All metrics: Tail of the catalogue, repeats|" in page
        assert "|Recall|Share of the held-out tracks that is recommended|0.1800|" in page
        assert (
            f'href="?question=new&amp;with={before.version}"'
            in operator.get(
                page_path(artifact, f"change/?question=repeats&segment=tail&with={before.version}")
            ).content.decode()
        )

    def test_versions_are_compared_for_the_same_question(self, operator: Client) -> None:
        old, other = create_version(1, report(0.2)), create_version(2, report_of_questions(0.21))
        artifact = create_version(3, report_of_questions(0.25, question="all"))
        page = read_page(operator, page_path(artifact, f"change/?with={other.version}"))
        assert "|0.3750|0.3630 to 0.3870|" in page
        assert "|0.3150|+0.0600|" in page
        page = read_page(operator, page_path(artifact, f"change/?with={old.version}"))
        assert "One of the two has no evaluation for this question" in page
        older = create_version(0, report(0.2))
        page = read_page(operator, page_path(old, f"change/?with={older.version}&question=all"))
        assert "Neither of the two has an evaluation for this question" in page
        page = read_page(operator, page_path(artifact, f"change/?with={old.version}&question=new"))
        assert "|0.2000|+0.0500|" in page

    def test_segments_have_a_summary_and_tables_of_their_own(self, operator: Client) -> None:
        artifact = create_version(1, report(0.2))
        page = read_page(operator, page_path(artifact))
        assert "|Cold listeners|almost no plays yet|210|0.1000|" in page
        assert "|All metrics: All listeners|" in page
        page = read_page(operator, page_path(artifact, "change/?segment=tail"))
        assert "|All metrics: Tail of the catalogue|" in page
        assert "|Recall|Share of the held-out tracks that is recommended|0.0720|" in page

    def test_different_settings_are_listed_apart_from_equal_ones(self, operator: Client) -> None:
        few, many = create_version(1, report(0.2)), create_version(20, report(0.25))
        page = read_page(operator, page_path(many, f"change/?with={few.version}"))
        assert f"|{few.version}|factors|128|64|3 the same in both|iterations|15|parts.0.base|1|" in page

    def test_the_page_shows_training_data_times_and_memory(self, operator: Client) -> None:
        few, many = create_version(0, report(0.2)), create_version(20, report(0.25))
        page = read_page(operator, page_path(many, f"change/?with={few.version}"))
        assert "|Plays from|2025-12-21 to 2026-03-21|2025-12-01 to 2026-03-01|" in page
        assert "|Plays|170,000|120,000|+41.7%|" in page
        assert "|Evaluation, fit|50.0 s, 1 min 6 s|30.0 s, 40.0 s|" in page
        assert "|Whole run|2 min 25 s|1 min 25 s|+70.6%|" in page
        assert "|Peak memory|520 MB|400 MB|+30.0%|" in page

    def test_without_a_version_in_service_nothing_is_compared(self, operator: Client) -> None:
        page = read_page(operator, page_path(create_version(1, report(0.2))))
        assert "There is no other version in service to compare with." in page
        assert "|4 settings|" in page

    @pytest.mark.parametrize("old_report", [OLD_REPORT, NO_REPORT])
    def test_reports_of_older_releases_are_shown(self, operator: Client, old_report: dict[str, Any]) -> None:
        serving = create_version(1, report(0.25))
        write_files(serving, [1, 2, 3])
        put_into_service(serving)
        page = read_page(operator, page_path(create_version(2, old_report)))
        assert ("|NDCG|" in page) == (old_report is OLD_REPORT)
        assert ("Not evaluated, so" in page) == (old_report is NO_REPORT)

    @pytest.mark.parametrize(
        "manifest",
        [
            {},
            {"report": None, "config": None, "seconds": None, "plays_from": "monday", "libraries": []},
            {"report": {"models": []}},
            {"gate": {"difference": {"mean": None}}, "choice": {"tried": None}},
            {"report": {"question": "old", "questions": None}},
            {"report": {"question": "all", "questions": {"all": {"models": {"model": 1}}, "new": [], "repeats": None}}},
            {"report": {"models": {"model": None}, "differences": []}},
            {"report": {"models": {"model": {"metrics": {"ndcg@10": "?", "new@10": 1, "ndcg@x": {}}, "segments": []}}}},
        ],
    )
    def test_unknown_content_of_a_manifest_is_left_out(self, operator: Client, manifest: dict[str, Any]) -> None:
        artifact = create_version(1, NO_REPORT)
        ModelArtifact.objects.filter(pk=artifact.pk).update(manifest=manifest)
        for path in (LIST, QUALITY, page_path(artifact), page_path(artifact, "map/")):
            assert read_page(operator, path)

    def test_the_decision_of_the_gate_is_shown_with_its_numbers(self, operator: Client) -> None:
        artifact = create_version(
            2, report(0.24, 0.236, "20260301T030000Z-abcdef"), gate_reason="NDCG@10 0.2400 against …"
        )
        numbers = {"mean": 0.004, "standard_error": 0.0031, "low": -0.0021, "high": 0.0101}
        artifact.manifest["gate"] = {
            "passed": True,
            "compared_with": "version",
            "listeners": 1812,
            "difference": numbers,
            "versions": 3,
            "sum": numbers | {"mean": -0.012, "low": -0.02, "high": -0.004},
        }
        artifact.save()
        page = read_page(operator, page_path(artifact))
        assert "|Gate: passed|Passed: NDCG@10 0.2400 against …|" in page
        assert (
            "|What the gate compared|Compared with|the version in service, on the same plays|Listeners|1,812|"
            "Difference in NDCG@10, new tracks|+0.0040|Standard error|0.0031|95 % interval|-0.0021 to +0.0101|"
            "Sum over the last 3 versions of this recipe|-0.0120|Its 95 % interval|-0.0200 to -0.0040|" in page
        )

    def test_what_was_tried_is_shown_with_its_scores(self, operator: Client) -> None:
        serving = create_version(1, report(0.2))
        artifact = create_version(2, report(0.24, 0.2, serving.version))
        parts = serving.manifest["config"]["parts"]
        tried = [
            {"algorithm": "ials", "score": 0.21, "seconds": 61, "note": "", "recipe": {"parts": parts}},
            {"algorithm": "rp3beta", "recipe": {"parts": []}, "score": 0.24, "seconds": 2.5, "note": ""},
            {"algorithm": "slim", "score": None, "seconds": 1, "note": "CannotTrain: slim: too large"},
        ]
        artifact.manifest["choice"] = {"reason": "rp3beta: the best of 2", "listeners": 900, "tried": tried}
        artifact.save()
        assert (
            "|How the ensemble was chosen|rp3beta: the best of 2|Tried|NDCG@10, new tracks|Time|rp3beta|0.2400|2.5 s|"
            "ials|in service then|0.2100|1 min 1 s|slim|—|1.0 s|CannotTrain: slim: too large|"
            in read_page(operator, page_path(artifact))
        )

    def test_the_two_versions_of_a_run_lead_to_each_other(self, operator: Client) -> None:
        held_back, serving = create_version(1, report(0.2), gate="held_back"), create_version(2, report(0.25))
        TrainingRun.objects.filter(artifact=held_back).delete()
        assert "The same run" not in read_page(operator, page_path(held_back))
        run = TrainingRun.objects.filter(artifact=serving)
        run.update(started_at=FIRST_NIGHT)
        for artifact, other, text in (
            (held_back, serving, "then trained the recipe in service"),
            (serving, held_back, "trained another recipe before"),
        ):
            page = read_page(operator, page_path(artifact))
            assert f"|The same run {text}:|{other.version}|" in page

    def test_a_question_without_listeners_and_repeats_by_activation_are_explained(self, operator: Client) -> None:
        content = report_of_questions(0.25)
        page = read_page(operator, page_path(create_version(1, content)))
        assert "Repeats are ranked by activation" in page
        assert "Repeats are ranked" not in read_page(
            operator, page_path(create_version(2, content, algorithm="als+repeat"))
        )
        content["questions"]["repeats"] = {"listeners": 0, "models": {}, "differences": {}}
        page = read_page(operator, page_path(create_version(3, content)))
        assert "|Repeats: No listener played a track of their past again.|" in page
        assert "Repeats are ranked" not in page

    def test_an_absolute_weight_of_zero_is_left_out_next_to_its_ratio(self, operator: Client) -> None:
        artifact = create_version(1, report(0.2))
        parts = [{"unobserved": 0.0, "unobserved_ratio": 209.71523}, {"unobserved": 0.25, "bonus": 0.0}]
        artifact.manifest["config"] = {"parts": parts}
        artifact.save()
        page = read_page(operator, page_path(artifact))
        assert "|3 settings|parts.0.unobserved_ratio|209.7|parts.1.bonus|0|parts.1.unobserved|0.25|" in page

    def test_an_unknown_version_redirects_to_the_list(self, operator: Client) -> None:
        assert operator.get(f"{LIST}999/change/").status_code == 302
        assert operator.get(f"{LIST}nonsense/map/").status_code == 404


class TestPutIntoService:
    @pytest.fixture
    def passing_version(self, db: None) -> ModelArtifact:
        artifact = create_version(1, report(0.25))
        write_files(artifact, [1, 2, 3])
        return artifact

    @pytest.fixture
    def held_back_version(self, db: None) -> ModelArtifact:
        artifact = create_version(2, report(0.1), gate="held_back", gate_reason="NDCG@10 0.1000 is worse")
        write_files(artifact, [1, 2, 3])
        return artifact

    def test_a_button_puts_a_version_into_service_after_a_confirmation(
        self, operator: Client, passing_version: ModelArtifact
    ) -> None:
        assert "|Put into service|" in read_page(operator, page_path(passing_version))
        path = page_path(passing_version, "put-into-service")
        page = operator.post(path).content.decode()
        assert f"Put {passing_version.version} into service?" in page
        assert version_in_service() is None
        response = operator.post(path, answer_of(page), follow=True)
        assert f"Version {passing_version.version} is in service." in response.content.decode()
        assert version_in_service() == passing_version.version
        assert LogEntry.objects.get().get_change_message() == "Put into service."

    @pytest.mark.parametrize("from_the_list", [False, True])
    def test_overriding_the_gate_needs_a_confirmation(
        self, operator: Client, held_back_version: ModelArtifact, from_the_list: bool
    ) -> None:
        form = {"action": "put_into_service", "_selected_action": held_back_version.pk} if from_the_list else {}
        path = LIST if from_the_list else page_path(held_back_version, "put-into-service")
        page = operator.post(path, form).content.decode()
        assert "overriding the gate?" in page
        assert held_back_version.gate_reason in page
        assert version_in_service() is None
        operator.post(path, form | answer_of(page))
        assert version_in_service() == held_back_version.version
        assert LogEntry.objects.get().get_change_message() == "Put into service, overriding the gate."
        assert "|In service, the gate overridden|" in read_page(operator, page_path(held_back_version))

    def test_an_answer_to_another_question_does_not_count(
        self, operator: Client, passing_version: ModelArtifact, held_back_version: ModelArtifact
    ) -> None:
        path = page_path(passing_version, "put-into-service")
        outdated = answer_of(operator.post(path).content.decode())
        put_into_service(held_back_version)
        for answer in (outdated, {"confirmed": "yes"}, {"confirmed": ""}):
            assert f"In service: {held_back_version.version}" in operator.post(path, answer).content.decode()
        assert version_in_service() == held_back_version.version
        answer = answer_of(operator.post(path).content.decode())
        operator.post(path, answer)
        entry = LogEntry.objects.get()
        assert entry.get_change_message() == f"Put into service in place of {held_back_version.version}."
        assert entry.object_repr == str(passing_version)

    def test_a_version_without_files_cannot_be_put_into_service(self, operator: Client) -> None:
        pruned = create_version(1, report(0.2), pruned_at=FIRST_NIGHT)
        page = read_page(operator, page_path(pruned))
        assert "its files have been removed" in page
        assert "|Put into service|" not in page
        response = operator.post(page_path(pruned, "put-into-service"), follow=True)
        assert "its files do not exist" in response.content.decode()
        assert not LogEntry.objects.exists()

    def test_putting_into_service_needs_a_superuser_and_a_post_request(
        self, operator: Client, viewer: Client, passing_version: ModelArtifact
    ) -> None:
        assert "|Put into service|" not in read_page(viewer, page_path(passing_version))
        response = viewer.post(page_path(passing_version, "put-into-service"), follow=True)
        assert "Only a superuser may do this." in response.content.decode()
        response = operator.get(page_path(passing_version, "put-into-service"))
        assert (response.status_code, response["Location"]) == (302, page_path(passing_version))
        assert version_in_service() is None


class TestRollBack:
    BUTTON = f"{LIST}press"

    @pytest.fixture
    def versions(self, db: None) -> list[ModelArtifact]:
        """Return two versions that were put into service, the older one first."""
        versions = [create_version(1, report(0.2)), create_version(2, report(0.25))]
        for version in versions:
            write_files(version, [1, 2, 3])
            put_into_service(version)
        return versions

    def test_it_asks_first_and_says_what_changes(self, operator: Client, versions: list[ModelArtifact]) -> None:
        previous, current = (artifact.version for artifact in versions)
        page = operator.post(self.BUTTON)
        text = text_of(page)
        assert f"|Roll back from {current} to {previous}?|" in text
        assert f"|In service: {current}|Then: {previous}|Trained|2026-03-03 03:00|2026-03-02 03:00|" in text
        assert "|NDCG@10, new tracks|0.2500|0.2000|" in text
        assert f"All listeners get the recommendations of {previous} from their next request on" in text
        assert version_in_service() == current
        assert not LogEntry.objects.exists()
        response = operator.post(self.BUTTON, answer_of(page.content.decode()), follow=True)
        assert f"Version {previous} is in service again." in response.content.decode()
        assert version_in_service() == previous
        assert LogEntry.objects.get().get_change_message() == f"Rolled back from {current} to {previous}."

    def test_an_outdated_answer_is_asked_again(self, operator: Client, versions: list[ModelArtifact]) -> None:
        answer = answer_of(operator.post(self.BUTTON).content.decode())
        third = create_version(3, report(0.3))
        write_files(third, [1, 2, 3])
        put_into_service(third)
        assert f"Roll back from {third.version}" in operator.post(self.BUTTON, answer).content.decode()
        assert version_in_service() == third.version

    def test_without_a_previous_version_it_says_so(self, operator: Client) -> None:
        response = operator.post(self.BUTTON, follow=True)
        assert "there is no version before the one in service" in response.content.decode()
        assert not LogEntry.objects.exists()

    def test_a_rollback_to_a_version_without_files_is_not_logged(
        self, operator: Client, versions: list[ModelArtifact]
    ) -> None:
        previous, current = (artifact.version for artifact in versions)
        shutil.rmtree(version_store().folder(previous))
        answer = answer_of(operator.post(self.BUTTON).content.decode())
        response = operator.post(self.BUTTON, answer, follow=True)
        assert "its files do not exist" in response.content.decode()
        assert version_in_service() == current
        assert not LogEntry.objects.exists()

    def test_only_superusers_may(self, viewer: Client, versions: list[ModelArtifact]) -> None:
        response = viewer.post(self.BUTTON, follow=True)
        assert "Only a superuser may do this." in response.content.decode()
        assert version_in_service() == versions[1].version

    @pytest.mark.parametrize("model", ["modelartifact", "trainingrun", "tuningstudy"])
    def test_the_address_of_the_button_leads_back_to_the_list(
        self, operator: Client, versions: list[ModelArtifact], model: str
    ) -> None:
        response = operator.get(f"/admin/recommendations/{model}/press")
        assert (response.status_code, response["Location"]) == (302, f"/admin/recommendations/{model}/")
        assert version_in_service() == versions[1].version
        assert not LogEntry.objects.exists()


class TestViewPermission:
    PAGES = ("quality/", "{}/change/", "{}/map/", "{}/map.json")

    @pytest.fixture
    def paths(self, db: None) -> list[str]:
        artifact = create_version(1, report(0.2))
        write_files(artifact, [1, 2, 3])
        return [LIST + page.format(artifact.pk) for page in self.PAGES]

    def test_staff_with_the_view_permission_see_the_pages(self, viewer: Client, paths: list[str]) -> None:
        assert [viewer.get(path).status_code for path in paths] == [200] * 4

    def test_other_staff_are_refused(self, paths: list[str]) -> None:
        other = sign_in(User.objects.create_user("other", is_staff=True))
        assert [other.get(path).status_code for path in paths] == [403] * 4

    def test_everybody_else_is_sent_to_the_sign_in_page(self, paths: list[str], alice: User) -> None:
        for client in (Client(), sign_in(alice)):
            assert all(client.get(path)["Location"].startswith("/admin/login/") for path in paths)


class TestMapOfTracks:
    def test_a_trained_version_has_a_map_of_its_tracks(self, operator: Client, catalogue: CatalogueFactory) -> None:
        _, tracks = catalogue.checkerboard()
        assert run_training("test").status == "Published"
        artifact = ModelArtifact.objects.get()
        assert "Laying out the 20 most popular tracks" in read_page(operator, page_path(artifact, "map/"))
        answer = operator.get(page_path(artifact, "map.json")).json()
        assert answer["method"] == "PCA"  # t-SNE needs more than twenty tracks
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
        artifact = create_version(1, report(0.2))
        write_files(artifact, [first.pk, second.pk, third.pk])
        answer = operator.get(page_path(artifact, "map.json")).json()
        assert [track["tag"] for track in answer["tracks"]] == ["jazz", "seen live", "jazz"]
        assert answer["tags"] == [["jazz", 2], ["seen live", 1]]

    def test_the_most_popular_tracks_are_shown_and_deleted_ones_are_not(
        self, operator: Client, catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selectors, "MAX_TRACKS", 3)
        tracks = catalogue.tracks(5)
        artifact = create_version(1, report(0.2))
        write_files(artifact, [track.pk for track in tracks])
        tracks[0].delete()
        answer = operator.get(page_path(artifact, "map.json")).json()
        assert [track["title"] for track in answer["tracks"]] == ["Song 1", "Song 2"]

    def test_the_layout_is_computed_once(
        self, operator: Client, catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        artifact = create_version(1, report(0.2))
        write_files(artifact, [track.pk for track in catalogue.tracks(5)])
        first = operator.get(page_path(artifact, "map.json")).json()
        monkeypatch.setattr(selectors, "project_to_plane", None)
        assert operator.get(page_path(artifact, "map.json")).json() == first

    def test_other_requests_are_asked_to_wait_while_the_layout_is_computed(self, operator: Client) -> None:
        artifact = create_version(1, report(0.2))
        write_files(artifact, [1, 2, 3])
        cache.add(f"track_layout:{artifact.version}:busy", True, 10)
        response = operator.get(page_path(artifact, "map.json"))
        assert (response.status_code, response["Retry-After"]) == (202, "2")
        cache.delete(f"track_layout:{artifact.version}:busy")
        assert operator.get(page_path(artifact, "map.json")).status_code == 200

    @pytest.mark.parametrize(
        ("factors", "pruned_at", "reason"),
        [
            (None, FIRST_NIGHT, "have been removed"),
            (None, None, "cannot be read"),
            (0, None, "has no factors"),
        ],
    )
    def test_a_missing_map_is_explained(
        self, operator: Client, factors: int | None, pruned_at: datetime | None, reason: str
    ) -> None:
        artifact = create_version(1, report(0.2), pruned_at=pruned_at)
        if factors is not None:
            write_files(artifact, [1, 2, 3], factors=factors)
        assert reason in read_page(operator, page_path(artifact, "map/"))
        response = operator.get(page_path(artifact, "map.json"))
        assert response.status_code == 404
        assert reason in response.json()["error"]
