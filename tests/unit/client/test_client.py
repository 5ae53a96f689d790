"""The typed client for scripts: models out of whatever a musterd of another age says."""

import json
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tests.unit.client import stories
from tests.unit.client.conftest import Musterd, counted, formed, founding, waiting
from tests.unit.client.pictures import wire
from tests.unit.client.states import fenced

from muster import api
from muster.client import Client, read
from muster.errors import FailedError, TimedOutError, UnreachableError


@pytest.fixture
def client(musterd: Musterd, tmp_path: Path) -> Client:
    status, admin = musterd.sockets
    return Client(
        status_socket=status, admin_socket=admin, status_file=str(tmp_path / "status.json")
    )


def test_the_status_comes_as_the_public_model(musterd: Musterd, client: Client) -> None:
    musterd.status = asdict(formed())
    assert client.status() == formed()


def test_a_status_of_another_age_is_read_as_far_as_it_goes() -> None:
    document = {"phase": "formed", "novel": 1, "nodes": [{"name": "a", "online": 3}, "x"]}
    status = read(api.Status, document)
    assert (status.phase, status.reason, status.schema) == ("formed", "", 1)
    assert [node.name for node in status.nodes] == ["a", ""]
    assert status.nodes[0].online is False
    assert status.fencing == api.FencingStatus()


def test_numbers_keep_their_types() -> None:
    event = read(api.Event, {"seconds": 3, "fields": {"took": 1.5}})
    assert (event.seconds, event.fields) == (3.0, {"took": "1.5"})
    assert read(api.ClusterStatus, {"size": True}).size == 0


def test_what_is_wrong_comes_with_its_cures(musterd: Musterd, client: Client) -> None:
    musterd.status = asdict(fenced())
    found = client.problems()
    assert [each.severity for each in found] == ["error", "error", "error", "warning"]
    assert "sudo stonith_admin --history ip-10-0-0-13" in found[0].cure.splitlines()


def test_a_cure_is_what_pcs_takes_one_resource_a_line(musterd: Musterd, client: Client) -> None:
    status = fenced()
    failed = status.resources[1]
    more = tuple(replace(failed, id=f"{part}-10-0-0-68") for part in ("vip", "elastic"))
    musterd.status = asdict(replace(status, resources=(*status.resources, *more)))
    cures = [line for each in client.problems()[:-1] for line in each.cure.splitlines()]
    refreshed = [line for line in cures if "refresh" in line]
    parts = ("privip", "vip", "elastic")
    assert refreshed == [f"sudo pcs resource refresh {part}-10-0-0-68" for part in parts]
    assert [line for line in cures if "crm_mon" in line] == ["sudo crm_mon -1rf -n"] * 3


def test_a_wait_that_gets_no_stream_asks_for_the_status(musterd: Musterd, client: Client) -> None:
    musterd.status = asdict(founding())
    musterd.raw["/v1/events"] = counted({"kind": "busy"}, "503 Service Unavailable")
    got: list[api.Status] = []
    thread = threading.Thread(target=lambda: got.append(client.wait(timeout=15)))
    thread.start()
    musterd.wait_until_asked("/v1/events")
    musterd.status = asdict(formed())
    thread.join(20)
    assert got == [formed()]


def test_a_wait_ends_with_the_status(musterd: Musterd, client: Client) -> None:
    musterd.status = asdict(founding())
    got: list[api.Status] = []
    thread = threading.Thread(target=lambda: got.append(client.wait("healthy", timeout=15)))
    thread.start()
    musterd.wait_until_asked("/v1/events")
    musterd.publish("formed", **asdict(formed()))
    thread.join(15)
    assert got == [formed()]


def test_a_wait_that_times_out_tells_what_is_missing(musterd: Musterd, client: Client) -> None:
    musterd.status = asdict(waiting())
    with pytest.raises(TimedOutError) as ended:
        client.wait(timeout=0.2)
    assert "i-0123456789abcde3f is stopped" in ended.value.why


def test_a_wait_ends_when_only_a_person_can_go_on(musterd: Musterd, client: Client) -> None:
    musterd.status = asdict(founding()) | {"phase": "failed", "reason": "foreign", "next": "look"}
    with pytest.raises(FailedError) as ended:
        client.wait(timeout=5)
    assert (ended.value.why, ended.value.cure) == ("foreign", "look")


def test_events_come_as_models_and_end(musterd: Musterd, client: Client) -> None:
    lines = b"".join(json.dumps(event).encode() + b"\n" for event in stories.founding())
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(lines)}\r\n\r\n".encode()
    musterd.raw["/v1/events"] = head + lines
    events = list(client.events())
    assert [asdict(event) for event in events] == stories.founding()


def test_followed_events_go_on(musterd: Musterd, client: Client) -> None:
    musterd.publish("one")
    stream = client.events(follow=True)
    assert next(stream).message == "one"
    musterd.publish("two")
    assert next(stream).message == "two"


def test_the_last_written_status_is_there_without_musterd(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    client = Client(status_socket=str(tmp_path / "none"), status_file=str(file))
    with pytest.raises(UnreachableError):
        client.status()
    with pytest.raises(UnreachableError):
        client.last_status()
    file.write_text(json.dumps(wire(formed())), encoding="utf-8")
    assert client.last_status() == formed()
