"""The instance metadata service, version 2, as each instance sees it.

Who asks is told by the source address, as on EC2. Sources: the EC2 user guide on IMDS for tokens
and the answers 400 to 404, botocore's fetcher and the resource agents for the paths they ask.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from ipaddress import IPv4Address

from aiohttp import web

from .calls import Call, CallLog
from .credentials import Credentials
from .estate import Estate
from .faults import Effect, Faults
from .imds_tree import leaves, listing
from .model import Instance

TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"
LONGEST_TTL = 21600

_VERSION = re.compile(r"latest|1\.0|\d{4}-\d{2}-\d{2}")
_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class MetadataService:
    """One service for all instances.

    Args:
        estate: whose instances ask.
        credentials: where the keys of roles come from.
        faults: rules that may hit a request.
        calls: where requests are recorded.
        monotonic: seconds that never go back, for the life of tokens.
    """

    def __init__(
        self,
        estate: Estate,
        credentials: Credentials,
        faults: Faults,
        calls: CallLog,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._estate = estate
        self._credentials = credentials
        self._faults = faults
        self._calls = calls
        self._monotonic = monotonic
        self._tokens: dict[str, tuple[str, float]] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whatever its path."""
        started = self._monotonic()
        found = None
        if request.remote is not None:
            found = self._estate.holder(IPv4Address(request.remote))
        caller = found[0].instance_id if found else "unknown"
        parts = [part for part in request.path.split("/") if part]
        path = "/".join(parts)
        canonical = "/latest/" + "/".join(parts[1:]) if len(parts) > 1 else f"/{path}"
        effect = self._faults.draw("imds", canonical, caller)
        if effect.delay:
            await asyncio.sleep(effect.delay)
        if effect.hang:
            await self._faults.hang()
            if request.transport is not None:
                request.transport.abort()
            response = _error(503)
        elif effect.refuses:
            response = _error(effect.status or 503)
        elif found is None:
            response = _error(404)
        else:
            response = self._answer(request, found[0], path, effect)
        outcome = "hang" if effect.hang else "ok" if response.status < 400 else str(response.status)
        self._calls.add(
            Call(
                at=self._estate.clock(),
                caller=caller,
                service="imds",
                action=f"{request.method} {canonical}",
                outcome=outcome,
                seconds=round(self._monotonic() - started, 4),
            )
        )
        return response

    def _answer(
        self, request: web.Request, instance: Instance, path: str, effect: Effect
    ) -> web.Response:
        if not instance.metadata.enabled:
            return _error(403)
        if path == "latest/api/token":
            return self._token(request, instance)
        if request.method not in ("GET", "HEAD"):
            return _error(405)
        token = request.headers.get(TOKEN_HEADER)
        if token is None and instance.metadata.tokens_required:
            return _error(401)
        if token is not None and not self._good(token, instance):
            return _error(401)
        body = self._read(path, instance, effect, "1.0" if token is None else "2.0")
        if body is None:
            return _error(404)
        return _plain(body.encode("utf-8", "surrogateescape"))

    def _read(self, path: str, instance: Instance, effect: Effect, imds: str) -> str | None:
        """Content of an item or list of a folder; slashes at the end or doubled do not matter."""
        version, _, below = path.partition("/")
        if not version:
            return "1.0\n2021-03-23\nlatest"
        if not _VERSION.fullmatch(version):
            return None
        estate = self._estate.as_of(effect.lag) if effect.lag else self._estate
        shown = estate.instances.get(instance.instance_id)
        if shown is None or shown.interface is None:
            return None
        items = leaves(estate, shown, self._credentials, imds)
        if below in items:
            return items[below]
        return listing(items, below)

    def _token(self, request: web.Request, instance: Instance) -> web.Response:
        if request.method != "PUT":
            return _error(405, {"Allow": "OPTIONS, PUT"})
        if "X-Forwarded-For" in request.headers:
            return _error(403)
        wanted = request.headers.get(TTL_HEADER, "")
        if not wanted.isascii() or not wanted.isdigit() or not 1 <= int(wanted) <= LONGEST_TTL:
            return _error(400)
        now = self._monotonic()
        self._tokens = {t: kept for t, kept in self._tokens.items() if kept[1] > now}
        token = secrets.token_urlsafe(40) + "=="
        self._tokens[token] = (instance.instance_id, now + int(wanted))
        return _plain(token.encode(), {TTL_HEADER: wanted})

    def _good(self, token: str, instance: Instance) -> bool:
        """Whether the token was given to this instance and has not ended."""
        owner, ends = self._tokens.get(token, ("", 0.0))
        return owner == instance.instance_id and self._monotonic() < ends


def _plain(body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=body, content_type="text/plain", headers={"Server": "EC2ws", **(headers or {})}
    )


def _error(status: int, headers: dict[str, str] | None = None) -> web.Response:
    """IMDS answers errors with a small page, which clients must not take for content."""
    phrase = f"{status} - {_PHRASES.get(status, 'Error')}"
    page = (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        f" <head>\n  <title>{phrase}</title>\n </head>\n"
        f" <body>\n  <h1>{phrase}</h1>\n </body>\n</html>\n"
    )
    return web.Response(
        status=status,
        body=page.encode(),
        content_type="text/html",
        headers={"Server": "EC2ws", **(headers or {})},
    )
