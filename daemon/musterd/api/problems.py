"""Every error leaves through here, once, as `application/problem+json` (RFC 9457)."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import TypeAdapter

from muster.api import Problem
from musterd.errors import HelperError, MusterError, SettingsError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PROBLEM = TypeAdapter(Problem)
_CONFLICT, _UNAVAILABLE = 409, 503
_LONGEST = 1000  # characters of a sentence; they may quote what a peer or AWS said


def problem(
    status: int, title: str, *, detail: str = "", kind: str, remedy: str = ""
) -> web.Response:
    """Make the answer.

    Args:
        status: HTTP status.
        title: what went wrong.
        detail: why, as far as known.
        kind: one word for programs.
        remedy: what to type or change next.
    """
    document = Problem(
        type=f"muster:problem:{kind}",
        title=title[:_LONGEST],
        status=status,
        detail=detail[:_LONGEST],
        kind=kind,
        remedy=remedy[:_LONGEST],
    )
    return web.Response(
        status=status,
        body=_PROBLEM.dump_json(document),
        content_type="application/problem+json",
    )


def from_error(error: MusterError) -> web.Response:
    """Turn one of our errors into its answer: 409 what a person must change, 503 what may pass."""
    kind = type(error).__name__.removesuffix("Error").lower()
    lasting = isinstance(error, SettingsError) or (isinstance(error, HelperError) and error.refused)
    return problem(
        _CONFLICT if lasting else _UNAVAILABLE,
        error.what,
        detail=error.why,
        kind=kind,
        remedy=error.cure,
    )


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error of a handler, and aiohttp's own refusals, as a problem."""
    try:
        return await handler(request)
    except MusterError as error:
        return from_error(error)
    except web.HTTPException as refusal:
        if refusal.status < web.HTTPBadRequest.status_code:
            raise
        answer = problem(
            refusal.status,
            refusal.reason,
            detail=f"{request.method} {request.path}",
            kind="request",
            remedy="GET /v1/openapi.json lists what can be asked",
        )
        if "Allow" in refusal.headers:
            answer.headers["Allow"] = refusal.headers["Allow"]
        return answer
