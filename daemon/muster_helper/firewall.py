"""firewalld, where it runs: the cluster's service and the port of muster's peers."""

from xml.etree import ElementTree

from muster_helper.children import must
from muster_helper.host import Host

SERVICE = "high-availability"  # firewalld's own: pcsd, corosync, pacemaker_remote, dlm
PEER_PORT = 7224
_TIMEOUT = 60.0  # seconds; firewall-cmd is a Python program that waits for the daemon


def ready(host: Host) -> bool:
    """Tell whether the default zone's permanent rules hold both (firewalld.zone(5))."""
    conf = host.read(host.paths.below("/etc/firewalld/firewalld.conf")) or ""
    zone = "public"
    for line in conf.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "DefaultZone":
            zone = value.strip()
    for folder in ("/etc/firewalld/zones", "/usr/lib/firewalld/zones"):
        text = host.read(host.paths.below(f"{folder}/{zone}.xml"))
        if text is not None:
            return _holds(text)
    return False


def admit(host: Host) -> None:
    """Open both, now and for later; raises HelperError."""
    rules = [f"--add-service={SERVICE}", f"--add-port={PEER_PORT}/tcp"]
    for scope in ([], ["--permanent"]):  # the permanent one last: it is what `ready` reads
        must(
            host.run(["firewall-cmd", "--quiet", *scope, *rules], timeout=_TIMEOUT),
            "firewalld did not admit the cluster's traffic",
            f"type `firewall-cmd {' '.join(rules)}` on this node to see why",
        )


def _holds(zone: str) -> bool:
    try:
        root = ElementTree.fromstring(zone)  # noqa: S314 - firewalld's own file, owned by root
    except ElementTree.ParseError:
        return False
    service = any(entry.get("name") == SERVICE for entry in root.iterfind("service"))
    port = any(
        (entry.get("port"), entry.get("protocol")) == (str(PEER_PORT), "tcp")
        for entry in root.iterfind("port")
    )
    return service and port
