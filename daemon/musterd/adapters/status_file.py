"""The last written status, for when musterd is down."""

from pathlib import Path

from pydantic import TypeAdapter

from muster.api import STATUS_FILE, Status
from musterd.adapters.atomic import replace_file
from musterd.errors import StoreError

_STATUS = TypeAdapter(Status)


class StatusFile:
    """`/run/musterd/status.json`: mode 0640, in the group that its folder has."""

    def __init__(self, path: Path = Path(STATUS_FILE)) -> None:
        self._path = path

    def write(self, status: Status) -> None:
        """Replace the file.

        Raises:
            StoreError: it could not be written; the old one is still there.
        """
        content = _STATUS.dump_json(status) + b"\n"
        try:
            folder = self._path.parent.stat()
            replace_file(self._path, content, 0o640, group=folder.st_gid)
        except OSError as error:
            raise StoreError(
                f"cannot write {self._path}",
                why=error.strerror or type(error).__name__,
                cure=f"`ls -ld {self._path.parent}` should show musterd:muster; "
                "`systemctl restart musterd` makes the folder anew",
            ) from error
