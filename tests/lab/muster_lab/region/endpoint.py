"""The TLS endpoint of all services: who calls what, which fault hits it, which model answers."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import uuid4
from weakref import WeakSet
from xml.sax.saxutils import escape

from aiohttp import web

from .calls import Call, CallLog
from .credentials import (
    Caller,
    Credentials,
    ExpiredKeyError,
    UnknownKeyError,
    signature,
)
from .ec2 import Ec2, subject
from .errors import AwsError
from .estate import Estate
from .faults import Effect, Faults
from .query import render_error
from .services import Services

# Statuses of EC2's common client and server errors that are not 400 (API reference, error codes).
_STATUS = {
    "AuthFailure": 401,
    "DryRunOperation": 412,
    "InternalError": 500,
    "RequestLimitExceeded": 503,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "AccessDeniedException": 400,
}

# What each service says to a key it does not know: code, status.
_UNKNOWN_KEY = {
    "ec2": ("AuthFailure", 401),
    "secretsmanager": ("UnrecognizedClientException", 400),
    "s3": ("InvalidAccessKeyId", 403),
}
_EXPIRED_KEY = {
    "ec2": ("RequestExpired", 400),
    "secretsmanager": ("ExpiredTokenException", 400),
    "s3": ("ExpiredToken", 400),
}


@dataclass(frozen=True)
class Incoming:
    """One request, read.

    Attributes:
        service: it was signed or addressed for.
        action: by name; for S3 the method and path.
        form: parameters of the query protocol.
        body: as it came.
        caller: None when the key is not known.
        refusal: what to answer then.
    """

    service: str
    action: str
    form: Mapping[str, str]
    body: bytes
    caller: Caller | None
    refusal: AwsError | None


class Endpoint:
    """One HTTP handler for every AWS host name.

    Args:
        estate: for clock and region.
        ec2: our own model.
        credentials: whose key is whose.
        services: those that are not EC2.
        faults: rules that may hit a request.
        calls: where requests are recorded.
    """

    def __init__(
        self,
        estate: Estate,
        ec2: Ec2,
        credentials: Credentials,
        services: Services,
        faults: Faults,
        calls: CallLog,
    ) -> None:
        self._estate = estate
        self._ec2 = ec2
        self._credentials = credentials
        self._faults = faults
        self._calls = calls
        self._services = services
        # TLS connections end only with the peer's answer, which a client that is gone never sends.
        self.transports: WeakSet[asyncio.Transport] = WeakSet()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        started = time.monotonic()
        if request.transport is not None:
            self.transports.add(request.transport)
        incoming = await self._read(request)
        name = incoming.caller.name if incoming.caller else "unknown"
        effect = self._faults.draw(incoming.service, incoming.action, name)
        try:
            response = await self._respond(request, incoming, effect)
            outcome = "ok" if response.status < 400 else str(response.status)
        except AwsError as error:
            response = _refuse(incoming.service, error)
            outcome = error.code
        if effect.hang:
            outcome = "hang"
        self._calls.add(
            Call(
                at=self._estate.clock(),
                caller=name,
                service=incoming.service,
                action=incoming.action,
                outcome=outcome,
                seconds=round(time.monotonic() - started, 4),
                detail=subject(incoming.form) if incoming.service == "ec2" else "",
            )
        )
        return response

    async def _respond(
        self, request: web.Request, incoming: Incoming, effect: Effect
    ) -> web.Response:
        if effect.delay:
            await asyncio.sleep(effect.delay)
        disturbed = effect.hang or effect.refuses
        if disturbed and not effect.after:
            await self._disturb(request, effect)
        response = await self._serve(request, incoming, effect)
        if disturbed:
            await self._disturb(request, effect)
        return response

    async def _disturb(self, request: web.Request, effect: Effect) -> None:
        """Hang, then cut the connection; or raise the fault's error."""
        if effect.hang:
            await self._faults.hang()
            if request.transport is not None:
                request.transport.abort()
        code = effect.code or "InternalError"
        raise AwsError(code, effect.message, effect.status or _STATUS.get(code, 400))

    async def _serve(
        self, request: web.Request, incoming: Incoming, effect: Effect
    ) -> web.Response:
        if incoming.refusal is not None:
            raise incoming.refusal
        if incoming.service != "ec2":
            return await self._services.answer(
                incoming.service, incoming.action, request, incoming.body, incoming.caller
            )
        assert incoming.caller is not None
        body = await self._ec2.answer(incoming.action, incoming.form, incoming.caller, effect)
        return web.Response(body=body, content_type="text/xml", charset="utf-8")

    async def _read(self, request: web.Request) -> Incoming:
        body = await request.read()
        signed = signature(request.headers, request.query)
        service = signed.service if signed else _service_of_host(request.host)
        form = dict(request.query)
        if request.content_type == "application/x-www-form-urlencoded" and service != "s3":
            form |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        caller, refusal = None, None
        try:
            token = request.headers.get("X-Amz-Security-Token")
            token = token or request.query.get("X-Amz-Security-Token")
            if signed is not None:
                caller = self._credentials.caller(signed.access_key, token)
            elif service != "s3":
                refusal = _refusal(service, ("MissingAuthenticationToken", 403), "is not signed")
        except UnknownKeyError:
            unknown = _UNKNOWN_KEY.get(service, ("InvalidClientTokenId", 403))
            refusal = _refusal(service, unknown, "is signed with a key that is nobody's")
        except ExpiredKeyError:
            expired = _EXPIRED_KEY.get(service, ("ExpiredToken", 403))
            refusal = _refusal(service, expired, "is signed with a key that has expired")
        return Incoming(service, _action(service, request, form), form, body, caller, refusal)


def _refusal(service: str, answer: tuple[str, int], why: str) -> AwsError:
    if answer[0] == "AuthFailure":
        return AwsError(
            "AuthFailure", "AWS was not able to validate the provided access credentials", 401
        )
    return AwsError(answer[0], f"The request to {service} {why}", answer[1])


def _service_of_host(host: str) -> str:
    """The service that an unsigned request means, as in `b.s3.eu-west-1.amazonaws.com`."""
    labels = host.partition(":")[0].removesuffix(".amazonaws.com").split(".")
    return "s3" if "s3" in labels else labels[0]


def _action(service: str, request: web.Request, form: Mapping[str, str]) -> str:
    target = request.headers.get("X-Amz-Target")
    if target is not None:
        return target.rpartition(".")[2]
    if service == "s3":
        return f"{request.method} {request.path}"
    return form.get("Action", "")


def _refuse(service: str, error: AwsError) -> web.Response:
    """An error in the form that the service's protocol has for it."""
    if service == "ec2":
        body, kind = render_error(error), "text/xml"
    elif service == "secretsmanager":
        text = json.dumps({"__type": error.code, "message": error.message})
        body, kind = text.encode(), "application/x-amz-json-1.1"
    else:
        inner = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        if service == "s3":
            xml = f"<Error>{inner}<RequestId>{uuid4()}</RequestId></Error>"
        else:
            xml = (
                f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error>"
                f"<RequestId>{uuid4()}</RequestId></ErrorResponse>"
            )
        body, kind = xml.encode(), "text/xml"
    return web.Response(status=error.status, body=body, content_type=kind)
