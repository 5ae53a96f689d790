"""The last written status, for when musterd is down."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from muster.api import STATUS_FILE, Status
from musterd.adapters.atomic import replace_file

_STATUS = TypeAdapter(Status)


class StatusFile:
    """`/run/musterd/status.json`: mode 0640, in the group that its folder has."""

    def __init__(self, path: Path = Path(STATUS_FILE)) -> None:
        self._path = path

    def read(self) -> Status | None:
        """Return what was written last in this boot, None when it is not there or not readable."""
        try:
            return _STATUS.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, status: Status) -> None:
        """Replace the file.

        Raises:
            OSError: it could not be written; the old one is still there.
        """
        group = self._path.parent.stat().st_gid
        replace_file(self._path, _STATUS.dump_json(status) + b"\n", 0o640, group=group)
