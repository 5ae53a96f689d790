"""Where a node keeps what the helper reads and writes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Every path, below a root; the accounts that own Pacemaker's files.

    Paths are those of Debian and of Red Hat alike (pcs/settings_default.py and its
    distribution variants; pacemaker's build defaults).
    """

    root: Path = Path("/")
    cluster_user: str = "hacluster"
    cluster_group: str = "haclient"

    def below(self, path: str) -> Path:
        """Return an absolute path of the node as seen from `root`."""
        return self.root / path.lstrip("/")

    @property
    def corosync_conf(self) -> Path:
        """Corosync's configuration: its presence commits the node to a cluster."""
        return self.below("/etc/corosync/corosync.conf")

    @property
    def corosync_key(self) -> Path:
        """The key of Corosync's traffic (root, 0400)."""
        return self.below("/etc/corosync/authkey")

    @property
    def corosync_state(self) -> Path:
        """Corosync's ring numbers."""
        return self.below("/var/lib/corosync")

    @property
    def pacemaker_key(self) -> Path:
        """The key of Pacemaker Remote, which pcs keeps the same on all nodes (0400)."""
        return self.below("/etc/pacemaker/authkey")

    @property
    def cib_folder(self) -> Path:
        """Where Pacemaker keeps the CIB and its numbered backups."""
        return self.below("/var/lib/pacemaker/cib")

    @property
    def cib(self) -> Path:
        """The CIB that Pacemaker loads when it starts."""
        return self.cib_folder / "cib.xml"

    @property
    def hosts(self) -> Path:
        """The hosts file; appended to, never replaced."""
        return self.below("/etc/hosts")

    @property
    def aws_config(self) -> Path:
        """The profile file of root's AWS command line, which the resource agents use."""
        return self.below("/root/.aws/config")

    @property
    def known_hosts(self) -> Path:
        """Root's list of pcs hosts and tokens."""
        return self.below("/var/lib/pcsd/known-hosts")

    @property
    def pcs_users(self) -> Path:
        """The tokens that this node's pcsd accepts."""
        return self.below("/var/lib/pcsd/pcs_users.conf")

    @property
    def state(self) -> Path:
        """The helper's own folder (root, 0700): the lock, temporary files, the built CIB."""
        return self.below("/var/lib/muster-helper")

    @property
    def user_data(self) -> Path:
        """The spec as user data gave it."""
        return self.below("/run/muster/user-data.toml")

    @property
    def spec(self) -> Path:
        """The spec."""
        return self.below("/etc/muster/muster.toml")
