"""The running cluster, read from the file that crm_mon keeps (muster-watch.service)."""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from musterd.adapters.inotify import FileWatch
from musterd.model import ClusterResource, ClusterState, ResourceState

CRM_MON_FILE = Path("/run/muster-watch/crm_mon.xml")


class CrmMonFile:
    """Port `Cluster`. crm_mon rewrites its file in place, so a reader may meet half of it."""

    def __init__(self, path: Path = CRM_MON_FILE) -> None:
        self._path = path
        self._watch = FileWatch(path)
        self._latest: ClusterState | None = None

    def state(self) -> ClusterState | None:
        """Return the latest state, None while there is none (not running, or not written yet)."""
        try:
            document = self._path.read_bytes()
        except OSError:
            # The folder is there only while Pacemaker runs, and is not readable at its first
            # instant; every other reason is equally "nothing known".
            self._latest = None
            return None
        try:
            # Written by hacluster, who owns the cluster anyway.
            root = ElementTree.fromstring(document)  # noqa: S314
        except ElementTree.ParseError:
            return self._latest  # being rewritten: its end is announced as another change
        self._latest = parse_state(root)
        return self._latest

    async def changed(self) -> None:
        """Return when the file may have changed; at once when called for the first time.

        Raises:
            MusterError: the kernel grants no watch.
        """
        await self._watch.changed()

    def holds(self, address: str) -> bool:
        """Tell whether this node's kernel has the address: whether one may bind to it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            try:
                probe.bind((address, 0))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    return False
                raise
        return True

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()


def parse_state(root: ElementTree.Element) -> ClusterState | None:
    """Read crm_mon's XML (Pacemaker 2.1 `pacemaker-result`, 2.0 `crm_mon`).

    None when it only says that crm_mon is not connected to a cluster.
    """
    summary, nodes = root.find("summary"), root.find("nodes")
    if summary is None or nodes is None:
        return None
    dc = summary.find("current_dc")
    present = dc is not None and dc.get("present") == "true"
    online: list[str] = []
    offline: list[str] = []
    for node in nodes.iterfind("node"):
        if node.get("type", "member") != "member":
            continue
        # A node that is still joining counts as online for crm_mon already.
        up = node.get("online") == "true" and node.get("pending") != "true"
        (online if up else offline).append(node.get("name", ""))
    return ClusterState(
        dc=dc.get("name", "") if dc is not None and present else "",
        quorate=dc is not None and present and dc.get("with_quorum") == "true",
        online=tuple(online),
        offline=tuple(offline),
        resources=tuple(_resources(root.find("resources"), "")),
        failures=tuple(_failure(each) for each in root.iterfind("failures/failure")),
        unfenced=summary.find("cluster_options[@stonith-enabled='false']") is not None,
        maintained=summary.find("cluster_options[@maintenance-mode='true']") is not None,
    )


def _resources(within: ElementTree.Element | None, group: str) -> Iterator[ClusterResource]:
    for element in () if within is None else within:
        match element.tag:
            case "resource":
                yield from _resource(element, group)
            case "group":
                yield from _resources(element, element.get("id", ""))
            case "clone" | "bundle" | "replica":
                yield from _resources(element, group)


def _resource(element: ElementTree.Element, group: str) -> Iterator[ClusterResource]:
    """Yield one entry, or one for each node where it runs (more than one is worth seeing)."""
    places = [node.get("name", "") for node in element.iterfind("node")] or [""]
    for place in places:
        yield ClusterResource(
            id=element.get("id", ""),
            agent=element.get("resource_agent", ""),
            group=group,
            state=_state(element),
            node=place,
        )


# Pacemaker's roles (rsc_role_e) of what has been started; Master and Slave are older names.
_RUNNING = {"Started", "Promoted", "Unpromoted", "Master", "Slave"}


def _state(element: ElementTree.Element) -> ResourceState:
    """Tell the state by the role.

    While an action is under way the role is its name ("Starting", and `active` is true already),
    except for a monitor: that is an attribute `pending="Monitoring"` of a started resource.
    """
    role = element.get("role", "")
    if element.get("failed") == "true":
        return ResourceState.FAILED
    if role in _RUNNING:
        return ResourceState.STARTED
    return ResourceState.STOPPED if role in {"Stopped", "Unknown"} else ResourceState.PENDING


def _failure(element: ElementTree.Element) -> str:
    # `op_key` for actions of resources, `id` and `task` in later versions.
    action = element.get("op_key") or f"{element.get('id', '?')} {element.get('task', '?')}"
    sentence = f"{action} on {element.get('node', '?')}: {element.get('exitstatus', 'failed')}"
    reason = element.get("exitreason") or ""
    return f"{sentence} ({reason})" if reason else sentence
