"""What the control socket tells, as values."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Node:
    """An instance and its machine.

    Attributes:
        number: 1 for the first ever launched in this lab.
        address: primary private address; None once terminated.
        addresses: all private addresses EC2 has on the interface.
        state: what EC2 says, such as `running`.
        machine: `up`, `down` or `frozen`, which EC2 need not know.
        leader: process id, on this machine, of the guest's PID 1.
    """

    number: int
    instance_id: str
    hostname: str
    address: str | None
    addresses: tuple[str, ...]
    zone: str
    state: str
    machine: str
    leader: int | None
    tags: dict[str, str]
    launch_time: str

    @classmethod
    def from_json(cls, source: dict[str, Any]) -> Self:
        """From the control socket's answer."""
        return cls(**{**source, "addresses": tuple(source["addresses"])})


@dataclass(frozen=True)
class Call:
    """One API or IMDS call; the fields are those of the region's log, `at` in ISO form."""

    at: str
    caller: str
    service: str
    action: str
    outcome: str
    seconds: float
    detail: str = ""
