"""The lab server: one process that holds a lab's region and machines.

It runs in the network namespace of AWS, keeps the machine's own mount namespace, and answers on a
control socket. It ends on SIGTERM, SIGINT or `POST /v1/shutdown`, and takes all of the lab with it.
"""

import argparse
import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

import structlog
from aiohttp import web

from muster_lab import cleanup
from muster_lab.commands import UMASK
from muster_lab.control import Control
from muster_lab.image import Image
from muster_lab.layout import CA_CERTIFICATE, Layout
from muster_lab.machines import Hypervisor
from muster_lab.network import Network
from muster_lab.region import Region

_CLONE_NEWNET = 0x40000000  # <sched.h>

_log = structlog.get_logger()


def join_network_namespace(path: Path) -> None:
    """Move this thread, and those it starts from now on, into a network namespace (setns(2)).

    Raises:
        OSError: the kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as handle:
        if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"cannot join {path}: {os.strerror(code)}")


async def serve(layout: Layout, image: Image, region_name: str, ready: int) -> None:
    """Run the lab until told to stop, then remove every trace of it.

    Args:
        layout: names and paths.
        image: what machines boot from until a launch names another.
        region_name: of the fake region.
        ready: file descriptor that gets one line when the lab can be used.
    """
    network = Network(layout)
    await network.set_up()
    join_network_namespace(layout.namespace_path("aws"))
    hypervisor = Hypervisor(layout, network, image, region=region_name)
    region = Region(
        hypervisor,
        region=region_name,
        state_dir=layout.run / "region",
        ca_directory=CA_CERTIFICATE.parent,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    control = Control(layout, region, hypervisor, network, stop)
    runner = web.AppRunner(control.application(), shutdown_timeout=1.0)
    await region.start()
    await runner.setup()
    await web.UnixSite(runner, str(layout.control_socket)).start()
    os.write(ready, b"ready\n")
    os.close(ready)
    _log.info("ready", lab=layout.name, region=region_name)
    await stop.wait()
    await runner.cleanup()
    await region.stop()
    await hypervisor.close()


def main() -> int:
    """Parse arguments, serve, sweep."""
    parser = argparse.ArgumentParser(prog="muster_lab.server")
    parser.add_argument("name")
    parser.add_argument("--layer", action="append", required=True, type=Path)
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--ready", required=True, type=int)
    options = parser.parse_args()
    layout = Layout(options.name)
    os.umask(UMASK)
    for folder in (layout.run, layout.disks):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    layout.pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")
    image = Image(tuple(options.layer))
    try:
        asyncio.run(serve(layout, image, options.region, options.ready))
    finally:
        cleanup.sweep(layout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
