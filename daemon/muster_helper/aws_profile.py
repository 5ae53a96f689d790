"""Root's AWS profile: the resource agents run the AWS command line with `--profile default`.

The section and a region are all they need; keys come from the instance's role.
"""

from configparser import ConfigParser
from configparser import Error as ConfigError

from muster_helper import files
from muster_helper.host import Host
from musterd.errors import HelperError

_HEADER = "[default]"


def region(host: Host) -> str:
    """Return the default profile's region, "" when it has none.

    Raises:
        HelperError: the file is not one the AWS command line could read.
    """
    text = host.read(host.paths.aws_config)
    if text is None:
        return ""
    # The AWS command line has no interpolation, and a `[default]` section is an ordinary one.
    parser = ConfigParser(interpolation=None, default_section="-", strict=False)
    try:
        parser.read_string(text)
    except ConfigError as broken:
        raise HelperError(
            f"{host.paths.aws_config} cannot be read as an AWS profile file",
            refused=True,
            why=str(broken).splitlines()[0],
            cure=f"correct {host.paths.aws_config}: awsvip and awseip need its [default] section",
        ) from None
    if not parser.has_option("default", "region"):
        return ""
    value = parser.get("default", "region").strip()
    if not value:
        raise HelperError(
            f"{host.paths.aws_config} has a [default] section with an empty region",
            refused=True,
            why="muster never changes a value of yours, and awsvip and awseip need one",
            cure=f"write the region there, or remove the line, in {host.paths.aws_config}",
        )
    return value


def add_region(host: Host, name: str) -> None:
    """Add the region to the default profile; every line of a user's stays as it is."""
    path = host.paths.aws_config
    lines = (host.read(path) or "").splitlines()
    setting = f"region = {name}"
    headers = [index for index, line in enumerate(lines) if line.strip() == _HEADER]
    if headers:
        lines.insert(headers[0] + 1, setting)
    else:
        lines += [*([""] if lines else []), _HEADER, setting]
    path.parent.mkdir(mode=0o700, exist_ok=True)
    files.replace(path, ("\n".join(lines) + "\n").encode(), 0o600)
