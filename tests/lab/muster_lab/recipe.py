"""What is in the node image."""

from pathlib import Path

SUITE = "bookworm"

PACKAGES = (
    "awscli",
    "ca-certificates",
    "cloud-init",
    "corosync",
    "curl",
    "dbus",
    "fence-agents",
    "iproute2",
    "iptables",
    "iputils-arping",
    "iputils-ping",
    "jq",
    "libfaketime",  # nodes share the kernel's clock: one process can be told another time
    "netcat-openbsd",
    "nftables",
    "nginx-light",
    "openssl",
    "pacemaker",
    "pacemaker-cli-utils",
    "pcs",
    "procps",
    "psmisc",
    "python3",
    "python3-boto3",
    "python3-systemd",
    "resource-agents",
    "systemd",
    "systemd-container",
    "systemd-sysv",
)

# A container has no consoles, no devices of its own and a network that is already up; timers
# would only compete for the CPU with what is measured.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "cloud-init-hotplugd.socket",
    "console-getty.service",
    "container-getty@.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "getty@.service",
    "logrotate.timer",
    "man-db.timer",
    "sys-fs-fuse-connections.mount",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-pstore.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-udevd.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
)

# Debian enables these two at installation; only a `stock` machine boots with them.
DISABLED = ("corosync.service", "pacemaker.service")
# The cluster starts it, so boot must not.
DISABLED_RESOURCES = ("nginx.service",)

# The lab has no DHCP server, the interface comes up configured. Without a client cloud-init's first
# stage hands over to its second at once instead of waiting a minute for an offer.
DIVERTED = "/usr/sbin/dhclient"

# What a fresh instance makes for itself, and what only the build had.
REMOVED = (
    "etc/apt/sources.list",
    "etc/apt/sources.list.d",
    "etc/hostname",
    "etc/resolv.conf",
    "usr/sbin/policy-rc.d",
    "var/cache/apt",
    "var/lib/apt/lists",
)

GUEST_FILES = Path(__file__).parent / "guest"
