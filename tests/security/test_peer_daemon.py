"""A whole daemon under its members' words: what a wrong one may change (nothing), and rotation.

Nobody sends plans here, the decree is the plan. So what a plan from the wrong hand would be is a
proposal or a claim to lead: by another than the leader, of a past term, a second time, on a node
with a cluster of its own, after the founding.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from muster_fuzz.daemon import (
    FIRST,
    OWN,
    SECOND,
    Daemon,
    Surroundings,
    another,
    decree,
    hello_of,
    whole_daemon,
)
from musterd import course, peer_wire, trust
from musterd.adapters.peers import HttpPeers
from musterd.adapters.store import FileStore
from musterd.adapters.tls import Tls
from musterd.discovery import READ_EVERY
from musterd.election.types import (
    Accepted,
    Decided,
    Durable,
    Lead,
    Message,
    Propose,
    ProposeReply,
    VoteReply,
    VoteRequest,
)
from musterd.errors import PeerError
from musterd.model import CorosyncConfig
from musterd.peer_wire import Envelope
from musterd.ports import Record

if TYPE_CHECKING:
    from tests.security.conftest import MakeCaller

TOKEN = trust.make_token(bytes(range(32)))
NEWER = trust.make_token(bytes(32))
OTHER = "cd" * 16  # the uuid of a founding that the leader did not propose


def secret(issue: trust.Token, *believed: trust.Token) -> str:
    return json.dumps({"v": 1, "issue": issue.text(), "trust": [t.text() for t in believed]})


async def greet(daemon: Daemon, caller: HttpPeers, own_id: str) -> None:
    await caller.hello(OWN, "127.0.0.1", hello_of(own_id))
    await daemon.engine.ping()


async def say(daemon: Daemon, caller: HttpPeers, message: Message) -> None:
    """Deliver a message, and return when the daemon has acted on it."""
    await caller.send(OWN, "127.0.0.1", message, message.term)
    await daemon.engine.ping()


# --- the wrong hand ---------------------------------------------------------------------------


@asynccontextmanager
async def led_by_first(
    tmp_path: Path, make_caller: "MakeCaller"
) -> AsyncIterator[tuple[Daemon, HttpPeers, HttpPeers]]:
    """A founder that voted for the first one and accepted its decree in term 1."""
    async with whole_daemon(tmp_path, Surroundings(secret(TOKEN, TOKEN))) as daemon:
        await daemon.until(lambda status: bool(status.nodes) and daemon.port > 0)
        first = await make_caller(daemon.port, own_id=FIRST)
        second = await make_caller(daemon.port, own_id=SECOND)
        await daemon.until(lambda _: daemon.engine.member_addresses(FIRST) is not None)
        await greet(daemon, first, FIRST)
        await greet(daemon, second, SECOND)
        await daemon.until(lambda status: status.phase == "electing")
        wish = decree()
        await say(daemon, first, VoteRequest(1, wish.roster, wish.spec_digest))
        await say(daemon, first, Propose(1, wish, read_all=False))
        remembered = FileStore(daemon.record).load()
        assert remembered is not None
        assert remembered.durable == Durable(1, FIRST, Accepted(1, wish))
        yield daemon, first, second


async def test_only_the_leader_of_the_term_is_heard(
    tmp_path: Path, make_caller: "MakeCaller"
) -> None:
    async with led_by_first(tmp_path, make_caller) as (daemon, first, second):
        before = daemon.remembered()
        usurped: tuple[Message, ...] = (
            Propose(1, another(OTHER), read_all=True),
            Lead(1),
            Decided(1, another(OTHER)),
        )
        for message in usurped:
            await say(daemon, second, message)
        alarms = [said for said in daemon.said() if "ignored" in said]
        assert alarms == [f"ignored: {SECOND} claims term 1, which {FIRST} leads"] * 3
        stale: tuple[Message, ...] = (
            Propose(0, another(OTHER), read_all=True),
            VoteRequest(1, decree().roster, decree().spec_digest),  # the vote is given
            VoteReply(1, granted=True),
            ProposeReply(1, accepted=True),
            Decided(0, another(OTHER)),  # news of a decision that was never accepted here
        )
        for message in stale:
            await say(daemon, second, message)
        assert daemon.remembered() == before
        assert daemon.around.changes == []
        await say(daemon, first, Decided(1, decree()))  # from the leader it is one
        assert daemon.remembered() != before


async def test_a_repeated_request_changes_nothing(
    tmp_path: Path, make_caller: "MakeCaller"
) -> None:
    """Byte for byte: from outside TLS forbids it, a member may."""
    async with led_by_first(tmp_path, make_caller) as (daemon, _first, _second):
        before, said = daemon.remembered(), len(daemon.said())
        body = peer_wire.message_body(Propose(1, decree(), read_all=False))
        data = peer_wire.encode(Envelope(1, "db", FIRST, OWN, 1, "0" * 32, "message", body))
        credentials, _ = await Tls().load(TOKEN, "db", FIRST, time.time())
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            for _ in range(3):
                async with session.post(
                    f"https://127.0.0.1:{daemon.port}/peer/v1/message",
                    ssl=credentials.client,
                    server_hostname=OWN,
                    data=data,
                ) as response:
                    assert response.status == 204
        await daemon.engine.ping()
        assert daemon.remembered() == before
        assert len(daemon.said()) == said


async def test_on_a_node_with_a_cluster_of_its_own_nothing_is_voted_or_written(
    tmp_path: Path, make_caller: "MakeCaller"
) -> None:
    around = Surroundings(secret(TOKEN, TOKEN), corosync=CorosyncConfig.FOREIGN)
    async with whole_daemon(tmp_path, around) as daemon:
        await daemon.until(lambda status: status.phase == "failed" and daemon.port > 0)
        await daemon.until(lambda _: daemon.engine.member_addresses(FIRST) is not None)
        first = await make_caller(daemon.port, own_id=FIRST)
        await greet(daemon, first, FIRST)
        wish = decree()
        await say(daemon, first, VoteRequest(1, wish.roster, wish.spec_digest))
        await say(daemon, first, Propose(1, wish, read_all=True))
        remembered = FileStore(daemon.record).load() or Record(Durable())
        assert remembered.durable.voted_for == ""
        assert remembered.durable.accepted is None
        assert around.changes == []


async def test_after_founding_every_word_is_refused(
    tmp_path: Path, make_caller: "MakeCaller"
) -> None:
    formed(tmp_path)
    async with whole_daemon(tmp_path, Surroundings(secret(TOKEN, TOKEN))) as daemon:
        await daemon.until(lambda _: daemon.port > 0)
        before = daemon.remembered()
        first = await make_caller(daemon.port, own_id=FIRST)
        for message in (
            Propose(9, another(OTHER), read_all=True),
            VoteRequest(9, decree().roster, "d"),
            Lead(9),
            Decided(9, another(OTHER)),
        ):
            with pytest.raises(PeerError, match="409"):
                await first.send(OWN, "127.0.0.1", message, message.term)
        await greet(daemon, first, FIRST)  # who it is, it still tells
        assert daemon.remembered() == before
        assert daemon.around.changes == []


async def test_strangers_do_not_make_the_node_ask_ec2(
    tmp_path: Path, make_caller: "MakeCaller"
) -> None:
    stranger_id = "i-0000000000000000f"
    async with whole_daemon(tmp_path, Surroundings(secret(TOKEN, TOKEN))) as daemon:
        await daemon.until(lambda _: daemon.port > 0)
        await daemon.until(lambda _: daemon.engine.member_addresses(FIRST) is not None)
        stranger = await make_caller(daemon.port, own_id=stranger_id)
        hello = replace(hello_of(FIRST), instance_id=stranger_id)
        reads = daemon.around.ec2_reads
        for step in range(100):  # over two of its periods
            daemon.clock.ahead += 2 * READ_EVERY / 100
            with pytest.raises(PeerError, match="not a member"):
                await stranger.hello(OWN, "127.0.0.1", hello)
            assert daemon.around.ec2_reads - reads <= 1 + step * 2 // 100 + 1
        assert daemon.around.ec2_reads - reads <= 3


# --- rotation on a running, formed cluster ----------------------------------------------------


def formed(folder: Path) -> None:
    """Leave the record of a node whose cluster is formed."""
    durable = Durable(3, FIRST, None, replace(decree(), seed=""))
    FileStore(folder / "record.json").save(Record(durable, formed=True))


async def refused(caller: HttpPeers) -> None:
    with pytest.raises(PeerError):
        await caller.hello(OWN, "127.0.0.1", hello_of(FIRST))


async def test_tokens_are_exchanged_on_a_formed_cluster_without_a_restart(
    tmp_path: Path, make_caller: "MakeCaller"
) -> None:
    formed(tmp_path)
    around = Surroundings(secret(TOKEN, TOKEN))
    async with whole_daemon(tmp_path, around) as daemon:
        await daemon.until(lambda _: daemon.port > 0)
        port = daemon.port
        older = await make_caller(port, own_id=FIRST)
        newer = await make_caller(port, own_id=FIRST, token=NEWER)
        newer._tls.hear(trust.Tokens(NEWER, (NEWER, TOKEN)))  # itself trusts both already
        await newer.open(NEWER.text(), "db", FIRST)
        await greet(daemon, older, FIRST)
        # 1: both are trusted. The old node hears of it because a peer's authority is unknown.
        around.secret = secret(TOKEN, TOKEN, NEWER)
        await refused(newer)
        assert around.secret_reads == 1  # not within the minute
        await daemon.later(course.TOKEN_DOUBTED)
        await taken_up(daemon, 2)
        await greet(daemon, newer, FIRST)
        await greet(daemon, older, FIRST)
        # 2 and 3: the new one issues, the old one goes. Heard of at the next calm look.
        around.secret = secret(NEWER, NEWER)
        await daemon.later(course.TOKEN_EVERY)
        await taken_up(daemon, 3)
        await refused(older)
        await greet(daemon, newer, FIRST)
        assert daemon.port == port
        assert around.changes == []


async def taken_up(daemon: Daemon, reads: int) -> None:
    """Wait until the source was read that often, and its tokens are in use."""
    async with asyncio.timeout(30):
        while daemon.around.secret_reads < reads or "token" in daemon.engine._under_way:
            await daemon.engine.ping()
            await asyncio.sleep(0)


async def test_a_source_that_fails_later_takes_nothing_away(
    tmp_path: Path, make_caller: "MakeCaller"
) -> None:
    formed(tmp_path)
    around = Surroundings(secret(TOKEN, TOKEN), CorosyncConfig.OURS)
    async with whole_daemon(tmp_path, around) as daemon:
        await daemon.until(lambda _: daemon.port > 0)
        older = await make_caller(daemon.port, own_id=FIRST)
        for broken in ("", "garbage", '{"v": 1}'):
            around.secret = broken
            await daemon.later(course.TOKEN_EVERY)
            await taken_up(daemon, around.secret_reads + 1)
            await greet(daemon, older, FIRST)
        status = daemon.engine.status()
        assert status.phase == "formed"
        assert any("malformed" in finding.what for finding in status.findings)


async def test_without_a_token_the_port_stays_shut(tmp_path: Path) -> None:
    around = Surroundings("")
    async with whole_daemon(tmp_path, around) as daemon:
        await daemon.until(lambda status: "AccessDenied" in status.reason)
        assert daemon.engine.status().phase == "waiting"
        assert daemon.port == 0
