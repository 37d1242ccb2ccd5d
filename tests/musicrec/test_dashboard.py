"""The dashboard and the alert rules query only metrics that exist, and the reference documentation lists them."""

import itertools
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
COUNTER_FUNCTIONS = {"rate", "increase", "irate"}
REQUIRED_PANELS = [
    *("Request rate", "Error ratio", "Latency by endpoint", "Latency by strategy", "Cache hit rate"),
    *("Version in service", "Age of the model", "Size of the model", "Fold-in time", "Top-K time", "Reloads"),
    *("Training duration by stage", "Queue depth", "Slates", "Open alarms"),
]
needs_broker = pytest.mark.skipif(not settings.CELERY_BROKER_URL, reason="queues are only measured with a broker")
every_query = pytest.mark.parametrize("expr", [pytest.param(e, id=f"{n}-{i}") for i, (n, e) in enumerate(QUERIES)])


class MetricFamily(NamedTuple):
    kind: str
    labels: frozenset[str]


class Selector(NamedTuple):
    """A series that a query selects.

    Attributes:
        series: its name with suffix: `_total`, `_bucket` and so on.
        labels: the labels it is selected by.
        within: the functions around it, outermost first.
    """

    series: str
    labels: frozenset[str]
    within: tuple[str, ...]


@pytest.fixture
def families(catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]) -> dict[str, MetricFamily]:
    """Return every family of ours, after some requests, a training run and a failed one."""
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
    return collect_families()


def collect_families() -> dict[str, MetricFamily]:
    """Collect our families; those that have no sample yet have the labels they were declared with."""
    declared_labels = {
        c: frozenset(c._labelnames) for c in set(REGISTRY._collector_to_names) if hasattr(c, "_labelnames")
    }
    in_process = ((m, labels) for c, labels in declared_labels.items() for m in c.collect())
    of_installation = (
        (m, frozenset(k for s in m.samples for k in s.labels)) for m in InstallationCollector().collect()
    )
    collected = {m.name: MetricFamily(m.type, labels) for m, labels in (*in_process, *of_installation)}
    return {name: family for name, family in collected.items() if name.startswith("musicrec_")}


def series_labels(families: dict[str, MetricFamily]) -> dict[str, frozenset[str]]:
    """Return the series that Prometheus stores for the families, with their labels."""
    labels_by_series: dict[str, frozenset[str]] = {"up": frozenset({"job", "instance"})}
    for name, (kind, labels) in families.items():
        if kind == "histogram":
            labels_by_series |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            labels_by_series[f"{name}_total" if kind == "counter" else name] = labels
    return labels_by_series


def parse_query(expr: str) -> Any:
    """Parse a query of the dashboard; raises ValueError for one that Prometheus would refuse."""
    return promql.parse(expr.replace("$__rate_interval", "5m").replace("$endpoint", ".*"))


def selectors(node: Any, within: tuple[str, ...] = ()) -> Iterator[Selector]:
    """Yield every selector of a query."""
    match node:
        case promql.VectorSelector():
            yield Selector(str(node.name), frozenset(m.name for m in node.matchers.matchers), within)
        case promql.MatrixSelector():
            yield from selectors(node.vector_selector, within)
        case promql.Call():
            for argument in node.args:
                yield from selectors(argument, (*within, node.func.name))
        case promql.BinaryExpr():
            yield from selectors(node.lhs, within)
            yield from selectors(node.rhs, within)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from selectors(node.expr, within)
        case promql.NumberLiteral() | promql.StringLiteral():
            pass
        case _:
            raise AssertionError(f"{type(node)} is not handled")


def grouping_labels(expr: str) -> set[str]:
    groups = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", expr)
    return {name.strip() for group in groups for name in group.split(",") if name.strip()}


def documented_families() -> dict[str, MetricFamily]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| .+\|$", (ROOT / "docs/reference/metrics.md").read_text(), re.M)
    return {name: MetricFamily(kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


@needs_broker
def test_the_reference_lists_exactly_the_metrics_that_exist(families: dict[str, MetricFamily]) -> None:
    assert documented_families() == families


@needs_broker
def test_queries_use_existing_metrics_and_labels(families: dict[str, MetricFamily]) -> None:
    labels_by_series = series_labels(families)
    for _, expr in QUERIES:
        selected = list(selectors(parse_query(expr)))
        assert selected, expr
        for selector in selected:
            assert selector.series in labels_by_series, f"{expr}: there is no metric {selector.series}"
            assert selector.labels <= labels_by_series[selector.series], (
                f"{expr}: {selector.series} lacks one of {selector.labels}"
            )
        assert grouping_labels(expr) <= frozenset().union(
            *(labels_by_series[selector.series] for selector in selected)
        ), expr


@every_query
def test_counters_and_only_counters_are_queried_by_their_rate(expr: str) -> None:
    for selector in selectors(parse_query(expr)):
        is_counter = selector.series.endswith(("_total", "_bucket", "_count", "_sum"))
        assert bool(COUNTER_FUNCTIONS & set(selector.within)) == is_counter, selector


@every_query
def test_quantiles_are_computed_from_buckets(expr: str) -> None:
    if "histogram_quantile" in expr:
        assert all(selector.series.endswith("_bucket") for selector in selectors(parse_query(expr)))
        assert "le" in grouping_labels(expr)


def test_the_parser_refuses_an_invalid_query() -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_query("sum(rate(musicrec_events_total[5m])")


def test_the_dashboard_has_the_required_panels() -> None:
    assert set(REQUIRED_PANELS) <= {panel["title"] for panel in PANELS}
    assert DASHBOARD["schemaVersion"] >= 41
    assert "id" not in DASHBOARD or DASHBOARD["id"] is None  # a number would overwrite the dashboard of that id


def test_panels_have_unique_ids_and_descriptions_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    occupied: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        position = panel["gridPos"]
        columns = range(position["x"], position["x"] + position["w"])
        rows = range(position["y"], position["y"] + position["h"])
        cells = set(itertools.product(columns, rows))
        assert columns.stop <= 24
        assert not occupied & cells, panel["title"]
        occupied |= cells
    assert all(panel["description"] for panel in PANELS)


def test_every_panel_uses_the_chosen_data_source() -> None:
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


def test_prometheus_loads_the_documented_alert_rules() -> None:
    assert yaml.safe_load((MONITORING / "prometheus.yml").read_text())["rule_files"] == ["alerts.yml"]
    documented = re.findall(r"^\| `(Musicrec\w+)` \|", (ROOT / "docs/how-to/monitoring.md").read_text(), re.M)
    assert documented == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
