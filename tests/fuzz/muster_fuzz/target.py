"""What is fuzzed, in a process of its own: so that its memory is measured, not the generator's.

One JSON line in, one out. `{"input": ...}` gives `{"outcome": ..., "complaints": [...]}`,
`{"measure": true}` gives `{"resident": MiB, "complaints": [...]}`.
"""

import asyncio
import base64
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from muster_fuzz import root_side, tokens
from muster_fuzz.daemon import (
    FIRST,
    OWN,
    SECOND,
    Daemon,
    Surroundings,
    hello_of,
    mint_here,
    whole_daemon,
)
from muster_fuzz.report import Tracebacks, listen_to_log, resident
from muster_fuzz.wire import Wire, exchange
from musterd import trust
from musterd.adapters import tls
from musterd.api.access import Refusals
from musterd.api.control import control_applications
from musterd.api.peer import peer_application
from musterd.api.serve import _runner, serve_control, unix_listener

Answer = tuple[str, list[str]]  # outcome, complaints
Judge = Callable[[Any], Awaitable[Answer]]
SERVER_ERROR = 500
TOKEN = trust.make_token(bytes(range(32)))


async def founder(stack: AsyncExitStack, folder: Path) -> Daemon:
    """Run a daemon that agrees with its peers, so that every word of the election has effect."""
    around = Surroundings(trust.secret_text(TOKEN))
    daemon = await stack.enter_async_context(whole_daemon(folder, around))
    await daemon.until(lambda _: daemon.engine.member_addresses(FIRST) is not None)
    for peer in (FIRST, SECOND):
        await daemon.engine.hello(hello_of(peer))
    await daemon.until(lambda status: status.phase == "electing")
    return daemon


async def peer(stack: AsyncExitStack, folder: Path) -> Judge:
    """Judge requests on the peer port, from the HTTP parser on, as whatever certificate names."""
    daemon = await founder(stack, folder)
    runner = _runner(peer_application(daemon.engine, Refusals()))
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    server = runner.server
    assert server is not None

    async def judge(given: Any) -> Answer:
        names = tuple((kind, name) for kind, name in given["names"])
        address = (given["address"], 40_000) if given["address"] else None
        wire = Wire({"subjectAltName": names}, address)
        chunks = [base64.b64decode(chunk) for chunk in given["chunks"]]
        statuses = await exchange(server, wire, chunks)
        wrong = [f"{status} to {chunks!r}"[:600] for status in statuses if status >= SERVER_ERROR]
        return (str(statuses[0]) if statuses else "no answer"), wrong

    return judge


async def peer_tls(stack: AsyncExitStack, folder: Path) -> Judge:
    """Say where the port is; what is sent there, over TLS or not, the other side judges."""
    daemon = await founder(stack, folder)

    async def judge(_given: Any) -> Answer:
        made = await mint_here(TOKEN, (TOKEN,), "db", FIRST, daemon.clock.wall())
        return json.dumps([daemon.port, OWN, made.authorities, made.leaf]), []

    return judge


async def control(stack: AsyncExitStack, folder: Path) -> Judge:
    """Serve the administrator's socket, and say where it is."""
    daemon = await founder(stack, folder)
    path = folder / "admin.sock"
    _, admin = control_applications(daemon.engine)
    runner = await serve_control(admin, unix_listener(path))
    stack.push_async_callback(runner.cleanup)

    async def judge(_given: Any) -> Answer:
        return str(path), []

    return judge


async def helper(_stack: AsyncExitStack, folder: Path) -> Judge:
    """Judge requests to muster-helper, up to the verb itself."""
    ask = root_side.prepared(folder)

    async def judge(given: Any) -> Answer:
        return ask(base64.b64decode(given))

    return judge


async def token(_stack: AsyncExitStack, _folder: Path) -> Judge:
    """Judge texts that may be tokens or secrets."""

    async def judge(given: Any) -> Answer:
        return tokens.judge(given)

    return judge


TARGETS = {"peer": peer, "peer-tls": peer_tls, "control": control, "helper": helper, "token": token}


async def serve(name: str) -> None:
    """Answer the lines on standard input until it ends."""
    watching: Tracebacks = listen_to_log()
    setattr(tls, "mint", mint_here)  # noqa: B010 mypy forbids the assignment
    loop = asyncio.get_running_loop()
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        async with AsyncExitStack() as stack:
            judge = await TARGETS[name](stack, folder)
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                request = json.loads(line)
                if "measure" in request:
                    answer: dict[str, object] = {"resident": resident()}
                    complaints: list[str] = []
                else:
                    outcome, complaints = await judge(request["input"])
                    answer = {"outcome": outcome}
                answer["complaints"] = complaints + watching.found
                watching.found = []
                print(json.dumps(answer), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
