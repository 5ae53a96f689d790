"""The cluster's state from crm_mon's own output, and hearing of its changes."""

import asyncio
from pathlib import Path
from xml.etree import ElementTree

import pytest

from musterd.adapters.pacemaker import CrmMonFile, parse_state
from musterd.model import ClusterResource, ClusterState, ResourceState

DATA = Path(__file__).parent / "data"
RUNNING = (DATA / "crm_mon-2.1.5.xml").read_bytes()
FIRST, SECOND = "ip-10-0-0-11", "ip-10-0-0-12"


def parsed(document: bytes) -> ClusterState | None:
    return parse_state(ElementTree.fromstring(document))


def test_a_running_cluster_is_read_whole() -> None:
    state = parsed(RUNNING)
    assert state is not None
    assert (state.dc, state.quorate) == (FIRST, True)
    assert (state.online, state.offline) == ((FIRST,), (SECOND,))
    started, stopped, failed = ResourceState.STARTED, ResourceState.STOPPED, ResourceState.FAILED
    group, dummy = "networking-group", "ocf:pacemaker:Dummy"
    assert state.resources == (
        ClusterResource("fence", "stonith:fence_aws", "", started, FIRST),
        ClusterResource("vip", "ocf:heartbeat:awsvip", group, started, FIRST),
        ClusterResource("ip", "ocf:heartbeat:IPaddr2", group, stopped, ""),
        ClusterResource("dlm", dummy, "", started, FIRST),
        ClusterResource("dlm", dummy, "", stopped, ""),
        ClusterResource("web", "systemd:nginx", "", failed, FIRST),
    )
    assert state.failures == (f"web_start_0 on {FIRST}: error (no such unit)",)


def test_the_root_of_2_0_is_read_too() -> None:
    older = RUNNING.replace(b"<pacemaker-result ", b"<crm_mon ").replace(
        b"</pacemaker-result>", b"</crm_mon>"
    )
    assert parsed(older) == parsed(RUNNING)


@pytest.mark.parametrize(
    ("change", "with_change"),
    [
        (b'with_quorum="true"', b'with_quorum="false"'),
        (b'present="true" ', b'present="false" '),
    ],
)
def test_without_dc_or_quorum_nothing_is_quorate(change: bytes, with_change: bytes) -> None:
    assert change in RUNNING
    state = parsed(RUNNING.replace(change, with_change))
    assert state is not None
    assert not state.quorate


def test_a_node_still_joining_is_not_online() -> None:
    state = parsed(RUNNING.replace(b'pending="false"', b'pending="true"', 1))
    assert state is not None
    assert state.online == ()


def vip(seen: bytes) -> ResourceState:
    """The state of a resource whose line begins as 2.1.5 was seen to write it."""
    before = b'resource_agent="ocf:heartbeat:awsvip" role="Started" active="true"'
    assert before in RUNNING
    state = parsed(RUNNING.replace(before, b'resource_agent="ocf:heartbeat:awsvip" ' + seen))
    assert state is not None
    return state.resources[1].state


def test_what_is_being_started_has_not_started() -> None:
    """It is active already, on the node that starts it: no address may be called up by that."""
    assert vip(b'role="Starting" active="true"') is ResourceState.PENDING
    assert vip(b'role="Stopping" active="true"') is ResourceState.PENDING


def test_a_monitor_under_way_takes_nothing_from_what_runs() -> None:
    assert vip(b'role="Started" active="true" pending="Monitoring"') is ResourceState.STARTED


def test_other_roles_that_run_count_as_started() -> None:
    assert vip(b'role="Promoted" active="true"') is ResourceState.STARTED


def test_not_connected_is_no_state() -> None:
    assert parsed((DATA / "crm_mon-not-connected.xml").read_bytes()) is None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "muster-watch" / "crm_mon.xml"


def test_no_file_is_no_state(path: Path) -> None:
    assert CrmMonFile(path).state() is None


def test_a_file_being_rewritten_is_read_as_it_was(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(RUNNING)
    cluster = CrmMonFile(path)
    whole = cluster.state()
    assert whole is not None
    for torn in (b"", RUNNING[:700], RUNNING[:-10]):
        path.write_bytes(torn)
        assert cluster.state() == whole
    path.unlink()
    assert cluster.state() is None
    path.write_bytes(b"")
    assert cluster.state() is None  # what was before the stop is not remembered


def rewrite(path: Path) -> None:
    """Write in place, as crm_mon does."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate()
        file.write(RUNNING)


def vanish(path: Path) -> None:
    """Take away file and folder, as systemd does when Pacemaker stops."""
    path.unlink()
    path.parent.rmdir()


async def quiet(cluster: CrmMonFile) -> bool:
    """Tell whether nothing is heard for a while."""
    try:
        await asyncio.wait_for(cluster.changed(), 0.3)
    except TimeoutError:
        return True
    return False


async def test_changes_are_heard_while_the_folder_comes_and_goes(path: Path) -> None:
    cluster = CrmMonFile(path)
    try:
        await asyncio.wait_for(cluster.changed(), 2)  # the first look is free
        assert await quiet(cluster)
        for _ in range(2):
            path.parent.mkdir()
            await asyncio.wait_for(cluster.changed(), 2)
            for _ in range(2):
                rewrite(path)
                await asyncio.wait_for(cluster.changed(), 2)
                assert cluster.state() is not None
            assert await quiet(cluster)
            vanish(path)
            await asyncio.wait_for(cluster.changed(), 2)
            assert cluster.state() is None
    finally:
        cluster.close()


async def test_neighbours_are_not_heard(path: Path) -> None:
    path.parent.mkdir()
    cluster = CrmMonFile(path)
    try:
        await cluster.changed()
        (path.parent / "crm_mon.pid").write_text("1")
        (path.parent.parent / "other").mkdir()
        assert await quiet(cluster)
    finally:
        cluster.close()


def test_the_kernel_tells_which_addresses_are_here() -> None:
    cluster = CrmMonFile()
    assert cluster.holds("127.0.0.1")
    assert not cluster.holds("192.0.2.1")


def test_a_cluster_that_does_not_fence_or_is_maintained_is_seen() -> None:
    shown = parsed(RUNNING)
    assert shown is not None
    assert (shown.unfenced, shown.maintained) == (False, False)
    changed = RUNNING.replace(b'stonith-enabled="true"', b'stonith-enabled="false"')
    changed = changed.replace(b'maintenance-mode="false"', b'maintenance-mode="true"')
    shown = parsed(changed)
    assert shown is not None
    assert (shown.unfenced, shown.maintained) == (True, True)
