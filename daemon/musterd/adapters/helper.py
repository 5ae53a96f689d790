"""muster-helper over its socket: one connection, one verb, one JSON line, JSON lines back."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from musterd.errors import HelperError
from musterd.helper_wire import LINE_LIMIT, Done, Params, ProbeResult
from musterd.model import Comparison, NodeFacts, Verb

SOCKET = Path("/run/muster/helper.sock")
# Seconds a verb may take before it is given up; its unit ends it at 300 s.
TIMEOUTS: Mapping[Verb, float] = {
    Verb.SURVEY: 60.0,
    Verb.PREPARE: 240.0,  # clearing the distribution's stub cluster takes 26 s by itself
    Verb.LAY: 60.0,
    Verb.TRUST: 120.0,
    Verb.START: 240.0,
    Verb.BUILD: 240.0,
    Verb.CONFIGURE: 240.0,
    Verb.PROBE_FENCING: 240.0,  # one agent after another, each with a time-out of its own
    Verb.FENCE: 590.0,  # EC2 can take minutes to stop a hung system
    Verb.OFFER: 120.0,
    Verb.ADMIT: 600.0,  # pcs talks to every member, and some may be slow to answer
    Verb.EXPEL: 900.0,  # resources may take minutes to leave a member
    Verb.WITHDRAW: 60.0,
    Verb.COMPARE: 240.0,  # as build
    Verb.APPLY: 900.0,  # a restart of the whole cluster is among it
}
# systemd resets a connection too many, and counts one until its process is gone.
_PAUSES = (0.2, 0.5, 1.0, 2.0)  # seconds before asking again after a reset
_FAREWELL = 5.0  # seconds that a helper may take to exit after its answer
_JOURNAL = "`journalctl -u 'muster-helper@*' -n 50` shows what it did"
Result = TypeVar("Result")

_FACTS = TypeAdapter(NodeFacts)
_DONE = TypeAdapter(Done)
_PROBE = TypeAdapter(ProbeResult)
_COMPARISON = TypeAdapter(Comparison)


@dataclass(frozen=True)
class _Failure:
    refused: bool
    what: str
    why: str = ""
    cure: str = ""


_FAILURE = TypeAdapter(_Failure)


class SocketHelper:
    """Port `Helper`; verbs are asked for one after another.

    Args:
        path: of the helper's socket.
        timeouts: seconds per verb.
    """

    def __init__(self, path: Path = SOCKET, *, timeouts: Mapping[Verb, float] = TIMEOUTS) -> None:
        self._path = path
        self._timeouts = timeouts
        self._turn = asyncio.Lock()

    async def survey(self, params: Params) -> NodeFacts:
        """Look at this node. Raises HelperError."""
        return await self._ask(Verb.SURVEY, params, _FACTS, _nobody_listens)

    async def change(self, verb: Verb, params: Params, progress: Callable[[str], None]) -> Done:
        """Perform a verb that changes the node; `progress` hears each of its sentences.

        Raises:
            HelperError: it failed or, with `refused`, would have been unsafe. What it did before
                stays done; the same verb again completes it.
        """
        return await self._ask(verb, params, _DONE, progress)

    async def probe(self, params: Params) -> ProbeResult:
        """Ask the fencing agent for each member's status. Raises HelperError."""
        return await self._ask(Verb.PROBE_FENCING, params, _PROBE, _nobody_listens)

    async def compare(self, params: Params) -> Comparison:
        """Compare the cluster with the spec. Raises HelperError."""
        return await self._ask(Verb.COMPARE, params, _COMPARISON, _nobody_listens)

    async def _ask(
        self,
        verb: Verb,
        params: Params,
        shape: TypeAdapter[Result],
        progress: Callable[[str], None],
    ) -> Result:
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeouts[verb]):
                    result = await self._persist(verb, params, progress)
            except TimeoutError as error:
                raise HelperError(
                    f"muster-helper did not finish {verb} in {self._timeouts[verb]:.0f} s",
                    refused=False,
                    cure=_JOURNAL,
                ) from error
            except OSError as error:
                raise HelperError(
                    f"muster-helper cannot be asked for {verb}",
                    refused=False,
                    why=f"{self._path}: {error.strerror or error}",
                    cure="`systemctl status muster-helper.socket`; "
                    "`systemctl start muster-helper.socket`",
                ) from error
        try:
            return shape.validate_python(result)
        except ValidationError as error:
            raise _strange(verb, f"a result with {error.error_count()} mistakes") from None

    async def _persist(self, verb: Verb, params: Params, progress: Callable[[str], None]) -> object:
        """Converse; again where the connection was reset before a word was answered."""
        for pause in _PAUSES:
            try:
                return await self._converse(verb, params, progress)
            except (ConnectionResetError, BrokenPipeError):
                await asyncio.sleep(pause)
        return await self._converse(verb, params, progress)

    async def _converse(
        self, verb: Verb, params: Params, progress: Callable[[str], None]
    ) -> object:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
        try:
            writer.write(_request(verb, params))
            await writer.drain()
            while True:
                answer = await _line(reader, verb)
                if isinstance(sentence := answer.get("progress"), str):
                    progress(sentence)
                else:
                    break
            await _end_of(reader)
        finally:
            writer.close()
        if answer.get("ok") is True:
            return answer.get("result", {})
        raise _failed(verb, answer)


def _nobody_listens(_sentence: str) -> None:
    return


def _request(verb: Verb, params: Params) -> bytes:
    said = TypeAdapter(type(params)).dump_python(params, mode="json")
    return json.dumps({"verb": verb, "params": said}).encode() + b"\n"


async def _end_of(reader: asyncio.StreamReader) -> None:
    """Wait until the helper has exited, so that the next connection is not one too many."""
    try:
        async with asyncio.timeout(_FAREWELL):
            while await reader.read(LINE_LIMIT):
                continue
    except (TimeoutError, OSError):
        return  # its answer counts all the same


async def _line(reader: asyncio.StreamReader, verb: Verb) -> dict[str, object]:
    try:
        line = await reader.readline()
    except ValueError as error:
        raise _strange(verb, f"a line of more than {LINE_LIMIT} bytes") from error
    if not line.endswith(b"\n"):
        raise HelperError(
            f"muster-helper ended during {verb} without an answer",
            refused=False,
            why="it crashed, was killed, or the host is shutting down",
            cure=_JOURNAL,
        )
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _strange(verb, "a line that is no JSON object")
    return answer


def _failed(verb: Verb, answer: dict[str, object]) -> HelperError:
    try:
        failure = _FAILURE.validate_python(answer)
    except ValidationError:
        return _strange(verb, "a failure without its parts")
    return HelperError(failure.what, refused=failure.refused, why=failure.why, cure=failure.cure)


def _strange(verb: Verb, said: str) -> HelperError:
    return HelperError(
        f"muster-helper answered {verb} with {said}",
        refused=False,
        why="daemon and helper are of different versions",
        cure="`systemctl restart musterd`, or reinstall the package",
    )
