"""What client and daemon must both know before anything else: places, schema, exit codes.

`muster.api` gives all of it again beside the public models. It stands apart because building those
models costs half of the client's start time (dataclasses import inspect), and asking for a status
needs none of them.
"""

from enum import IntEnum

SCHEMA = 1
STATUS_SOCKET = "/run/muster/status.sock"
ADMIN_SOCKET = "/run/muster/admin.sock"
BUSY = "busy"  # the kind of problem that answers a stream of events that is one too many
STATUS_FILE = "/run/musterd/status.json"  # last written status, for when musterd is down
SPEC_FILE = "/etc/muster/muster.toml"
PLAN_SECONDS = 300.0  # that `GET /v1/plan` takes at most: the helper may be at work
PREFLIGHT_SECONDS = 20.0  # that `GET /v1/preflight` takes at most


class Exit(IntEnum):
    """Exit codes of `muster`."""

    OK = 0
    ERROR = 1  # the request was refused or could not be done
    USAGE = 2  # wrong arguments; for `muster plan`: there are differences
    TIMED_OUT = 3
    FAILED = 4  # the node's phase is `failed`
    UNREACHABLE = 5  # musterd does not answer
