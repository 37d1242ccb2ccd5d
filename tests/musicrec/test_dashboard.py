"""What is shipped for Prometheus and Grafana asks only for what `/metrics` tells, and the reference describes it."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import promql_parser as promql
import pytest
import yaml
from django.conf import settings
from django.utils import timezone
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from access.models import User
from experiments.exposures.log import slate_log
from musicrec.metrics.exposition import InstallationCollector
from musicrec.processes import ROOT
from recommendations.alarms import raise_alarm
from recommendations.metrics import set_served_version
from recommendations.models import TrainingRun
from recommendations.training.run import run_training
from tests.people import CatalogueFactory

MONITORING = ROOT / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "grafana/dashboards/musicrec.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [r for g in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for r in g["rules"]]
QUERIES = [(p["title"], t["expr"]) for p in PANELS for t in p["targets"]] + [(r["alert"], r["expr"]) for r in RULES]
OF_COUNTERS = {"rate", "increase", "irate"}
WANTED = [
    *("Request rate", "Error ratio", "Latency by endpoint", "Latency by strategy", "Cache hit rate"),
    *("Version in service", "Age of the model", "Size of the model", "Fold-in time", "Top-K time", "Reloads"),
    *("Training duration by stage", "Queue depth", "Slates", "Open alarms"),
]
told_in_full = pytest.mark.skipif(not settings.CELERY_BROKER_URL, reason="queues are told of where there is a broker")
every_query = pytest.mark.parametrize("expr", [pytest.param(e, id=f"{n}-{i}") for i, (n, e) in enumerate(QUERIES)])


class Told(NamedTuple):
    kind: str
    labels: frozenset[str]


class Asked(NamedTuple):
    """series: with `_total`, `_bucket` and so on · labels: those it is selected by · within: the functions around."""

    series: str
    labels: frozenset[str]
    within: tuple[str, ...]


@pytest.fixture
def told(catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]) -> dict[str, Told]:
    """Every family, after some traffic and a night."""
    users, tracks = catalogue.checkerboard(6)
    run = run_training("test").run
    assert run
    TrainingRun.objects.create(trigger="test", status="failed", finished_at=timezone.now())
    raise_alarm("held_back", "v1", "worse")
    set_served_version("v1")
    api = as_listener(users[0])
    assert api.get(f"/recommend/user/{users[0].pk}/ml").status_code == 200
    assert api.get(f"/recommend/similar/{tracks[0].pk}").status_code == 200
    slate_log.flush()
    return families()


def families() -> dict[str, Told]:
    """Ours; labels of those without a sample yet are those they were made with."""
    made_with = {c: frozenset(c._labelnames) for c in set(REGISTRY._collector_to_names) if hasattr(c, "_labelnames")}
    counted = ((m, labels) for c, labels in made_with.items() for m in c.collect())
    looked_up = ((m, frozenset(k for s in m.samples for k in s.labels)) for m in InstallationCollector().collect())
    found = {m.name: Told(m.type, labels) for m, labels in (*counted, *looked_up)}
    return {name: told for name, told in found.items() if name.startswith("musicrec_")}


def series(told: dict[str, Told]) -> dict[str, frozenset[str]]:
    """What Prometheus knows them by, with their labels."""
    found: dict[str, frozenset[str]] = {"up": frozenset({"job", "instance"})}
    for name, (kind, labels) in told.items():
        if kind == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[f"{name}_total" if kind == "counter" else name] = labels
    return found


def parsed(expr: str) -> Any:
    """Raises ValueError for what Prometheus would refuse."""
    return promql.parse(expr.replace("$__rate_interval", "5m").replace("$endpoint", ".*"))


def asked(node: Any, within: tuple[str, ...] = ()) -> Iterator[Asked]:
    """Each selector of a query."""
    match node:
        case promql.VectorSelector():
            yield Asked(str(node.name), frozenset(m.name for m in node.matchers.matchers), within)
        case promql.MatrixSelector():
            yield from asked(node.vector_selector, within)
        case promql.Call():
            for argument in node.args:
                yield from asked(argument, (*within, node.func.name))
        case promql.BinaryExpr():
            yield from asked(node.lhs, within)
            yield from asked(node.rhs, within)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from asked(node.expr, within)
        case promql.NumberLiteral() | promql.StringLiteral():
            pass
        case _:
            raise AssertionError(f"{type(node)} is not looked into")


def grouped_by(expr: str) -> set[str]:
    groups = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", expr)
    return {name.strip() for group in groups for name in group.split(",") if name.strip()}


def documented() -> dict[str, Told]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| .+\|$", (ROOT / "docs/reference/metrics.md").read_text(), re.M)
    return {name: Told(kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


@told_in_full
def test_every_metric_is_described_and_every_described_one_is_there(told: dict[str, Told]) -> None:
    assert documented() == told


@told_in_full
def test_queries_ask_for_what_is_told(told: dict[str, Told]) -> None:
    known = series(told)
    for _, expr in QUERIES:
        found = list(asked(parsed(expr)))
        assert found, expr
        for each in found:
            assert each.series in known, f"{expr}: there is no metric {each.series}"
            assert each.labels <= known[each.series], f"{expr}: {each.series} has no labels {each.labels}"
        assert grouped_by(expr) <= frozenset().union(*(known[each.series] for each in found)), expr


@every_query
def test_counts_are_asked_for_their_growth_and_other_numbers_are_not(expr: str) -> None:
    for each in asked(parsed(expr)):
        grows = each.series.endswith(("_total", "_bucket", "_count", "_sum"))
        assert bool(OF_COUNTERS & set(each.within)) == grows, each


@every_query
def test_quantiles_are_of_rates_by_bucket(expr: str) -> None:
    if "histogram_quantile" in expr:
        assert all(each.series.endswith("_bucket") for each in asked(parsed(expr)))
        assert "le" in grouped_by(expr)


def test_a_query_that_is_none_is_noticed() -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed("sum(rate(musicrec_events_total[5m])")


def test_the_dashboard_has_what_an_operator_wants_to_see() -> None:
    assert set(WANTED) <= {panel["title"] for panel in PANELS}
    assert DASHBOARD["schemaVersion"] >= 41
    assert "id" not in DASHBOARD or DASHBOARD["id"] is None  # another installation's number would overwrite


def test_panels_are_told_apart_explained_and_side_by_side() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    assert all(panel["description"] for panel in PANELS)


def test_every_panel_asks_the_data_source_that_was_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    variables = {v["name"]: v for v in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    assert all(p["datasource"] == chosen and t["datasource"] == chosen for p in PANELS for t in p["targets"])
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([p["targets"] for p in PANELS]))) - {"__rate_interval"}
    assert used == variables.keys()


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    provisioning = MONITORING / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/musicrec.yml").read_text())["providers"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
    assert f"./monitoring/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]


def test_prometheus_loads_the_rules_that_are_described() -> None:
    assert yaml.safe_load((MONITORING / "prometheus.yml").read_text())["rule_files"] == ["alerts.yml"]
    described = re.findall(r"^\| `(Musicrec\w+)` \|", (ROOT / "docs/how-to/monitoring.md").read_text(), re.M)
    assert described == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
