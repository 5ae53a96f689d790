"""A program: runs pcs again and again in one interpreter, each time in a fork of it.

Most of a pcs command is Python importing pcs: 0.4 of its 0.5 processor seconds. This program
imports it once, then waits on its standard input, a socket, for requests: one message each, a JSON
object with `argv` and `environment`, and four descriptors (standard input, output and error, and
where it tells). A fork of it becomes pcs: the distribution's own script runs from its first line,
finds the modules loaded already, and is in a session of its own. It tells its process id, then its
exit status, a line each. Only the standard library may be imported: the interpreter is pcs's.
"""

import json
import os
import runpy
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence

LONGEST = 128 * 1024  # bytes of a request; below the kernel's default for one message


def main() -> None:
    """Serve until the other end is closed."""
    # Python puts our folder first, and our `systemd` would stand in for the distribution's.
    sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(__file__)]
    wire = socket.socket(fileno=os.dup(0))
    try:
        import pcs.app  # type: ignore[import-not-found]  # noqa: F401 - the distribution's pcs
    except ImportError:
        # Elsewhere its script makes its modules known first: slower, and right all the same.
        sys.stderr.write("muster-helper: pcs cannot be loaded beforehand\n")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for the forks
    while True:
        message, descriptors, _, _ = socket.recv_fds(wire, LONGEST, 4)
        if not message:
            return
        if os.fork() == 0:
            wire.close()
            request = json.loads(message)
            _become(request["argv"], request["environment"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(argv: Sequence[str], environment: Mapping[str, str], descriptors: list[int]) -> None:
    """Run the script `argv[0]` in this process, and end with it."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, tell = descriptors
    os.set_inheritable(tell, False)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.write(tell, f"{os.getpid()}\n".encode())
    os.environ.update(environment)
    sys.argv = list(argv)
    status = _run(argv[0])
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(tell, f"{status}\n".encode())
    os._exit(status)


def _run(script: str) -> int:
    """Run a script as the interpreter would; return its exit status."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return (ended.code or 0) & 0xFF
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - what the interpreter does with any that is left
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
