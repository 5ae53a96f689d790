"""The ways between nodes, tried on loopback addresses: two nodes have 127.0.0.1 and 127.0.0.2."""

import asyncio
import socket

import pytest

from musterd.adapters.network import Ways
from musterd.model import Contact

ONE, OTHER = "127.0.0.1", "127.0.0.2"
NONCE = "ab" * 16


@pytest.fixture
def port() -> int:
    """A UDP port that is free on both addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind((ONE, 0))
        return int(held.getsockname()[1])


async def test_tcp_is_open_refused_or_silent() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), ONE, 0)
    number = server.sockets[0].getsockname()[1]
    assert await Ways().connect(ONE, number) is Contact.OPEN
    server.close()
    await server.wait_closed()
    assert await Ways().connect(ONE, number) is Contact.REFUSED
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind((ONE, 0))
        deaf.listen(0)  # the kernel drops what comes once the queue is full
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        assert await Ways().connect(*deaf.getsockname()) is Contact.SILENT


async def test_both_hear_each_other(port: int) -> None:
    here, there = Ways(udp_port=port), Ways(udp_port=port)
    heard = await asyncio.gather(
        here.exchange(NONCE, ONE, OTHER, 2.0), there.exchange(NONCE, OTHER, ONE, 2.0)
    )
    assert list(heard) == [True, True]


async def test_one_who_begins_later_hears_and_is_heard(port: int) -> None:
    here, there = Ways(udp_port=port), Ways(udp_port=port)
    first = asyncio.create_task(here.exchange(NONCE, ONE, OTHER, 3.0))
    await asyncio.sleep(0.3)
    assert await there.exchange(NONCE, OTHER, ONE, 2.0)
    assert await first


async def test_silence_and_other_words_are_not_heard(port: int) -> None:
    here, there = Ways(udp_port=port), Ways(udp_port=port)
    assert await here.exchange(NONCE, ONE, OTHER, 0.2) is False
    heard = await asyncio.gather(
        here.exchange(NONCE, ONE, OTHER, 0.3), there.exchange("cd" * 16, OTHER, ONE, 0.3)
    )
    assert list(heard) == [False, False]


async def test_several_peers_are_heard_at_once(port: int) -> None:
    here = Ways(udp_port=port)
    others = {f"127.0.0.{n}": f"{n:032x}" for n in (2, 3, 4)}
    heard = await asyncio.gather(
        *(here.exchange(nonce, ONE, address, 2.0) for address, nonce in others.items()),
        *(
            Ways(udp_port=port).exchange(nonce, address, ONE, 2.0)
            for address, nonce in others.items()
        ),
    )
    assert list(heard) == [True] * 6


async def test_corosync_on_the_port_is_told_apart_from_silence(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as corosync:
        corosync.bind((ONE, port))
        assert await Ways(udp_port=port).exchange(NONCE, ONE, OTHER, 0.2) is None


async def test_the_port_is_free_again_afterwards_and_at_once_when_given_up(port: int) -> None:
    here = Ways(udp_port=port)
    await here.exchange(NONCE, ONE, OTHER, 0.1)
    await asyncio.sleep(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as corosync:
        corosync.bind((ONE, port))
    under_way = asyncio.create_task(here.exchange(NONCE, ONE, OTHER, 1.0))
    await asyncio.sleep(0.1)
    here.close()
    await asyncio.sleep(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as corosync:
        corosync.bind((ONE, port))
    assert await here.exchange(NONCE, ONE, OTHER, 0.1) is None
    assert await under_way is False
