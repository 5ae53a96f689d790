"""The services that are not EC2: who-am-I from our own keys, the rest from moto.

moto is right for S3, IAM, STS and Secrets Manager. It is imported at the first call that needs it,
runs in a thread, one request at a time, which also makes its race rules (a secret is created once)
hold.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

from aiohttp import web

from .credentials import ADMIN, Caller
from .errors import AwsError
from .model import ACCOUNT
from .permissions import Permissions

MOTO_SERVICES = ("iam", "s3", "secretsmanager", "sts")

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Services:
    """STS, Secrets Manager, S3 and IAM.

    Args:
        permissions: who may read which secret; S3 and IAM are open to every caller.
    """

    def __init__(self, permissions: Permissions) -> None:
        self._permissions = permissions
        self._lock = asyncio.Lock()
        self._application: WsgiApplication | None = None

    async def answer(
        self,
        service: str,
        action: str,
        request: web.Request,
        body: bytes,
        caller: Caller | None,
    ) -> web.Response:
        """Answer one request.

        Raises:
            AwsError: the region has no such service, or the caller may not.
        """
        if service == "sts" and action == "GetCallerIdentity" and caller is not None:
            return _caller_identity(caller)
        if service not in MOTO_SERVICES:
            raise AwsError("UnknownEndpoint", f"The lab's region has no service '{service}'", 404)
        if service == "secretsmanager" and caller is not None:
            self._permissions.check_secret(caller, action, body)
        async with self._lock:
            return await asyncio.to_thread(self._moto, request, body)

    async def has_role(self, name: str) -> bool:
        """Whether IAM has a role of that name."""

        def look() -> bool:
            roles = self._backend("iam").roles.values()
            return any(role.name == name for role in roles)

        async with self._lock:
            return await asyncio.to_thread(look)

    async def object_size(self, bucket: str, key: str) -> int | None:
        """The size in bytes of an object in S3; None if there is no such object."""

        def look() -> int | None:
            backend = self._backend("s3")
            if bucket not in backend.buckets:
                return None
            found = backend.get_object(bucket, key)
            return None if found is None else int(found.size)

        async with self._lock:
            return await asyncio.to_thread(look)

    def _backend(self, service: str) -> Any:
        """What moto holds of a service that is not bound to a region."""
        from moto.backends import get_backend

        self._moto_application()
        backends: Any = get_backend(service)  # type: ignore[call-overload]
        return backends[ACCOUNT]["aws"]

    def _moto(self, request: web.Request, body: bytes) -> web.Response:
        from werkzeug.test import EnvironBuilder, run_wsgi_app

        environ = EnvironBuilder(
            path=request.path,
            base_url=f"https://{request.host}/",
            query_string=request.query_string,
            method=request.method,
            headers=list(request.headers.items()),
            data=body,
        ).get_environ()
        # The path as it was sent: S3 keys may hold percent signs.
        environ["RAW_URI"] = environ["REQUEST_URI"] = request.raw_path
        chunks, status, headers = run_wsgi_app(self._moto_application(), environ, buffered=True)
        response = web.Response(status=int(status.split()[0]), body=b"".join(chunks))
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                response.headers[name] = value
        return response

    def _moto_application(self) -> WsgiApplication:
        if self._application is None:
            from moto.moto_api._internal.models import moto_api_backend
            from moto.moto_server.werkzeug_app import (
                DomainDispatcherApplication,
                create_backend_app,
            )

            # moto's memory belongs to the process: what an earlier region left is forgotten.
            moto_api_backend.reset()
            self._application = DomainDispatcherApplication(create_backend_app)
        return self._application


def _caller_identity(caller: Caller) -> web.Response:
    """The role session that EC2 opens for an instance is named by the instance id."""
    if caller.name == ADMIN:
        arn, user = f"arn:aws:iam::{ACCOUNT}:user/admin", "AIDAMUSTERLABADMIN00"
    else:
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{caller.role}/{caller.name}"
        user = f"AROAMUSTERLABROLE000:{caller.name}"
    xml = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<GetCallerIdentityResult><Arn>{arn}</Arn><UserId>{user}</UserId>"
        f"<Account>{ACCOUNT}</Account></GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
    return web.Response(text=xml, content_type="text/xml")
