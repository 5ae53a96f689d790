"""`muster config`: the effective spec as TOML, each value with its source, never the token."""

import json
import tomllib

from tests.unit.client.conftest import Musterd, counted, printed

from muster import cli
from muster.context import Context

CONFIG = {
    "digest": "0123abcd",
    "spec": {
        "cluster": {"name": "web", "size": 3},
        "secret": {"source": "inline", "name": "", "path": "/etc/muster/token", "token": "tell-no"},
        "fencing": {"agent": "fence_aws", "prove": "real", "options": {"pcmk_delay_max": 5}},
        "address": [
            {
                "private_ip": "10.0.0.68",
                "group": "networking-group",
                "elastic_ip": None,
                "route_tables": [],
            }
        ],
        "resource": [
            {"id": "web", "operations": {"monitor": {"interval": "10s"}}, "meta": {}, "a b": True}
        ],
        "shared_disk": [],
    },
    "origins": {
        "cluster.name": "instance tags",
        "cluster.size": "default",
        "fencing.options.pcmk_delay_max": "/etc/muster/muster.toml",
        "address": "user data (/run/muster/user-data.toml)",
    },
}


def test_every_value_is_shown_with_its_source(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/config"] = counted(CONFIG)
    assert cli.main(["config"], context) == 0
    lines = printed(context.out).splitlines()
    sources = {
        line.partition(" = ")[0]: line.partition(" # ")[2] for line in lines if " = " in line
    }
    assert sources["name"] == "instance tags"
    assert sources["size"] == "default"
    assert sources["prove"] == "default"
    assert sources["options"] == "/etc/muster/muster.toml"
    assert sources["private_ip"] == "user data (/run/muster/user-data.toml)"
    assert "# digest 0123abcd" in lines


def test_what_is_printed_is_toml_that_says_the_same(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/config"] = counted(CONFIG)
    cli.main(["config"], context)
    assert tomllib.loads(printed(context.out)) == {
        "cluster": {"name": "web", "size": 3},
        "secret": {"source": "inline", "path": "/etc/muster/token"},
        "fencing": {"agent": "fence_aws", "prove": "real", "options": {"pcmk_delay_max": 5}},
        "address": [{"private_ip": "10.0.0.68", "group": "networking-group"}],
        "resource": [{"id": "web", "operations": {"monitor": {"interval": "10s"}}, "a b": True}],
    }


def test_a_token_is_never_shown(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/config"] = counted(CONFIG)
    cli.main(["config"], context)
    cli.main(["config", "--json"], context)
    assert "tell-no" not in printed(context.out)


def test_json_keeps_the_origins(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/config"] = counted(CONFIG)
    assert cli.main(["config", "--json"], context) == 0
    document = json.loads(printed(context.out))
    assert document["origins"] == CONFIG["origins"]
    assert document["spec"]["cluster"] == {"name": "web", "size": 3}
