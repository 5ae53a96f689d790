"""Instances of an image as the distribution makes it: its own one-node cluster runs at boot."""

import json

import pytest

from observe import ids, own_lab, said, status, tags, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


def test_the_distributions_stub_cluster_gives_way() -> None:
    with own_lab("stock") as lab:
        nodes = ids(lab.launch(2, tags=tags("web", 2), stock=True))
        wait_for(lab, "healthy", nodes)
        assert len({status(lab, node)["cluster"]["uuid"] for node in nodes}) == 1
        for node in nodes:
            lines = said(lab, node, "muster", "events", "--json").splitlines()
            told = [json.loads(line)["message"] for line in lines]
            assert "the distribution's one-node cluster stops" in told  # it did run
            assert "debian" not in said(lab, node, "cat", "/etc/corosync/corosync.conf")
            # On disk, which is what counts at boot; PID 1's own word may be older.
            assert said(lab, node, "systemctl", "is-enabled", "corosync", "pacemaker").split() == [
                "enabled",
                "enabled",
            ]
