"""The lab's control socket: HTTP and JSON over a unix socket that only root can open."""

import asyncio
import base64
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from muster_lab.firewall import Cut, Direction, Partition
from muster_lab.image import Image
from muster_lab.layout import Layout
from muster_lab.machines import Hypervisor
from muster_lab.network import Network
from muster_lab.ports import MachineError
from muster_lab.region import (
    DEFAULT_TYPE,
    IMAGES,
    AwsError,
    Fault,
    Instance,
    MetadataOptions,
    Policy,
    Region,
    State,
)

PROFILE = "muster-node"
"""The instance profile nodes get: without one IMDS has no credentials."""

_STOCK = {image.stock: image.image_id for image in IMAGES}


class Control:
    """The handlers, each a thin wrapper of the region or the hypervisor."""

    def __init__(
        self,
        layout: Layout,
        region: Region,
        hypervisor: Hypervisor,
        network: Network,
        stop: asyncio.Event,
    ) -> None:
        self._layout = layout
        self._region = region
        self._hypervisor = hypervisor
        self._network = network
        self._stop = stop

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[_explain])
        app.add_routes(
            [
                web.get("/v1/lab", self.lab),
                web.get("/v1/nodes", self.nodes),
                web.post("/v1/nodes", self.launch),
                web.post("/v1/nodes/{node}/{action}", self.act),
                web.post("/v1/partitions", self.partition),
                web.delete("/v1/partitions", self.heal),
                web.get("/v1/faults", self.faults),
                web.post("/v1/faults", self.add_fault),
                web.delete("/v1/faults", self.clear_faults),
                web.get("/v1/calls", self.calls),
                web.put("/v1/policy", self.set_policy),
                web.post("/v1/shutdown", self.shut_down),
            ]
        )
        return app

    async def lab(self, _request: web.Request) -> web.Response:
        """What commands outside the nodes need to know."""
        return web.json_response(
            {
                "name": self._layout.name,
                "region": self._region.estate.region,
                "layers": [str(each) for each in self._hypervisor.image.layers],
            }
        )

    async def nodes(self, _request: web.Request) -> web.Response:
        """All instances in the order of their launch."""
        return web.json_response([self._node(each) for each in self._region.describe()])

    async def launch(self, request: web.Request) -> web.Response:
        """RunInstances; answers when the guests' first processes run."""
        body = await request.json()
        if layers := body.get("layers"):
            self._hypervisor.image = Image(tuple(map(Path, layers)))
        made = await self._region.run_instances(
            body["count"],
            tags=body["tags"],
            user_data=base64.b64decode(body["user_data"]) if body.get("user_data") else None,
            image_id=_STOCK[body["stock"]],
            profile=body.get("profile", PROFILE),
            subnet_id=body.get("subnet_id"),
            instance_type=body.get("instance_type") or DEFAULT_TYPE,
            metadata=MetadataOptions(enabled=body["imds"], tags=body["metadata_tags"]),
        )
        for each in made:
            await self._region.settled(each.instance_id)
        if failed := [each.instance_id for each in made if each.state is not State.RUNNING]:
            raise MachineError(
                f"cannot boot {', '.join(failed)}: see {self._layout.server_log} and the "
                f"console.log files under {self._layout.disks}"
            )
        return web.json_response([self._node(each) for each in made])

    async def act(self, request: web.Request) -> web.Response:
        """Do one thing to one node; answers when it is done, not when it is begun."""
        instance = self._find(request.match_info["node"])
        options = await request.json() if request.can_read_body else {}
        instance_id = instance.instance_id
        match request.match_info["action"]:
            case "kill":
                await self._hypervisor.crash(instance_id)
            case "boot":
                await self._hypervisor.boot(self._hypervisor.known(instance_id))
            case "freeze":
                self._hypervisor.freeze(instance_id)
            case "thaw":
                self._hypervisor.thaw(instance_id)
            case "stop":
                await self._region.stop_instance(instance_id, force=options.get("force", False))
            case "start":
                await self._region.start_instance(instance_id)
            case "reboot":
                await self._region.reboot_instance(instance_id)
            case "terminate":
                await self._region.terminate_instance(instance_id)
            case other:
                raise MachineError(f"cannot {other} a node: there is no such action")
        if options.get("wait", True):
            await self._region.settled(instance_id)
        return web.json_response(self._node(instance))

    async def partition(self, request: web.Request) -> web.Response:
        """Add one partition; those in force stay."""
        body = await request.json()
        ports = frozenset(
            self._hypervisor.port(self._find(each).instance_id) for each in body["nodes"]
        )
        new = Partition(ports, Cut(body["cut"]), Direction(body["direction"]))
        await self._network.set_partitions((*self._network.partitions, new))
        return web.json_response({})

    async def heal(self, _request: web.Request) -> web.Response:
        """End all partitions."""
        await self._network.set_partitions(())
        return web.json_response({})

    async def faults(self, _request: web.Request) -> web.Response:
        """The faults in force."""
        rules = self._region.faults.list()
        return web.json_response(
            [
                {**asdict(fault), "omit": sorted(fault.omit), "number": number, "hits": hits}
                for number, (fault, hits) in rules.items()
            ]
        )

    async def add_fault(self, request: web.Request) -> web.Response:
        """Put a fault in force; a `caller` may be named like any node."""
        body: dict[str, Any] = await request.json()
        if (caller := body.get("caller", "*")) not in ("*", "admin"):
            body["caller"] = self._find(caller).instance_id
        body["omit"] = frozenset(self._find(each).instance_id for each in body.get("omit", ()))
        number = self._region.faults.add(Fault(**body))
        return web.json_response({"number": number})

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """End all faults."""
        self._region.faults.clear()
        return web.json_response({})

    async def calls(self, request: web.Request) -> web.Response:
        """The log of API and IMDS calls."""
        query = request.query
        caller = query.get("caller")
        if caller not in (None, "admin", "unknown"):
            caller = self._find(caller).instance_id
        found = self._region.calls.list(
            service=query.get("service"), action=query.get("action"), caller=caller
        )
        return web.json_response([each.as_json() for each in found])

    async def set_policy(self, request: web.Request) -> web.Response:
        """Put the nodes' role under a policy; without one it may do everything."""
        self._region.permissions.set(PROFILE, Policy(await request.json()))
        return web.json_response({})

    async def shut_down(self, _request: web.Request) -> web.Response:
        """End the lab."""
        self._stop.set()
        return web.json_response({})

    def _find(self, wanted: str) -> Instance:
        """An instance by its id, host name or number.

        A host name means the newest instance that has it: addresses are given out again.
        """
        everything = self._region.describe()
        if wanted.isdecimal() and 1 <= int(wanted) <= len(everything):
            return everything[int(wanted) - 1]
        for each in reversed(everything):
            if wanted in (each.instance_id, each.hostname):
                return each
        raise MachineError(f"cannot find node {wanted}: `lab list` shows ids, names and numbers")

    def _node(self, instance: Instance) -> dict[str, Any]:
        leader = self._hypervisor.leader(instance.instance_id)
        machine = "down" if leader is None else "up"
        if leader is not None and self._hypervisor.frozen(instance.instance_id):
            machine = "frozen"
        interface = instance.interface
        number = [each.instance_id for each in self._region.describe()].index(instance.instance_id)
        return {
            "number": number + 1,
            "instance_id": instance.instance_id,
            "hostname": instance.hostname,
            "address": str(interface.primary) if interface else None,
            "addresses": [str(each) for each in interface.addresses] if interface else [],
            "zone": instance.zone,
            "state": instance.state.value,
            "machine": machine,
            "leader": leader,
            "tags": instance.tags,
            "launch_time": instance.launch_time.isoformat(),
        }


@web.middleware
async def _explain(request: web.Request, handler: Any) -> web.StreamResponse:
    """Turn what went wrong into one sentence."""
    try:
        response: web.StreamResponse = await handler(request)
    except (MachineError, AwsError, ValueError, KeyError, TypeError, OSError) as error:
        sentence = f"missing {error}" if isinstance(error, KeyError) else str(error)
        return web.json_response({"error": sentence}, status=409)
    return response
