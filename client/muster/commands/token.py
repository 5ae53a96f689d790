"""`muster token`: a new cluster token, for a spec whose secret is a file or inline.

Needs no musterd. With Secrets Manager, the default, the first node makes the token itself.
"""

import argparse
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256

from muster.context import Context
from muster.contract import Exit

BYTES = 32

EXAMPLE = """example, then copy the file to every node, and set [secret] source = "file":
  muster token | sudo install -m 0640 -g musterd /dev/stdin /etc/muster/token

Who has the token can join the cluster: it belongs on no command line and in no
chat."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""
    parser.epilog = EXAMPLE


def run(_: argparse.Namespace, context: Context) -> int:
    """Print a token of the system's generator for secrets."""
    context.say(written(secrets.token_bytes(BYTES)))
    return Exit.OK


def written(value: bytes) -> str:
    """Return a token's one text form: `mst1_<value>_<check>`, both base64url.

    The check (the first 6 characters of the value's SHA-256) tells a cut or mistyped token.
    """
    return f"mst1_{_base64url(value)}_{_base64url(sha256(value).digest())[:6]}"


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
