"""Keys: what IMDS hands to an instance, and who a request's key belongs to.

Nothing is verified cryptographically: the key id says who calls, the session token must fit it.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from .estate import Clock

ADMIN = "admin"
ADMIN_KEY = "AKIAMUSTERLABADMIN00"
ADMIN_SECRET = "muster-lab-admin"

# A role's keys are replaced while the old ones are still good for a while, as on EC2.
RENEW_BEFORE = timedelta(minutes=15)

_SCOPE = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")


@dataclass(frozen=True)
class Keys:
    """Temporary credentials of one instance's role."""

    access_key: str
    secret_key: str
    token: str
    issued: datetime
    expires: datetime
    instance_id: str
    role: str
    delivery: str


@dataclass(frozen=True)
class Caller:
    """Who signed a request.

    Attributes:
        name: instance id, or `admin`.
        role: of the instance; None for the administrator.
        delivery: version of IMDS that the keys were read with (condition key ec2:RoleDelivery).
    """

    name: str
    role: str | None = None
    delivery: str = "2.0"


@dataclass(frozen=True)
class Signature:
    """What an Authorization header says: key id, region and service it was signed for."""

    access_key: str
    region: str
    service: str


class UnknownKeyError(Exception):
    """The key is nobody's, or its session token is not the one that was handed out."""


class ExpiredKeyError(Exception):
    """The key was good once."""


def signature(headers: Mapping[str, str], query: Mapping[str, str]) -> Signature | None:
    """Read the credential scope (AWS Signature Version 4) from header or presigned query."""
    found = _SCOPE.search(headers.get("Authorization", ""))
    if found is None and "X-Amz-Credential" in query:
        found = _SCOPE.search(f"Credential={query['X-Amz-Credential']}")
    return None if found is None else Signature(found[1], found[3], found[4])


class Credentials:
    """All keys the region knows.

    Args:
        clock: the region's time of day.
        seconds: how long a role's keys are good.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._life = timedelta(seconds=seconds)
        self._keys: dict[str, Keys] = {}
        self._current: dict[tuple[str, str], str] = {}

    def of_instance(self, instance_id: str, role: str, delivery: str = "2.0") -> Keys:
        """The instance's keys, fresh ones when the last are about to end."""
        now = self._clock()
        current = self._keys.get(self._current.get((instance_id, delivery), ""))
        margin = min(RENEW_BEFORE, self._life / 4)
        if current is not None and current.role == role and current.expires - now > margin:
            return current
        now = now.replace(microsecond=0)
        keys = Keys(
            access_key="ASIA" + secrets.token_hex(8).upper(),
            secret_key=secrets.token_urlsafe(30),
            token=secrets.token_urlsafe(60),
            issued=now,
            expires=now + self._life,
            instance_id=instance_id,
            role=role,
            delivery=delivery,
        )
        self._keys[keys.access_key] = keys
        self._current[instance_id, delivery] = keys.access_key
        return keys

    def caller(self, access_key: str, token: str | None) -> Caller:
        """Whose key this is.

        Raises:
            UnknownKeyError: nobody's.
            ExpiredKeyError: the key has ended.
        """
        if access_key == ADMIN_KEY:
            return Caller(ADMIN)
        keys = self._keys.get(access_key)
        if keys is None or token != keys.token:
            raise UnknownKeyError(access_key)
        if keys.expires <= self._clock():
            raise ExpiredKeyError(access_key)
        return Caller(keys.instance_id, keys.role, keys.delivery)
