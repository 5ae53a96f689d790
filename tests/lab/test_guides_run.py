"""Every command that the guides show is run as it stands, on a node or in the bastion.

The cluster is the one of the quick start, launched by its command and its user data.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from muster_lab.client import CHECKOUT, Lab
from muster_lab.image import newest_package
from observe import bring, ids, own_lab, said, status, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(1200)]

PAGES = ("quickstart", "operations", "journal", "scripting", "upgrading", "security-peers")
# What is run elsewhere, by its first words.
ELSEWHERE = {
    "make demo": "tests/lab/test_demo.py",
    "aws ec2 run-instances": "by this file's own fixture",
    "sudo muster join --cluster web": "tests/lab/test_user_data.py, with join.yaml",
}
# Exit codes besides 0 that are an answer.
ALSO = {
    "muster doctor": {1},  # it found something
    "journalctl MUSTER_KIND=finding": {1},  # nothing went wrong
    '[ "$(muster status': {1},  # the first node is not the conductor
}
SECONDS = 5  # for a command that follows what happens; `timeout` then ends it with 124
# What a node of the lab has not: root needs no sudo there, and there is one network to log in to.
ON_A_NODE = """
sudo() { "$@"; }
ssh() { shift; "$@"; }
run-the-nightly-job() { :; }
systemctl() { case "$*" in "start my-deployment") ;; *) command systemctl "$@" ;; esac; }
cd /root
"""
# Files go to its own /tmp: it begins in this checkout.
BASTION = "cd /tmp\nIMAGE=ami-00000000000000001\n" + "".join(
    f"{name}=$(aws ec2 describe-{kind} --query '{path}' --output text)\n"
    for name, kind, path in (
        ("SUBNET", "subnets", "Subnets[0].SubnetId"),
        ("GROUP", "security-groups", "SecurityGroups[0].GroupId"),
        ("ALLOCATION", "addresses", "Addresses[0].AllocationId"),
    )
)


def page(name: str) -> str:
    return (CHECKOUT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    """What is to be typed one after the other; a block with a structure of its own is one."""
    if re.search(r"^(if|for|while|\w+\(\)) ?", block, re.MULTILINE):
        return [block]
    lines = block.replace("\\\n", " ").splitlines()
    bare = (re.sub(r"(^|\s{2,})#.*$", "", line).strip() for line in lines)
    return [line for line in bare if line]


def played() -> list[str]:
    """The commands that the playbooks run on each node."""
    plays = (yaml.safe_load(block)[0] for block in blocks("scripting", "yaml"))
    found = (task.get("ansible.builtin.command", "") for play in plays for task in play["tasks"])
    return [each for each in found if each.startswith("muster ")]


def planned() -> list[str]:
    """The commands of planned work that leave the members as they are.

    The others stand below them in the table, and are run by test_day_two.py and its fellows.
    """
    table = page("operations").partition("## Planned work")[2].partition("| add a node")[0]
    return re.findall(r"`((?:sudo|muster) [^`]*)`", table)


@dataclass
class Cluster:
    """The quick start's cluster, and what the guides' words in capitals stand for in it."""

    lab: Lab
    nodes: list[str]
    wrong: list[str] = field(default_factory=list)

    def filled(self, command: str) -> str:
        """Put names in where a guide has a word in capitals."""
        last = self.lab.node(self.nodes[-1])
        ident = last.instance_id if command.startswith("aws") else "fence-web"
        names = {"NODE": last.hostname, "ID": ident, "GROUP": "networking-group"}
        names |= {"ROLE": "muster-node", "musterd/NAME": "musterd/web"}
        for word, meant in names.items():
            command = re.sub(rf"(?<![\w$\"/]){word}(?![\w=])", meant, command)
        return command

    def run(self, command: str, node: str) -> None:
        """Run it, and note when it does not end well."""
        script = self.filled(command)
        expected = {0}.union(*(codes for words, codes in ALSO.items() if command.startswith(words)))
        if re.match(r"muster \w+ --(follow|watch)", script):  # until somebody has seen enough
            script, expected = f"timeout {SECONDS} {script}", expected | {124}
        if re.search(r"^aws |aws (iam|secretsmanager) ", script):
            done = self.lab.outside("bash", "-ec", BASTION + script, check=False)
        else:
            done = self.lab.run(node, "bash", "-c", ON_A_NODE + script, check=False, timeout=300)
        print(f"$ {script}\n{done.stdout}{done.stderr}")
        if done.returncode not in expected:
            self.wrong.append(f"{script}: ended with {done.returncode}: {done.stderr[-500:]}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_lab("guides") as lab:
        address = lab.aws("ec2", "allocate-address", "--query", "PublicIp", "--output", "text")
        given = blocks("quickstart", "yaml")[0].replace("35.169.153.122", address.stdout.strip())
        [launch] = [each for each in blocks("quickstart", "sh") if "run-instances" in each]
        launch = f"{launch.rstrip()} --user-data file:///tmp/web.yaml"
        trust = '{"Version": "2012-10-17", "Statement": []}'
        named = ("--role-name", "muster-node", "--assume-role-policy-document", trust)
        lab.aws("iam", "create-role", *named)
        lab.outside("sh", "-euc", f"cat > /tmp/web.yaml\n{BASTION}{launch}", stdin=given)
        nodes = ids(lab.nodes())
        assert len(nodes) == 3
        wait_for(lab, "healthy", nodes)
        lab.wait_boot()
        yield Cluster(lab, nodes)


def test_the_user_data_of_the_quick_start_is_what_runs(cluster: Cluster) -> None:
    found = status(cluster.lab, cluster.nodes[0])
    assert (found["cluster"]["name"], len(found["nodes"])) == ("web", 3)
    assert "web" in {each["id"] for each in found["resources"]}
    [address] = found["addresses"]
    assert (address["private_ip"], address["agrees"]) == ("10.0.0.68", True)


def test_the_planned_work_of_the_guide_is_done_with_its_commands(cluster: Cluster) -> None:
    assert len(planned()) >= 5
    for command in planned():
        cluster.run(command, cluster.nodes[0])
        if "stop --all" in command:
            for node in cluster.nodes:
                said(cluster.lab, node, "systemctl", "start", "pacemaker")
        wait_for(cluster.lab, "healthy", cluster.nodes[:2])
    assert cluster.wrong == []
    cluster.lab.wait_boot()
    wait_for(cluster.lab, "healthy", cluster.nodes)


def test_what_the_guides_have_people_type_runs(cluster: Cluster) -> None:
    lab, first = cluster.lab, cluster.nodes[0]
    package = newest_package(CHECKOUT)
    bring(lab, first, package, f"/root/{package.name}")
    typed = [
        (name, command)
        for name in PAGES
        for block in blocks(name, "sh")
        for command in commands(block)
    ]
    assert len(played()) >= 3
    typed += [("scripting", command) for command in played()]
    skipped = set()
    for name, command in typed:
        known = [words for words in ELSEWHERE if command.startswith(words)]
        skipped.update(known)
        if not known:
            print(f"--- {name}.md")
            # The one thing that is asked of the node that was fenced.
            cluster.run(command, cluster.nodes[-1] if " -b -1 " in command else first)
    assert cluster.wrong == []
    assert skipped == ELSEWHERE.keys()
    wait_for(lab, "healthy", cluster.nodes)
