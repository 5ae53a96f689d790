"""`start` starts the decided cluster, whole, and no other."""

import pytest
from fake_node import IDENTITY, LAY, FakeNode

from muster_helper.children import Ran
from muster_helper.lay import lay
from muster_helper.prepare import prepare
from muster_helper.start import start
from muster_helper.survey import survey
from musterd.errors import HelperError
from musterd.helper_wire import PrepareParams, StartParams, SurveyParams

PARAMS = StartParams(IDENTITY)


def test_both_are_enabled_and_running(node: FakeNode) -> None:
    lay(node.host(), LAY)
    assert len(start(node.host(), PARAMS).changed) == 2
    facts = survey(node.host(), SurveyParams(IDENTITY))
    assert facts.enabled
    assert facts.running
    assert start(node.host(), PARAMS).changed == ()


def test_a_stopped_cluster_is_started_again(node: FakeNode) -> None:
    lay(node.host(), LAY)
    start(node.host(), PARAMS)
    node.units["pacemaker.service"][1] = "failed"
    assert start(node.host(), PARAMS).changed == ("corosync and pacemaker run",)


def test_nothing_starts_before_the_files_are_there(node: FakeNode) -> None:
    with pytest.raises(HelperError, match="not that of cluster web"):
        start(node.host(), PARAMS)
    assert node.units["corosync.service"][1:] == ["inactive", "disabled"]


def test_a_torn_key_is_refused(node: FakeNode) -> None:
    lay(node.host(), LAY)
    (node.root / "etc/pacemaker/authkey").unlink()
    with pytest.raises(HelperError) as refused:
        start(node.host(), PARAMS)
    assert refused.value.refused


def test_a_masked_unit_is_refused_with_the_cure(node: FakeNode) -> None:
    lay(node.host(), LAY)
    node.units["corosync.service"][0] = "masked"
    with pytest.raises(HelperError) as refused:
        start(node.host(), PARAMS)
    assert "systemctl unmask corosync.service" in refused.value.cure


def test_a_failed_start_tells_what_the_journal_says(node: FakeNode) -> None:
    lay(node.host(), LAY)
    start(node.host(), PARAMS)
    node.units["corosync.service"][1] = "failed"
    systemctl = node._systemctl

    def fails(words: list[str], stdin: bytes) -> Ran | str:
        if words[0] == "start":
            return Ran(1, "", "Job for corosync.service failed")
        return systemctl(words, stdin)

    node._systemctl = fails  # type: ignore[assignment,method-assign]
    node.answers["journalctl"] = Ran(0, "parse error in config: no interface\n", "")
    with pytest.raises(HelperError, match="no interface"):
        start(node.host(), PARAMS)


def test_a_cluster_is_enabled_where_the_distributions_own_was(stock: FakeNode) -> None:
    """PID 1 goes on telling what a unit was when it loaded it, until it is told to look again."""
    prepare(stock.host(), PrepareParams("eu-west-1"))
    lay(stock.host(), LAY)
    start(stock.host(), StartParams(IDENTITY))
    stock(["systemctl", "daemon-reload"], timeout=1)
    for name in ("corosync", "pacemaker"):
        assert stock.units[f"{name}.service"][1:] == ["active", "enabled"]
