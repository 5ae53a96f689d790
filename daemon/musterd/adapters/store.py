"""The node's memory: one small JSON file, replaced as a whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from musterd.adapters.atomic import replace_file
from musterd.errors import StoreError
from musterd.ports import Record

RECORD_FILE = Path("/var/lib/musterd/record.json")


@dataclass(frozen=True)
class _File:
    v: Literal[1]
    record: Record


_FILE = TypeAdapter(_File)


class FileStore:
    """The record in a file that only musterd may read: it holds the decree's seed until formed."""

    def __init__(self, path: Path = RECORD_FILE) -> None:
        self._path = path

    def load(self) -> Record | None:
        """Return the record, None when never written.

        Raises:
            StoreError: there is a file, but it is empty, torn, or cannot be read. That is never
                taken for "never written": this node may have voted.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._broken(f"it cannot be read: {error.strerror}") from error
        if not content.strip():
            raise self._broken("it is empty")
        try:
            return _FILE.validate_json(content).record
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            # Without the cause: pydantic's message shows values, and the seed is one.
            raise self._broken(f"{where}: {first['msg']}") from None

    def save(self, record: Record) -> None:
        """Make the record durable before returning.

        Raises:
            StoreError: it may not be durable; nothing that follows from it may be sent.
        """
        content = _FILE.dump_json(_File(1, record), indent=1) + b"\n"
        try:
            replace_file(self._path, content, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot write {self._path}",
                why=error.strerror or type(error).__name__,
                cure=f"make room or remount the file system: `df -h {self._path.parent}`; "
                "musterd tries again by itself",
            ) from error

    def _broken(self, why: str) -> StoreError:
        return StoreError(
            f"{self._path} is broken",
            why=why,
            cure="this node may have taken part in founding and must not vote twice: replace the "
            "instance, or, if `muster status` on the others shows the cluster formed or none of "
            f"them has ever met this node, `rm {self._path}` and `systemctl restart musterd`",
        )
