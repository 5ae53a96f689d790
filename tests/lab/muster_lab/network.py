"""A lab's network: namespaces, the bridge that plays the VPC, and its edge."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from muster_lab.commands import run
from muster_lab.firewall import Partition, VpcState, edge_rules, vpc_rules
from muster_lab.layout import Layout
from muster_lab.ports import Machine

BRIDGE = "bridge"
BASTION_PORT = "bastion"
BASTION_ADDRESS = IPv4Address("10.0.0.250")
ROUTER = "10.0.0.1"
# Router and resolver of the first subnet, IMDS, and the router of a second subnet.
AWS_ADDRESSES = (f"{ROUTER}/24", "10.0.0.2/32", "169.254.169.254/32", "10.0.1.1/24")
ELASTIC_POOL = "203.0.113.0/24"
INTERNET_ROUTER = "198.51.100.1"
INTERNET_HOST = "198.51.100.10"

# Linux names at most 15 characters; the instance id's tail is what differs.
_PORT_LENGTH = 15


def port_of(instance_id: str) -> str:
    """The name of an instance's port on the bridge."""
    return instance_id.removeprefix("i-")[-_PORT_LENGTH:]


class Network:
    """Makes and changes the network of one lab; nothing is added to the machine's own."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._vpc = VpcState({BASTION_PORT: frozenset({BASTION_ADDRESS})})
        self._routes: dict[IPv4Network, IPv4Address] = {}
        self._rules = asyncio.Lock()

    async def set_up(self) -> None:
        """Make the namespaces of AWS, the VPC, the bastion and the internet.

        Raises:
            MachineError: a tool failed.
        """
        for each in ("aws", "vpc", "bastion", "internet"):
            await self._add_namespace(each)
        await self._ip("vpc", f"link add {BRIDGE} type bridge stp_state 0 mcast_snooping 0")
        await self._ip("vpc", f"link set {BRIDGE} up")
        await self._plug("aws", "vpc", "aws")
        for each in AWS_ADDRESSES:
            await self._ip("aws", f"address add {each} dev vpc")
        await self._plug("bastion", "eth0", BASTION_PORT)
        await self._ip("bastion", f"address add {BASTION_ADDRESS}/24 dev eth0")
        await self._ip("bastion", f"route add default via {ROUTER}")
        await self._set_up_edge()
        await self._apply_vpc()
        await self.set_elastic({})

    async def _set_up_edge(self) -> None:
        internet = self._layout.namespace("internet")
        await self._ip("aws", f"link add internet type veth peer name eth0 netns {internet}")
        await self._ip("aws", "link set internet up")
        await self._ip("aws", f"address add {INTERNET_ROUTER}/24 dev internet")
        await self._ip("internet", "link set eth0 up")
        await self._ip("internet", f"address add {INTERNET_HOST}/24 dev eth0")
        await self._ip("internet", f"route add {ELASTIC_POOL} via {INTERNET_ROUTER}")
        aws = f"--net={self._layout.namespace_path('aws')}"
        # A router that forwards, never redirects (the VPC is no shared wire).
        for key in ("ip_forward=1", "conf.all.send_redirects=0", "conf.vpc.send_redirects=0"):
            name, value = key.split("=")
            path = "/proc/sys/net/ipv4/" + name.replace(".", "/")
            await run("nsenter", aws, "sh", "-c", f"echo {value} > {path}")

    async def attach(self, machine: Machine) -> None:
        """Make the machine's namespace anew, with its interface up as a DHCP client leaves it."""
        name = machine.instance_id
        await self.detach(name)
        await self._add_namespace(name)
        await self._plug(name, "eth0", port_of(name), mac=machine.mac)
        await self._ip(name, f"address add {machine.address}/{machine.prefix_length} dev eth0")
        await self._ip(name, f"route add default via {machine.gateway}")

    async def detach(self, instance_id: str) -> None:
        """Take the machine off the wire at once, then its namespace away."""
        await self.unplug(instance_id)
        namespace = self._layout.namespace(instance_id)
        if self._layout.namespace_path(instance_id).exists():
            await run("ip", "netns", "delete", namespace)

    async def unplug(self, instance_id: str) -> None:
        """Delete the machine's interface: from now on its peers hear nothing."""
        await run(
            "ip",
            "-n",
            self._layout.namespace("vpc"),
            "link",
            "delete",
            port_of(instance_id),
            check=False,
        )

    async def set_addresses(self, instance_id: str, addresses: frozenset[IPv4Address]) -> None:
        """Let exactly these addresses pass on the instance's port; none removes the port."""
        ports = {**self._vpc.addresses, port_of(instance_id): addresses}
        if not addresses:
            del ports[port_of(instance_id)]
        self._vpc = replace(self._vpc, addresses=ports)
        await self._apply_vpc()

    async def set_partitions(self, partitions: tuple[Partition, ...]) -> None:
        """Have exactly these partitions in force."""
        self._vpc = replace(self._vpc, partitions=partitions)
        await self._apply_vpc()

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The partitions in force."""
        return self._vpc.partitions

    async def set_routes(self, routes: Mapping[IPv4Network, IPv4Address]) -> None:
        """Have the router send exactly these blocks to these private addresses."""
        async with self._rules:
            for block in self._routes.keys() - routes.keys():
                await self._ip("aws", f"route delete {block} dev vpc")
            for block, address in routes.items():
                if self._routes.get(block) != address:
                    await self._ip("aws", f"route replace {block} via {address} dev vpc")
            self._routes = dict(routes)

    async def set_elastic(self, associations: Mapping[IPv4Address, IPv4Address]) -> None:
        """Translate exactly these public addresses at the edge, from the next connection on."""
        await self._nft("aws", edge_rules(associations))

    async def _apply_vpc(self) -> None:
        async with self._rules:
            await self._nft("vpc", vpc_rules(self._vpc))

    async def _nft(self, where: str, rules: str) -> None:
        path = self._layout.namespace_path(where)
        await run("nsenter", f"--net={path}", "nft", "-f", "-", stdin=rules)

    async def _add_namespace(self, what: str) -> None:
        await run("ip", "netns", "add", self._layout.namespace(what))
        await self._ip(what, "link set lo up")

    async def _plug(self, what: str, interface: str, port: str, mac: str | None = None) -> None:
        """Connect `interface` in the namespace of `what` to a new port of the bridge."""
        address = f" address {mac}" if mac else ""
        namespace = self._layout.namespace(what)
        await self._ip(
            "vpc", f"link add {port} type veth peer name {interface}{address} netns {namespace}"
        )
        await self._ip("vpc", f"link set {port} master {BRIDGE} up")
        await self._ip(what, f"link set {interface} up")

    async def _ip(self, what: str, command: str) -> None:
        await run("ip", "-n", self._layout.namespace(what), *command.split())
