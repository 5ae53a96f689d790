"""Statuses to draw: what an administrator may find, besides the plain ones of conftest."""

from dataclasses import replace

from tests.unit.client.conftest import formed, node, waiting

from muster import api

HEARD = "2026-01-01T00:04:45Z"


def fenced() -> api.Status:
    """A formed cluster whose third node was fenced: its address moved, and its agent was tried."""
    status = formed()
    lost = replace(status.nodes[2], online=False, last_heard="2026-01-01T00:03:12Z")
    address = status.addresses[0]
    return replace(
        status,
        reason="web is formed; offline: ip-10-0-0-13",
        next="look at them",
        nodes=(*status.nodes[:2], lost),
        addresses=(replace(address, agrees=False, views={**address.views, "ec2": "ip-10-0-0-13"}),),
        resources=(
            status.resources[0],
            api.ResourceStatus(
                "privip-10-0-0-68", "ocf:heartbeat:awsvip", "networking-group", "Failed", ""
            ),
        ),
        findings=(
            api.FindingStatus(
                "warning",
                "privip-10-0-0-68 start failed on ip-10-0-0-11: timed out",
                "look at it, then type `pcs resource cleanup`",
            ),
        ),
    )


def zoned(number: int, *, domain: str = "") -> api.NodeStatus:
    """A formed member in one of three zones."""
    return api.NodeStatus(
        instance_id=f"i-0{number:02}3456789abcdef{number % 10}",
        name=f"ip-10-0-{number % 3}-{10 + number}{domain}",
        address=f"10.0.{number % 3}.{10 + number}",
        zone=f"eu-west-1{'abc'[number % 3]}",
        phase="formed",
        online=True,
        last_heard=HEARD,
    )


def sixteen() -> api.Status:
    """The largest cluster, in three zones, with two addresses and seven resources; one is lost."""
    nodes = tuple(zoned(number) for number in range(1, 17))
    nodes = (*nodes[:11], replace(nodes[11], online=False), *nodes[12:])
    own = nodes[0]
    names = [each.name for each in nodes]
    resources = [api.ResourceStatus("fence-web", "stonith:fence_aws", "", "Started", names[1])]
    for part in ("privip", "vip", "elastic"):
        agent = {"privip": "awsvip", "vip": "IPaddr2", "elastic": "awseip"}[part]
        resources += [
            api.ResourceStatus(
                f"{part}-10-0-0-{last}", f"ocf:heartbeat:{agent}", group, "Started", names[0]
            )
            for last, group in ((68, "networking-group"), (69, "mail"))
        ]
    address = formed().addresses[0]
    views = dict.fromkeys(address.views, names[0])
    return replace(
        formed(),
        reason=f"web is formed; offline: {names[11]}",
        next="look at them",
        self=api.SelfStatus(own.instance_id, own.name, own.address, own.zone, conductor=True),
        cluster=replace(formed().cluster, size=16, dc=names[0]),
        nodes=nodes,
        fencing=api.FencingStatus(
            "fence-web",
            "fence_aws",
            {each.name: each.instance_id for each in nodes},
            tuple(api.ProofStatus(name, "permissions", HEARD) for name in names),
        ),
        addresses=tuple(
            replace(address, private_ip=f"10.0.0.{last}", node=names[0], views=views)
            for last in (68, 69)
        ),
        resources=tuple(resources),
    )


def wide() -> api.Status:
    """Three members with the long host names that EC2 gives by default on some images."""
    domain = ".ap-southeast-2.compute.internal"
    nodes = tuple(zoned(number, domain=domain) for number in (1, 2, 3))
    status = formed()
    views = dict.fromkeys(status.addresses[0].views, nodes[0].name)
    own = nodes[0]
    return replace(
        status,
        self=api.SelfStatus(own.instance_id, own.name, own.address, own.zone),
        cluster=replace(status.cluster, dc=own.name),
        nodes=nodes,
        fencing=api.FencingStatus("fence-web", "fence_aws", {n.name: n.instance_id for n in nodes}),
        addresses=(replace(status.addresses[0], node=own.name, views=views),),
        resources=tuple(replace(each, node=own.name) for each in status.resources),
    )


def silent() -> api.Status:
    """A founder that EC2 lists and nobody has heard, another that says what it does."""
    status = waiting()
    return replace(
        status,
        findings=(),
        nodes=(
            *status.nodes,
            replace(
                node(3, "", online=False, heard=""),
                name="",
                reason="ip-10-0-0-13 does not answer: nobody listens on 10.0.0.13 port 7224",
            ),
        ),
    )
