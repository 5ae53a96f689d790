"""Certificates from a child process, so that what makes them does not stay in memory."""

import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from musterd.errors import PeerError
from musterd.trust import Token

# With -I the child would look in the interpreter's own folders only; it gets ours as arguments.
_PROGRAM = """\
import sys
sys.path[:] = sys.argv[1:]
from musterd.certificates import main
main()
"""
_TIMEOUT = 30.0  # seconds; it takes 0.2


@dataclass(frozen=True)
class Minted:
    """Who is trusted, and who this node is: PEM texts; and the name of the leaf's authority."""

    authority: str
    authorities: str
    leaf: str = field(repr=False)


async def mint(
    issue: Token, trusted: Iterable[Token], cluster: str, own_id: str, now: float
) -> Minted:
    """Have this node's certificate minted with a new key.

    Args:
        issue: the token whose authority signs.
        trusted: those whose authorities are believed.
        cluster: the cluster's name.
        own_id: this node's instance id.
        now: seconds since 1970.

    Raises:
        PeerError: the child failed.
    """
    order = {
        "issue": issue.text(),
        "trust": [token.text() for token in trusted],
        "cluster": cluster,
        "own_id": own_id,
        "now": now,
    }
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-c", _PROGRAM, *sys.path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={},
        )
    except OSError as error:
        raise _failed(error.strerror or str(error)) from error
    try:
        async with asyncio.timeout(_TIMEOUT):
            made, complaint = await child.communicate(json.dumps(order).encode("ascii"))
    except TimeoutError as error:
        raise _failed(f"no answer within {_TIMEOUT:.0f} s") from error
    finally:
        if child.returncode is None:
            child.kill()
    if child.returncode != 0:
        # The last line only: a traceback names no values, but there is no need to try.
        lines = complaint.decode("utf-8", "replace").strip().splitlines()
        raise _failed(lines[-1] if lines else f"exit status {child.returncode}")
    return Minted(**json.loads(made))


def _failed(why: str) -> PeerError:
    return PeerError(
        "this node's certificate cannot be made",
        rejected=False,
        why=why,
        cure="type `systemctl status musterd`; is the machine out of memory or processes?",
    )
