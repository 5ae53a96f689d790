"""The metrics tell what the status tells; what watches them names only what exists."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from tests.unit.client.conftest import formed
from tests.unit.client.states import fenced

from muster import api
from musterd.metrics import metrics_of

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "packaging" / "monitoring"
OTHERS = {"node_textfile_mtime_seconds"}  # the node exporter's own
EVENTS = {"phase": 2, "step": 1}


def samples(status: api.Status) -> dict[str, str]:
    """Return the samples by what stands before their value."""
    lines = metrics_of(status, 7, EVENTS).splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: value for name, _, value in pairs}


def test_one_phase_is_on() -> None:
    on = [name for name, value in samples(formed()).items() if "phase{" in name and value == "1"]
    assert on == ['muster_phase{phase="formed"}']


@pytest.mark.parametrize(
    ("name", "healthy", "hurt"),
    [
        ("muster_quorate", "1", "1"),
        ("muster_conductor", "1", "1"),
        ("muster_election_term", "7", "7"),
        ('muster_node_online{node="ip-10-0-0-13"}', "1", "0"),
        ('muster_node_heard_timestamp_seconds{node="ip-10-0-0-13"}', "1767225897", "1767225792"),
        ('muster_address_agrees{private_ip="10.0.0.68"}', "1", "0"),
        ('muster_findings{severity="warning"}', "0", "1"),
        ('muster_findings{severity="error"}', "0", "0"),
        ('muster_resource_started{resource="fence-web"}', "1", "1"),
        ("muster_phase_entered_timestamp_seconds", "1767225660", "1767225660"),
        ('muster_events_total{kind="phase"}', "2", "2"),
    ],
)
def test_each_sample_is_what_the_status_says(name: str, healthy: str, hurt: str) -> None:
    assert samples(formed())[name] == healthy
    assert samples(fenced())[name] == hurt


def test_what_was_never_proven_is_zero() -> None:
    status = formed()
    bare = replace(status, fencing=replace(status.fencing, proved=status.fencing.proved[:1]))
    name = 'muster_fencing_proved_timestamp_seconds{{node="ip-10-0-0-1{}"}}'
    assert samples(bare)[name.format(1)] == "1767225650"
    assert samples(bare)[name.format(2)] == "0"


def test_a_name_cannot_break_out_of_its_label() -> None:
    status = formed()
    odd = replace(status, resources=(replace(status.resources[0], id='a"} 1\nb\\'),))
    assert samples(odd)['muster_resource_started{resource="a\\"} 1\\nb\\\\"}'] == "1"


def families() -> set[str]:
    text = metrics_of(formed(), 7, EVENTS)
    told = set(re.findall(r"^# HELP (\w+) .+\.$", text, re.MULTILINE))
    assert told == set(re.findall(r"^# TYPE (\w+) (?:gauge|counter)$", text, re.MULTILINE))
    return told


def expressions(name: str) -> list[str]:
    """Return every expression in a file for Prometheus or Grafana."""
    text = (MONITORING / name).read_text(encoding="utf-8")
    if name.endswith(".yml"):
        rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
        assert all({"summary", "next"} <= rule["annotations"].keys() for rule in rules)
        return [rule["expr"] for rule in rules]
    board = json.loads(text)
    queries = [each["query"]["query"] for each in board["templating"]["list"][1:]]
    return queries + [each["targets"][0]["expr"] for each in board["panels"]]


@pytest.mark.parametrize("name", ["alerts.yml", "grafana-dashboard.json"])
def test_every_metric_that_is_watched_exists(name: str) -> None:
    watched = {
        word for each in expressions(name) for word in re.findall(r"\b(?:muster|node)_\w+", each)
    }
    assert len(watched) > 8
    assert watched - OTHERS <= families()


@pytest.mark.parametrize("name", ["alerts.yml", "grafana-dashboard.json"])
def test_every_label_that_is_watched_exists(name: str) -> None:
    text = metrics_of(formed(), 7, EVENTS)
    for expression in expressions(name):
        for metric, matchers in re.findall(r"\b(muster_\w+)\{([^}]*)\}", expression):
            for label in re.findall(r"(\w+)[!=]", matchers):
                assert re.search(rf"^{metric}\{{[^}}]*\b{label}=", text, re.MULTILINE), expression


def test_every_metric_is_watched_or_told_in_the_journal_s_page() -> None:
    page = (ROOT / "docs" / "journal.md").read_text(encoding="utf-8")
    assert {name for name in families() if f"`{name}" not in page} == set()
