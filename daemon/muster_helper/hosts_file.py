"""/etc/hosts: appended to, so that members know each other by name without a resolver."""

from muster_helper import files
from muster_helper.host import Host
from musterd.helper_wire import Identity


def name_members(host: Host, identity: Identity) -> tuple[str, ...]:
    """Append the members that the hosts file does not have, under a line that says whose.

    Returns:
        What was changed, in words.
    """
    text = host.read(host.paths.hosts) or ""
    entries = [line.split("#", 1)[0].split() for line in text.splitlines()]
    known = {(words[0], name) for words in entries for name in words[1:]}
    lines = [
        f"{member.address} {member.name}"
        for member in identity.members
        if (str(member.address), member.name) not in known
    ]
    if not lines:
        return ()
    marker = f"# muster: members of cluster {identity.name} ({identity.uuid})"
    files.append(host.paths.hosts, (marker, *lines))
    return (f"{host.paths.hosts} names {len(lines)} members",)
