#!/bin/sh
# Makes an instance or a guest of RHEL 8, RHEL 9 or Debian 12 a node's image; run as root, with
# PACKAGE naming muster's .rpm or .deb. Sealing comes after it. Can be run again.
set -eu

: "${PACKAGE:?name the package: PACKAGE=/tmp/muster.rpm sh provision.sh}"
drivers=/etc/dracut.conf.d/muster-ec2.conf

rhel() {
    major=$1
    # The add-on comes by RHUI (images of the marketplace with it) or by subscription; its absence
    # is told here, and not by a failing dependency.
    if ! dnf --quiet repolist --enabled | grep -q -i highavailability; then
        if subscription-manager identity >/dev/null 2>&1; then
            subscription-manager repos \
                --enable="rhel-$major-for-x86_64-highavailability-rpms"
        else
            echo "error: no repository of the High Availability add-on is enabled" >&2
            echo "  next: take an image that has it, or: subscription-manager register" >&2
            exit 1
        fi
    fi
    dnf --assumeyes install "$PACKAGE" cloud-init chrony
    # awsvip and awseip call the AWS command line, which RHEL 9 has from 9.5 on.
    dnf --assumeyes install awscli2 || dnf --assumeyes install awscli ||
        echo "remark: no package of the AWS command line; floating addresses need it" >&2
    # Kernels of an image may boot on other machines than the one that builds it.
    if ! [ -e "$drivers" ]; then
        echo 'add_drivers+=" nvme xen-netfront xen-blkfront ena "' >"$drivers"
        dracut --force --regenerate-all
    fi
    # It takes floating addresses away again (RHEL 8.6 and later).
    systemctl disable nm-cloud-setup.service nm-cloud-setup.timer 2>/dev/null || true
    if systemctl --quiet is-enabled firewalld 2>/dev/null; then
        firewall-offline-cmd --add-service=high-availability --add-port=7224/tcp
    fi
    systemctl enable cloud-init.target chronyd.service
}

debian() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install --yes "$PACKAGE" cloud-init chrony
}

# shellcheck source=/dev/null # of the machine that it runs on
. /etc/os-release
case "$ID:${VERSION_ID%%.*}" in
rhel:8 | rhel:9 | centos:9) rhel "${VERSION_ID%%.*}" ;;
debian:12) debian ;;
*)
    echo "error: $PRETTY_NAME is none of RHEL 8, RHEL 9 and Debian 12" >&2
    exit 1
    ;;
esac
