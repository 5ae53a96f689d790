"""The helper's own look at the node: one snapshot that survey reports and refusals judge by."""

import hashlib
from dataclasses import dataclass

from muster_helper import cib, corosync_conf, systemd
from muster_helper.host import Host
from musterd.helper_wire import Identity
from musterd.model import CorosyncConfig

KEY_BYTES = 256  # what pcs makes; Debian's own pacemaker key has 4096


@dataclass(frozen=True)
class Look:
    """What the node holds right now."""

    verdict: corosync_conf.Verdict
    corosync_digest: str  # sha256 of corosync.conf, "" when absent
    keys_digest: str  # sha256 over both authkeys, "" unless both are whole
    others: str  # how its nodes differ from the identity's members, in words
    on_disk: cib.OnDisk
    units: dict[str, systemd.Unit]

    @property
    def kind(self) -> CorosyncConfig:
        """What corosync.conf is."""
        return self.verdict.kind

    @property
    def foreign_cib(self) -> bool:
        """Tell whether a CIB is on disk that is neither the stub's nor the seed."""
        if self.on_disk is cib.OnDisk.BARE:
            return self.kind is not CorosyncConfig.STUB
        return self.on_disk is cib.OnDisk.OTHER

    @property
    def active(self) -> bool:
        """Tell whether any part of a cluster runs, starts or stops."""
        return any(not self.units[name].stopped for name in (systemd.COROSYNC, systemd.PACEMAKER))

    @property
    def running(self) -> bool:
        """Tell whether corosync and pacemaker are both up."""
        return all(self.units[name].running for name in (systemd.COROSYNC, systemd.PACEMAKER))

    @property
    def enabled(self) -> bool:
        """Tell whether both start at boot."""
        return all(self.units[name].enabled for name in (systemd.COROSYNC, systemd.PACEMAKER))


def look(host: Host, identity: Identity | None) -> Look:
    """Take the snapshot: files are read, systemd is asked once, pcs never runs.

    Raises:
        HelperError: systemd does not answer.
    """
    text = host.read(host.paths.corosync_conf)
    return Look(
        corosync_conf.judge(text, identity),
        "" if text is None else hashlib.sha256(text.encode()).hexdigest(),
        _keys_digest(host),
        _others(text, identity),
        cib.on_disk(host),
        systemd.units(host.run),
    )


def _others(text: str | None, identity: Identity | None) -> str:
    if text is None or identity is None:
        return ""
    try:
        return corosync_conf.differences(text, identity)
    except corosync_conf.BrokenConfigError:
        return ""  # the verdict says so


def _keys_digest(host: Host) -> str:
    """Return one digest of both keys; a short one is a torn write and counts as none."""
    digest = hashlib.sha256()
    for path in (host.paths.corosync_key, host.paths.pacemaker_key):
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            return ""
        if len(key) < KEY_BYTES:
            return ""
        digest.update(hashlib.sha256(key).digest())
    return digest.hexdigest()
