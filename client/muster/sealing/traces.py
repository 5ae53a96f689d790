"""What a used node leaves on its disk and an image must not carry: one row a trace.

Paths are those of Debian and of Red Hat alike (pcs/settings_default.py, Pacemaker's build defaults,
cloud-init's paths, systemd's state folder). Patterns are globs, so that one row names many files.
"""

from dataclasses import dataclass
from enum import Enum

MACHINE_ID = "/etc/machine-id"
COROSYNC_CONF = "/etc/corosync/corosync.conf"
RECORD = "/var/lib/musterd/record.json"
SPEC = "/etc/muster/muster.toml"
TOKEN = "/etc/muster/token"  # noqa: S105 (a path)
TOKEN_PREFIX = "mst1_"  # noqa: S105 (how each one begins)
AWS_CONFIG = "/root/.aws/config"
HOSTS = "/etc/hosts"
SHADOW = "/etc/shadow"
CLUSTER_ACCOUNT = "hacluster"
CLUSTER_UNITS = ("pacemaker.service", "corosync.service")  # in the order in which they stop

BY_SEAL = "muster seal"
BY_HOST_KEYS = "muster seal --host-keys"


class Removal(Enum):
    """How a trace goes."""

    DELETE = "delete"  # the file, or the folder with all below
    EMPTY = "empty"  # the file stays, without content
    DISABLE = "disable"  # a unit that must not start at boot
    UNLIST = "unlist"  # our lines in the hosts file
    LOCK = "lock"  # the account's password
    BY_HAND = "by hand"  # not ours to remove


@dataclass(frozen=True)
class Find:
    """A trace that is there.

    Attributes:
        path: where, as the node itself would name it.
        what: it is, in words.
        next: what to type.
        removal: how it goes.
    """

    path: str
    what: str
    next: str = BY_SEAL
    removal: Removal = Removal.DELETE


@dataclass(frozen=True)
class Trace:
    """Files that are a trace whatever they hold."""

    pattern: str
    what: str
    next: str = BY_SEAL
    removal: Removal = Removal.DELETE


# In the order in which they go. What says that the node was a member goes last, so that a seal that
# was killed is judged by the next one as it was by the first.
FILES = (
    Trace("/etc/corosync/authkey", "the key of a cluster's traffic"),
    Trace("/etc/corosync/*.muster-new", "a cluster file that was being written"),
    Trace("/etc/pacemaker/authkey", "the key of Pacemaker Remote"),
    Trace("/etc/pacemaker/*.muster-new", "a key that was being written"),
    Trace("/var/lib/pacemaker/cib/*", "a cluster's configuration"),
    Trace("/var/lib/pacemaker/pengine/*", "a cluster's past decisions"),
    Trace("/var/lib/corosync/ringid_*", "the ring numbers of a cluster"),
    Trace("/var/lib/pcsd/pcsd.crt", "the certificate of this node's pcsd"),
    Trace("/var/lib/pcsd/pcsd.key", "the private key of this node's pcsd"),
    Trace("/var/lib/pcsd/pcsd.cookiesecret", "the secret of pcsd's sessions"),
    Trace("/var/lib/pcsd/known-hosts", "pcs's tokens for other nodes"),
    Trace("/var/lib/pcsd/tokens", "pcs's tokens for other nodes"),
    Trace("/var/lib/pcsd/pcs_users.conf", "the tokens that this node's pcsd accepts"),
    Trace("/var/lib/pcsd/pcs_settings.conf", "pcsd's list of clusters"),
    Trace("/var/lib/pcsd/cfgsync_ctl", "pcsd's record of a synchronisation"),
    Trace("/root/.pcs/known-hosts", "pcs's tokens for other nodes"),
    Trace("/home/*/.pcs/known-hosts", "pcs's tokens for other nodes"),
    Trace(TOKEN, "a cluster token"),
    Trace("/var/lib/muster-helper/*", "a built cluster configuration"),
    Trace("/var/lib/cloud/instance", "cloud-init's state of an instance"),
    Trace("/var/lib/cloud/instances/*", "cloud-init's state of an instance, with its user data"),
    Trace("/var/lib/cloud/data/*", "cloud-init's state of an instance"),
    Trace("/var/lib/cloud/sem/*", "cloud-init's marks of what it has done"),
    Trace("/var/log/cloud-init*.log*", "cloud-init's log of an instance"),
    Trace("/etc/udev/rules.d/70-persistent-net.rules", "the hardware address of an interface"),
    Trace("/var/lib/systemd/random-seed", "the seed of the random number generator"),
    Trace("/var/lib/systemd/credential.secret", "this host's key for sealed credentials"),
    Trace("/var/lib/dbus/machine-id", "a copy of the machine id"),
    Trace(MACHINE_ID, "the identity of this installation", removal=Removal.EMPTY),
    Trace("/var/lib/musterd/*", "musterd's memory of this node"),
    Trace(COROSYNC_CONF, "a cluster's configuration"),
)
HOST_KEYS = Trace("/etc/ssh/ssh_host_*", "a host key of sshd", BY_HOST_KEYS)

# Not ours to remove: they are somebody's access, or must be given back to a server.
BY_HAND = (
    Trace("/root/.aws/credentials", "keys of an AWS account", "rm {path}", Removal.BY_HAND),
    Trace("/home/*/.aws/credentials", "keys of an AWS account", "rm {path}", Removal.BY_HAND),
    Trace(
        "/etc/pki/consumer/cert.pem",
        "a subscription that each clone would share",
        "subscription-manager unregister",
        Removal.BY_HAND,
    ),
)
