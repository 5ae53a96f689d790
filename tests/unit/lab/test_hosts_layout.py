"""Names and arguments of the lab's hosts half."""

from pathlib import Path

import pytest

from muster_lab.cli import main, parser
from muster_lab.layout import Layout


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "my-lab", "a/b", "x" * 17])
def test_a_name_that_could_not_prefix_everything_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot call a lab"):
        Layout(name)


def test_no_labs_things_begin_with_another_labs_prefix() -> None:
    assert not Layout("web2").namespace("aws").startswith(Layout("web").prefix)


def test_everything_of_a_lab_lies_in_folders_of_its_name() -> None:
    layout = Layout("web")
    for path in (layout.control_socket, layout.pid_file, layout.server_log):
        assert path.parent == layout.run == Path("/run/muster-lab/web")
    assert layout.disks == Path("/var/lib/muster-lab/web")


def test_tags_are_split_at_the_first_equals_sign() -> None:
    options = parser().parse_args(["launch", "--tag", "muster:cluster=web", "--tag", "a=b=c"])
    assert options.tag == [("muster:cluster", "web"), ("a", "b=c")]


def test_a_tag_without_a_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["launch", "--tag", "web"])
    assert "'web' is no KEY=VALUE" in capsys.readouterr().err


def test_a_command_keeps_its_own_options() -> None:
    options = parser().parse_args(["run", "1", "ls", "-l", "--name", "x"])
    assert (options.name, options.command) == (None, ["ls", "-l", "--name", "x"])


def test_a_verb_on_a_lab_that_is_not_up_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--name", "neverstarted", "list"]) == 1
    assert capsys.readouterr().err == (
        "lab: cannot reach lab neverstarted: it is not up; run `lab up`\n"
    )


def test_an_impossible_name_is_a_sentence_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--name", "No", "list"]) == 1
    assert capsys.readouterr().err.startswith("lab: cannot call a lab 'No'")
