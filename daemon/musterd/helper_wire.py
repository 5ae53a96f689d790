"""What musterd and muster-helper say to each other: one JSON line in, JSON lines out.

The request is `{"verb": ..., "params": {...}}`; the helper validates it a second time with these
same shapes, on the root side. It answers any number of `{"progress": "sentence"}` lines and then
one `{"ok": true, "result": {...}}` or `{"ok": false, "refused": bool, "what", "why", "cure"}`.
No parameter is a path, a command or free configuration: what has power (resources, fencing) the
helper takes from the root-owned spec itself.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from musterd.spec import CLUSTER_NAME, HOST_NAME, INSTANCE_ID, STRICT, VOLUME_ID, CibId

LINE_LIMIT = 65_536  # bytes of a request; a whole answer line is bounded by the same

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{512}$")]  # 256 bytes, pcs's own size
PcsdToken = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{64,256}$")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]


@dataclass(frozen=True)
class WireMember:
    """A member as the helper accepts it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    instance_id: Annotated[str, Field(pattern=INSTANCE_ID)]
    name: Annotated[str, Field(pattern=HOST_NAME)]
    address: IPv4Address


@dataclass(frozen=True)
class Identity:
    """Which cluster this is about; the helper compares it with what the node already holds."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Annotated[str, Field(pattern=CLUSTER_NAME)]
    uuid: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    # One only while the other of two is being replaced.
    members: Annotated[tuple[WireMember, ...], Field(min_length=1, max_length=16)]
    token_ms: Annotated[int, Field(ge=1_000, le=300_000)]


@dataclass(frozen=True)
class Tags:
    """The two values instance tags may give; everything else comes from root-owned files."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    cluster: Annotated[str, Field(pattern=CLUSTER_NAME)] | None = None
    size: Annotated[int, Field(ge=2, le=16)] | None = None


@dataclass(frozen=True)
class SurveyParams:
    """`survey`: look at this node; with an identity, compare against it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity | None = None
    tags: Tags = Tags()


@dataclass(frozen=True)
class PrepareParams:
    """`prepare`: stub cluster cleared, pcsd running, AWS profile, nm-cloud-setup, firewall."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    region: Region


@dataclass(frozen=True)
class LayParams:
    """`lay`: both authkeys, the seed CIB, host entries, and last corosync.conf."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity
    corosync_key: Key = field(repr=False)
    pacemaker_key: Key = field(repr=False)


@dataclass(frozen=True)
class TrustParams:
    """`trust`: pcs usable from any node, without a hacluster password.

    Without a token (a formed cluster has forgotten what its own was derived from) the one that pcs
    already presents to the members counts.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity
    pcsd_token: PcsdToken | None = field(default=None, repr=False)


@dataclass(frozen=True)
class StartParams:
    """`start`: corosync and pacemaker enabled and started."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity


@dataclass(frozen=True)
class ConfigureParams:
    """`build` and `configure`: the CIB the root-owned spec wants.

    `build` makes it offline with `pcs -f`, verifies it and keeps it in a root-owned file;
    `configure` (building first where needed) pushes it at once; a second run changes nothing.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity
    tags: Tags
    spec_digest: Digest
    region: Region
    subnet: IPv4Network
    # elastic address -> allocation id, as EC2 answered
    allocations: dict[IPv4Address, Annotated[str, Field(pattern=r"^eipalloc-[0-9a-f]+$")]]
    # floating address -> the elastic one that was allocated for it
    allocated: dict[IPv4Address, IPv4Address] = field(default_factory=dict)
    # name of a shared disk -> its volume
    disks: dict[CibId, Annotated[str, Field(pattern=VOLUME_ID)]] = field(default_factory=dict)


@dataclass(frozen=True)
class ProbeParams:
    """`probe-fencing`: the agent's own status of each member, asked from this node."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity
    tags: Tags
    region: Region


@dataclass(frozen=True)
class FenceParams:
    """`fence`: have Pacemaker fence another member, to see whether it can."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity
    target: Annotated[str, Field(pattern=INSTANCE_ID)]


@dataclass(frozen=True)
class OfferParams:
    """`offer`: this node's pcsd lets the conductor in, once, so that it can be admitted.

    `identity` is the cluster as its members tell it, with this node in it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity
    pcsd_token: PcsdToken = field(repr=False)


@dataclass(frozen=True)
class AdmitParams:
    """`admit`: the conductor takes a node into the running cluster.

    `identity` lists the members with the newcomer; the token is the one it has offered.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity
    newcomer: Annotated[str, Field(pattern=INSTANCE_ID)]
    pcsd_token: PcsdToken = field(repr=False)
    tags: Tags
    spec_digest: Digest
    region: Region


@dataclass(frozen=True)
class ExpelParams:
    """`expel`: the conductor takes a member out of the running cluster.

    `identity` still lists it; one whom only the fencing device's map still knows is taken off that.
    A member that EC2 does not call terminated must have asked to leave.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity
    leaving: Annotated[str, Field(pattern=INSTANCE_ID)]
    asked: bool
    tags: Tags
    spec_digest: Digest
    region: Region


@dataclass(frozen=True)
class WithdrawParams:
    """`withdraw`: undo an admission that the cluster does not know of."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    identity: Identity


_SPEC_KEY = r"^[a-z][a-z0-9_]{0,63}(\.[A-Za-z_][A-Za-z0-9_-]{0,99}){0,9}$"
SpecKey = Annotated[str, Field(pattern=_SPEC_KEY)]


@dataclass(frozen=True)
class CompareParams:
    """`compare`: what of the running cluster is not as the root-owned spec says. Only looks.

    `changed` are the dotted keys of the spec that changed since it was applied last.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    configure: ConfigureParams
    changed: Annotated[tuple[SpecKey, ...], Field(max_length=1000)]


@dataclass(frozen=True)
class ApplyParams:
    """`apply`: run exactly the commands that a comparison has named, or none."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    compare: CompareParams
    plan: Digest
    restart: bool  # whether the whole cluster may be stopped for it


Params = (
    SurveyParams
    | PrepareParams
    | LayParams
    | TrustParams
    | StartParams
    | ConfigureParams
    | ProbeParams
    | FenceParams
    | OfferParams
    | AdmitParams
    | ExpelParams
    | WithdrawParams
    | CompareParams
    | ApplyParams
)


@dataclass(frozen=True)
class Done:
    """The result of verbs that change: what was changed, as sentences; empty when nothing was."""

    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProbeResult:
    """The result of `probe-fencing`.

    `statuses` is member name -> the agent's answer ("on", "off", ...); `map_faults` says what is
    wrong with the running device's map from names to instances.
    """

    statuses: dict[str, str]
    map_faults: tuple[str, ...] = ()
