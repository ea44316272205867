"""What operators are told of metrics is what the code offers: in the document, in its alarms, and on the dashboard."""

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from infra import metrics

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text())
ROWS = ["Traffic", "Live", "Mailboxes", "Queues", "Health"]
NAME = re.compile(r"\b(?:postroom|process)_[a-z0-9_]+\b")


def offered() -> dict[str, set[str]]:
    """Every metric of ours, with its labels."""
    found = {f"postroom_{name}": {label} - {None} for name, (_, label) in metrics.INSTALLATION._families.items()}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name = f"{metric._name}_total" if isinstance(metric, Counter) else metric._name
            found[name] = set(metric._labelnames)
    return found  # type: ignore[return-value]  # the None is taken out


def series() -> dict[str, set[str]]:
    """Every name that a query may use, with its labels; what Prometheus itself adds is in all of them."""
    histograms = {m._name for m in vars(metrics).values() if isinstance(m, Histogram)}
    found: dict[str, set[str]] = {}
    for name, labels in offered().items():
        if name in histograms:
            found |= {f"{name}_sum": labels, f"{name}_count": labels, f"{name}_bucket": labels | {"le"}}
        else:
            found[name] = labels
    process = CollectorRegistry()
    ProcessCollector(registry=process)
    found |= {sample.name: set() for family in process.collect() for sample in family.samples}
    return {name: labels | {"job", "instance"} for name, labels in found.items()}


def queries() -> list[str]:
    targets = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    return targets + re.findall(r"^ +expr: (.+)$", OPERATIONS, re.MULTILINE)


def test_the_document_explains_every_metric_with_its_labels_and_no_other() -> None:
    rows = re.findall(r"^\| `(postroom_\w+)` \|([^|]*)\| [^|]+ \|$", OPERATIONS, re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == offered()
    assert len(rows) == len(offered()), "each once"


def test_the_document_names_no_metric_that_is_not_there() -> None:
    for name in NAME.findall(OPERATIONS):
        assert name in offered() or name in series(), name


def test_every_query_asks_for_series_that_are_there_by_labels_that_they_have() -> None:
    known = series()
    assert len(queries()) > 50
    for query in queries():
        names = NAME.findall(query)
        assert names, query
        for name in names:
            assert name in known, name
        labels = set(re.findall(r'(\w+)(?:=|=~|!=)"', query))
        labels |= {label.strip() for listed in re.findall(r"by \(([^)]+)\)", query) for label in listed.split(",")}
        assert labels <= set.intersection(*(known[name] for name in names)), query


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {re.sub("_(bucket|count|sum)$", "", name) for query in queries() for name in NAME.findall(query)}
    assert offered().keys() <= shown


def test_gauges_of_the_whole_installation_are_never_added_up() -> None:
    for query in queries():
        if any(f"postroom_{name}" in NAME.findall(query) for name in metrics.INSTALLATION._families):
            assert query.startswith("max"), query


def test_the_dashboard_has_its_rows_and_asks_the_data_source_that_is_chosen() -> None:
    assert DASHBOARD["schemaVersion"] == 39, "of Grafana 11"
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == ROWS
    variables = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query"}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            for asked in (panel, *panel["targets"]):
                assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
