"""The errors of muster, drawn.

    MusterError            what, why, cure
    ├── SettingsError      the spec: names file, key and cure
    │   └── NoClusterError nobody has named a cluster yet: the node waits
    ├── MetadataError      IMDS: off, tags off, not answering
    ├── CloudError         EC2: refused, throttled, unreachable, wrong
    ├── SecretError        the token: not readable, malformed
    ├── PeerError          a peer: unreachable, or it rejected us
    ├── HelperError        muster-helper: it failed, or it refused (and why)
    └── StoreError         our own state on disk: broken, which is never "blank"

Every error carries three parts, because a node nobody logs in to can only explain itself: what
happened, why (as far as known), and what to type or change next.
"""

from enum import StrEnum


class MusterError(Exception):
    """An outcome that is reported to people: what, why, cure."""

    def __init__(self, what: str, *, why: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.cure = cure

    def __str__(self) -> str:
        """Return the sentence."""
        return self.sentence

    @property
    def sentence(self) -> str:
        """Return one line: what, and why where it is known."""
        return f"{self.what}: {self.why}" if self.why else self.what


class SettingsError(MusterError):
    """The spec cannot be used; `what` names the file and the key."""


class NoClusterError(SettingsError):
    """Nothing names a cluster, or it is not read yet: not a mistake, the node simply waits."""


class MetadataError(MusterError):
    """IMDS did not tell what the node must know."""


class TagsOffError(MetadataError):
    """IMDS has no tags of this instance: that is an answer."""


class CloudErrorKind(StrEnum):
    """Why EC2 gave no answer. None of these is ever read as "no instances"."""

    REFUSED = "refused"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    WRONG = "wrong"


class CloudError(MusterError):
    """An AWS API call failed."""

    def __init__(self, kind: CloudErrorKind, what: str, *, why: str = "", cure: str = "") -> None:
        super().__init__(what, why=why, cure=cure)
        self.kind = kind


class SecretError(MusterError):
    """The cluster token could not be had from its one configured source."""


class PeerError(MusterError):
    """A call to a peer failed; `rejected` tells a refusal from silence."""

    def __init__(self, what: str, *, rejected: bool, why: str = "", cure: str = "") -> None:
        super().__init__(what, why=why, cure=cure)
        self.rejected = rejected


class HelperError(MusterError):
    """A verb of muster-helper did not succeed; `refused` when it would have been unsafe."""

    def __init__(self, what: str, *, refused: bool, why: str = "", cure: str = "") -> None:
        super().__init__(what, why=why, cure=cure)
        self.refused = refused


class StoreError(MusterError):
    """A file of our own state exists but cannot be trusted; the node waits for a person."""
