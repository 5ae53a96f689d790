"""The table of verbs: every one has help that fits a screen, and mistakes are told."""

import pytest
from tests.unit.client.conftest import printed

from muster import cli
from muster.context import Context


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_fits_one_screen_and_has_an_example(
    verb: str, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"], context)
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("example") for line in lines)
    assert any(f"muster {verb} " in line for line in lines[1:])


def test_the_overview_names_every_verb(context: Context) -> None:
    assert cli.main(["--help"], context) == 0
    told = printed(context.out)
    assert all(f"\n  {verb} " in told for verb in cli.VERBS)
    assert len(told.splitlines()) <= 24
    assert max(map(len, told.splitlines())) <= 80


def test_nothing_to_do_is_a_usage_error(context: Context) -> None:
    assert cli.main([], context) == 2


def test_a_misspelt_verb_is_answered_with_the_nearest(context: Context) -> None:
    assert cli.main(["stauts"], context) == 2
    assert "next: muster status" in printed(context.err)


def test_the_version_is_told(context: Context) -> None:
    assert cli.main(["--version"], context) == 0
    assert printed(context.out).startswith("muster ")


def test_an_interrupt_ends_quietly(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float | None = None) -> dict[str, object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(context.client, "status", interrupt)
    assert cli.main(["wait"], context) == 130
    assert printed(context.err) == ""
