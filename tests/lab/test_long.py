"""What takes too long for every run: `make lab-long`."""

import pytest

from observe import ids, own_lab, said, status, tags, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SIZE = 5


def test_five_instances_found_one_cluster() -> None:
    with own_lab("five") as lab:
        nodes = lab.launch(SIZE, tags=tags("five", SIZE))
        wait_for(lab, "healthy", ids(nodes), timeout=600)
        assert len({status(lab, node)["cluster"]["uuid"] for node in ids(nodes)}) == 1
        online = " ".join(sorted(node.hostname for node in nodes))
        assert f"Online: [ {online} ]" in said(lab, nodes[0].instance_id, "pcs", "status")
