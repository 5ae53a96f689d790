"""The lab as a Python object, for tests and for the `lab` command."""

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from muster_lab import cleanup, enter, image, requirements
from muster_lab.layout import CA_CERTIFICATE, DEFAULT_NAME, RUN, Layout
from muster_lab.ports import MachineError
from muster_lab.region import ADMIN_KEY, ADMIN_SECRET, ensure_ca
from muster_lab.socket_http import request
from muster_lab.views import Call, Node

CHECKOUT = Path(__file__).resolve().parents[3]

END_TIMEOUT = 30.0
"""Seconds the server gets to end by itself before it is killed."""

# PID 1 runs before its socket and the bus are there. `running` and `degraded` both end the boot.
_BOOTED = """
until [ -S /run/systemd/private ] && [ -S /run/dbus/system_bus_socket ]; do sleep 0.1; done
until said=$(systemctl is-system-running --wait 2>/dev/null) || [ "$said" = degraded ]
do sleep 0.1; done
"""


def say_on_stderr(line: str) -> None:
    """Progress, for a person."""
    print(f"lab: {line}", file=sys.stderr, flush=True)


class Lab:
    """One lab, up or down.

    Every method that changes something returns when it has happened. Nodes are named by instance
    id, host name or number (1 is the first ever launched).

    Raises:
        MachineError: from any method, with a sentence that says what went wrong.
    """

    def __init__(self, name: str | None = None) -> None:
        self.layout = Layout(name or os.environ.get("MUSTER_LAB") or DEFAULT_NAME)
        self._process: subprocess.Popen[bytes] | None = None  # the server, if started from here

    # --- life -----------------------------------------------------------------------------------

    def running(self) -> bool:
        """Whether the lab server answers."""
        try:
            self._ask("GET", "/v1/lab")
        except MachineError:
            return False
        return True

    def prepare(self, *, package: Path | None) -> image.Image:
        """Build what the image still lacks.

        Args:
            package: the .deb that nodes get, or None for nodes without it.
        """
        if reason := requirements.why_not():
            raise MachineError(reason)
        certificate = ensure_ca(CA_CERTIFICATE.parent)
        return image.build(package=package, ca_certificate=certificate, say=say_on_stderr)

    def start(self, built: image.Image, *, region: str = "eu-west-1") -> None:
        """Start the server, with its networks and no nodes, unless it runs."""
        if self.running():
            return
        self.down()
        self.layout.run.mkdir(parents=True, exist_ok=True)
        enter.scratch(self.layout).mkdir()
        self._write_credentials()
        told, ready = os.pipe()
        with self.layout.server_log.open("ab") as log:
            server = self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "muster_lab.server", self.layout.name),
                    *(f"--layer={each}" for each in built.layers),
                    f"--region={region}",
                    f"--ready={ready}",
                ],
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[ready],
                start_new_session=True,
            )
        os.close(ready)
        with os.fdopen(told, "rb") as pipe:
            if pipe.readline() == b"ready\n":
                return
        server.wait()
        log_text = "nothing"
        if self.layout.server_log.exists():
            log_text = self.layout.server_log.read_text(errors="replace")[-2000:]
        self.down()
        raise MachineError(f"cannot start the lab server; it said: {log_text}")

    def up(
        self,
        count: int = 3,
        *,
        package: Path | None = None,
        tags: Mapping[str, str] | None = None,
        user_data: bytes | None = None,
        stock: bool = False,
    ) -> list[Node]:
        """Start the lab if needed and launch `count` nodes; see `prepare` for `package`."""
        built = self.prepare(package=package)
        self.start(built)
        return self.launch(count, tags=tags, user_data=user_data, stock=stock, built=built)

    def down(self) -> None:
        """End everything of the lab, whatever state it is in; nothing stays but the image."""
        server = self._server()
        if server is not None:
            try:
                self._ask("POST", "/v1/shutdown")
                _wait_for_end(server, END_TIMEOUT)
            except MachineError:
                _kill(server)
        if self._process is not None:
            self._process.wait()
        cleanup.sweep(self.layout)
        if left := cleanup.leftovers(self.layout):
            raise MachineError(f"cannot remove {', '.join(left)}: look at what holds it")

    def purge(self) -> None:
        """Take the lab down and remove the cached image as well."""
        self.down()
        if others := sorted(each.name for each in RUN.glob("*")):
            raise MachineError(
                f"cannot remove the image: lab {others[0]} uses it; take that down first"
            )
        image.purge()

    # --- nodes ----------------------------------------------------------------------------------

    def launch(
        self,
        count: int = 1,
        *,
        tags: Mapping[str, str] | None = None,
        user_data: bytes | None = None,
        stock: bool = False,
        imds: bool = True,
        metadata_tags: bool = True,
        built: image.Image | None = None,
        subnet_id: str | None = None,
        instance_type: str | None = None,
    ) -> list[Node]:
        """RunInstances; returns when the guests' first processes run."""
        body = {
            "count": count,
            "tags": dict(tags or {}),
            "user_data": base64.b64encode(user_data).decode() if user_data else None,
            "stock": stock,
            "imds": imds,
            "metadata_tags": metadata_tags,
            "layers": [str(each) for each in built.layers] if built else None,
            "subnet_id": subnet_id,
            "instance_type": instance_type,
        }
        return [Node.from_json(each) for each in self._ask("POST", "/v1/nodes", body)]

    def nodes(self) -> list[Node]:
        """All instances ever launched, terminated ones too."""
        return [Node.from_json(each) for each in self._ask("GET", "/v1/nodes")]

    def node(self, wanted: str) -> Node:
        """One node by instance id, host name (the newest that has it) or number."""
        everything = self.nodes()
        if wanted.isdecimal() and 1 <= int(wanted) <= len(everything):
            return everything[int(wanted) - 1]
        for each in reversed(everything):
            if wanted in (each.instance_id, each.hostname):
                return each
        raise MachineError(f"cannot find node {wanted}: `lab list` shows ids, names and numbers")

    def kill(self, node: str) -> Node:
        """Crash: off the wire, then dead; EC2 goes on saying `running`."""
        return self._act(node, "kill")

    def boot(self, node: str) -> Node:
        """Boot a node that was killed, with the disk it had."""
        return self._act(node, "boot")

    def freeze(self, node: str) -> Node:
        """Stop the node where it is, as a hung kernel would."""
        return self._act(node, "freeze")

    def thaw(self, node: str) -> Node:
        """Let a frozen node run on."""
        return self._act(node, "thaw")

    def stop(self, node: str, *, force: bool = False, wait: bool = True) -> Node:
        """StopInstances."""
        return self._act(node, "stop", force=force, wait=wait)

    def start_node(self, node: str, *, wait: bool = True) -> Node:
        """StartInstances."""
        return self._act(node, "start", wait=wait)

    def reboot(self, node: str, *, wait: bool = True) -> Node:
        """RebootInstances."""
        return self._act(node, "reboot", wait=wait)

    def terminate(self, node: str, *, wait: bool = True) -> Node:
        """TerminateInstances."""
        return self._act(node, "terminate", wait=wait)

    def snapshot(self, node: str, name: str) -> Path:
        """Copy a stopped node's root volume; returns the copy, which ends with the lab."""
        kept = self._root_volume(node).with_name(name)
        subprocess.run(["cp", "-a", self._root_volume(node), kept], check=True)
        return kept

    def replace_root(self, node: str, snapshot: Path | None = None) -> None:
        """CreateReplaceRootVolumeTask of a stopped node: from a snapshot, or as it was launched."""
        volume = self._root_volume(node)
        shutil.rmtree(volume)
        if snapshot is not None:
            subprocess.run(["cp", "-a", snapshot, volume], check=True)

    def _root_volume(self, node: str) -> Path:
        found = self.node(node)
        if found.state != "stopped":
            raise MachineError(f"{node} is {found.state}: stop it before you touch its volume")
        return self.layout.disks / found.instance_id / "upper"

    def _act(self, node: str, action: str, **options: bool) -> Node:
        return Node.from_json(self._ask("POST", f"/v1/nodes/{node}/{action}", options))

    # --- commands -------------------------------------------------------------------------------

    def node_command(self, node: str, command: Sequence[str]) -> list[str]:
        """The command line, on this machine, that runs `command` in the node."""
        found = self.node(node)
        if found.leader is None:
            raise MachineError(
                f"cannot run anything on {node}: its machine is {found.machine} and EC2 says "
                f"{found.state}"
            )
        return enter.in_node(found.leader, command)

    def journal(self, node: str) -> Path:
        """Where the node's journal is on this machine, whether it runs or not."""
        folder = self.layout.disks / self.node(node).instance_id / "upper/var/log/journal"
        if not folder.exists():
            raise MachineError(f"cannot find the journal of {node}: its disk is gone")
        return folder

    def place_command(self, place: str, command: Sequence[str]) -> list[str]:
        """The same for the `bastion` and the `internet`."""
        known = self._ask("GET", "/v1/lab")
        return enter.in_namespace(self.layout, place, known["layers"], known["region"], command)

    def run(
        self,
        node: str,
        *command: str,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a node and return what it said."""
        return _run(self.node_command(node, command), command, stdin, check, timeout)

    def outside(
        self,
        *command: str,
        place: str = "bastion",
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the image in the bastion, or on the `internet`."""
        return _run(self.place_command(place, command), command, stdin, check, timeout)

    def aws(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the real aws command as the account's administrator."""
        return self.outside("aws", *arguments, check=check)

    def wait_boot(self, *nodes: str, timeout: float = 180.0) -> None:
        """Wait until the nodes (default: all that run) have finished booting, cloud-init too."""
        chosen = nodes or [each.instance_id for each in self.nodes() if each.machine == "up"]
        deadline = time.monotonic() + timeout
        for each in chosen:
            left = max(deadline - time.monotonic(), 1.0)
            self.run(each, "sh", "-c", _BOOTED, timeout=left)

    # --- trouble --------------------------------------------------------------------------------

    def partition(self, *nodes: str, cut: str = "peers", direction: str = "both") -> None:
        """Take `cut` (peers, api, imds, all) from the nodes; adds to partitions in force."""
        body = {"nodes": nodes, "cut": cut, "direction": direction}
        self._ask("POST", "/v1/partitions", body)

    def heal(self) -> None:
        """End all partitions."""
        self._ask("DELETE", "/v1/partitions")

    def fault(self, action: str, **options: object) -> int:
        """Put a fault in force; options are the fields of `muster_lab.region.Fault`."""
        number: int = self._ask("POST", "/v1/faults", {"action": action, **options})["number"]
        return number

    def faults(self) -> list[dict[str, Any]]:
        """The faults in force, with their hits."""
        found: list[dict[str, Any]] = self._ask("GET", "/v1/faults")
        return found

    def clear_faults(self) -> None:
        """End all faults."""
        self._ask("DELETE", "/v1/faults")

    def enforce(self, policy: Mapping[str, Any]) -> None:
        """Put the nodes' role under a policy document (`muster_lab.region.policy.fill`)."""
        self._ask("PUT", "/v1/policy", dict(policy))

    def calls(
        self, *, action: str | None = None, caller: str | None = None, service: str | None = None
    ) -> list[Call]:
        """The API and IMDS calls so far, oldest first."""
        given = {"action": action, "caller": caller, "service": service}
        query = urlencode({key: value for key, value in given.items() if value})
        return [Call(**each) for each in self._ask("GET", f"/v1/calls?{query}")]

    # --- inside ---------------------------------------------------------------------------------

    def _ask(self, method: str, target: str, body: object = None) -> Any:
        try:
            return request(self.layout.control_socket, method, target, body)
        except (ConnectionError, FileNotFoundError):
            raise MachineError(
                f"cannot reach lab {self.layout.name}: it is not up; run `lab up`"
            ) from None

    def _server(self) -> int | None:
        """The server's process id, if such a process exists and is a lab server of this name."""
        try:
            pid = int(self.layout.pid_file.read_text(encoding="ascii"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ValueError):
            return None
        ours = b"muster_lab.server" in words and self.layout.name.encode() in words
        return pid if ours else None

    def _write_credentials(self) -> None:
        path = enter.credentials(self.layout)
        path.touch(mode=0o600)
        path.write_text(
            f"[default]\naws_access_key_id = {ADMIN_KEY}\naws_secret_access_key = {ADMIN_SECRET}\n",
            encoding="ascii",
        )


def _run(
    line: Sequence[str], command: Sequence[str], stdin: str | None, check: bool, timeout: float
) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            line, input=stdin or "", capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise MachineError(f"`{' '.join(command)}` did not end within {timeout:.0f} s") from None
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise MachineError(f"`{' '.join(command)}` ended with {done.returncode}: {said}")
    return done


def _wait_for_end(pid: int, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline:
            _kill(pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # it may be our own child: a zombie is an end too
        time.sleep(0.02)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
