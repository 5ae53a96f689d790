"""Who this node is, from the instance metadata service, version 2 only.

Status codes and paths: EC2 User Guide, "Use the Instance Metadata Service to access instance
metadata". A hop limit that is too small shows as silence: the answer to the token request is
dropped on its way.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
from yarl import URL

from musterd.errors import MetadataError, TagsOffError
from musterd.ports import Clock, Random

ENDPOINT = "http://169.254.169.254"
_TOKEN_SECONDS = 300  # longer than any one call takes
_ATTEMPT = aiohttp.ClientTimeout(total=2.0)
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 4.0
_MODIFY = "from a workstation: `aws ec2 modify-instance-metadata-options --instance-id ID "


class Imds:
    """IMDSv2 over link-local HTTP, never through a proxy.

    Args:
        clock: paces retries.
        random: spreads them, so that a fleet started at once does not ask at once.
        endpoint: base URL.
        budget: seconds after which a call gives up; early boots see refused connections.
    """

    def __init__(
        self, clock: Clock, random: Random, *, endpoint: str = ENDPOINT, budget: float = 30.0
    ) -> None:
        self._clock = clock
        self._random = random
        self._endpoint = endpoint
        self._budget = budget

    async def documents(self, paths: Mapping[str, str]) -> Mapping[str, str]:
        """Return the text of each path below `meta-data/`; `{mac}` is the primary interface's.

        A path that does not exist is left out.

        Raises:
            MetadataError: the service is off, silent, or wrong; with the setting to change.
        """
        found: dict[str, str] = {}
        async with self._visit() as visit:
            mac = await visit.get("meta-data/mac")
            for key, path in paths.items():
                try:
                    found[key] = await visit.get(f"meta-data/{path.format(mac=mac)}")
                except _AbsentError:
                    continue
        return found

    async def tags(self) -> Mapping[str, str]:
        """Return the instance's tags.

        Raises:
            TagsOffError: they are not in this instance's metadata.
            MetadataError: as for `documents`.
        """
        folder = "meta-data/tags/instance/"
        async with self._visit() as visit:
            try:
                keys = (await visit.get(folder)).splitlines()
            except _AbsentError:
                raise TagsOffError(
                    "this instance's tags are not in its metadata",
                    why="IMDS answered 404: InstanceMetadataTags is disabled, or it has no tags",
                    cure=f"{_MODIFY}--instance-metadata-tags enabled`, and set the same in the "
                    "launch template; or name the cluster in /etc/muster/muster.toml",
                ) from None
            return {key: await visit.get(folder + quote(key, safe="")) for key in keys}

    @asynccontextmanager
    async def _visit(self) -> AsyncIterator["_Visit"]:
        timeout, deadline = _ATTEMPT, self._clock.monotonic() + self._budget
        async with aiohttp.ClientSession(trust_env=False, timeout=timeout) as session:
            yield _Visit(self._clock, self._random, session, self._endpoint, deadline)


class _AbsentError(MetadataError):
    """404: there is no such item, or it is not enabled."""


class _TryAgainError(Exception):
    """This attempt failed in a way that passes; its text says how."""


class _Visit:
    """A few reads in a row with one token and one deadline."""

    def __init__(
        self,
        clock: Clock,
        random: Random,
        session: aiohttp.ClientSession,
        endpoint: str,
        deadline: float,
    ) -> None:
        self._clock = clock
        self._random = random
        self._session = session
        self._endpoint = endpoint
        self._deadline = deadline
        self._token = ""

    async def get(self, path: str) -> str:
        """Return the text of one item below `/latest/`, trying until the deadline."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._attempt(path)
            except _TryAgainError as error:
                failure = str(error)
            except TimeoutError:
                failure = "no answer within 2 s"
            except aiohttp.ClientError as error:
                failure = str(error) or type(error).__name__
            wait = pause * (0.5 + self._random.fraction())
            if self._clock.monotonic() + wait > self._deadline:
                raise _silent(failure)
            await self._clock.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _attempt(self, path: str) -> str:
        if not self._token:
            self._token = await self._new_token()
        headers = {"X-aws-ec2-metadata-token": self._token}
        # `encoded`: a tag's key arrives quoted, and must not be quoted again.
        url = URL(f"{self._endpoint}/latest/{path}", encoded=True)
        async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
            if answer.status == HTTPStatus.UNAUTHORIZED:
                self._token = ""
                raise _TryAgainError("it refuses its own token (401)")
            if answer.status == HTTPStatus.NOT_FOUND:
                raise _AbsentError(f"instance metadata has no {path}")
            _judge(answer.status)
            return await answer.text()

    async def _new_token(self) -> str:
        url = f"{self._endpoint}/latest/api/token"
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
        async with self._session.put(url, headers=headers, allow_redirects=False) as answer:
            _judge(answer.status)
            return await answer.text()


def _judge(status: int) -> None:
    """Return for 200; raise what passes, or what only a change of settings cures."""
    if status == HTTPStatus.OK:
        return
    if status == HTTPStatus.FORBIDDEN:
        raise MetadataError(
            "the instance metadata service is switched off",
            why="it answered 403: HttpEndpoint is disabled for this instance, or a proxy is in "
            "the way",
            cure=f"{_MODIFY}--http-endpoint enabled --http-tokens required`",
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        raise _TryAgainError(f"it answered {status}")
    raise MetadataError(
        "the instance metadata service answers strangely",
        why=f"status {status}",
        cure="see what answers: `curl -sv -X PUT http://169.254.169.254/latest/api/token "
        "-H 'X-aws-ec2-metadata-token-ttl-seconds: 60'`",
    )


def _silent(failure: str) -> MetadataError:
    return MetadataError(
        "the instance metadata service does not answer",
        why=failure,
        cure=f"{_MODIFY}--http-endpoint enabled --http-put-response-hop-limit 1` (2 in a "
        "container); then `ip route get 169.254.169.254` and the firewall's rules for the user "
        "musterd; the node tries again by itself",
    )
