"""Every founder of a running cluster is replaced, while a client reads its floating address."""

import pytest

from grown import Grown, assert_one_cluster, whole
from observe import ids, own_lab, spec_as_user_data, status, tags, until, wait_for
from outages import watched

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(1500)]

SIZE = 3
ADDRESS = "10.0.0.68"
SPEC = f"""[cluster]
name = "web"
size = {SIZE}

[[address]]
private_ip = "{ADDRESS}"
"""
FAILOVER = 75.0
"""Seconds that the address may be away while its node is fenced; twenty at rest."""


def test_three_founders_are_replaced_and_each_costs_one_failover_at_most() -> None:
    with own_lab("roll") as lab:
        data = spec_as_user_data(SPEC)
        founders = lab.launch(SIZE, tags=tags("web", SIZE), user_data=data)
        wait_for(lab, "healthy", ids(founders))
        uuid = status(lab, founders[0].instance_id)["cluster"]["uuid"]
        grown = Grown(lab, uuid, list(founders))
        with watched(lab, ADDRESS) as outages:
            for founder in founders:
                [successor] = lab.launch(1, tags=tags("web", SIZE), user_data=data)
                wait_for(lab, "formed", [successor.instance_id])
                grown.nodes.append(successor)
                for node in grown.nodes:
                    whole(grown, node)
                lab.terminate(founder.instance_id)
                grown.nodes.remove(founder)
                for node in grown.nodes:
                    whole(grown, node)
        print(f"three founders replaced: {ADDRESS}: {outages.told()}")
        assert_one_cluster(grown)
        until(lab, grown.nodes[0].instance_id, lambda now: now["addresses"][0]["agrees"])
        assert len(outages.seconds) <= SIZE
        assert max(outages.seconds, default=0.0) < FAILOVER
