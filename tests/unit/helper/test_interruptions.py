"""Killed before or after any effect, the next run completes the same node, and a third is idle."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_node import EMPTY_CIB, IDENTITY, LAY, STUB, FakeNode

from muster_helper.configure import configure
from muster_helper.host import Host
from muster_helper.lay import lay
from muster_helper.prepare import prepare
from muster_helper.start import start
from muster_helper.trust import trust
from musterd.errors import HelperError
from musterd.helper_wire import PrepareParams, StartParams, TrustParams

EFFECTS = ("busctl", "pcs", "systemctl", "cibadmin")


class Killed(BaseException):
    """SIGKILL: nothing catches it, so no code of ours runs afterwards."""


class Reaper:
    """Counts effects, and kills before or after the chosen one."""

    def __init__(self, node: FakeNode, patch: pytest.MonkeyPatch) -> None:
        self.node, self.patch = node, patch
        self.left, self.after, self.count = -1, False, 0

    @contextmanager
    def armed(self, at: int, *, after: bool) -> Iterator[None]:
        """Kill at effect number `at`; -1 counts only."""
        self.left, self.after, self.count = at, after, 0
        with self.patch.context() as patch:
            for name in ("rename", "unlink"):
                patch.setattr(Path, name, self._wrap(getattr(Path, name)))
            patch.setattr(os, "write", self._wrap(os.write))
            run = FakeNode.__call__
            patch.setattr(FakeNode, "__call__", self._wrap(run, self._is_effect))
            # What a killed process would not do either: clear its private folder.
            patch.setattr("muster_helper.host.rmtree", lambda _: None)
            yield

    def _wrap(
        self, effect: Callable[..., Any], counts: Callable[..., bool] = lambda *_: True
    ) -> Callable[..., Any]:
        def wrapped(*args: Any, **keywords: Any) -> Any:
            if not counts(*args):
                return effect(*args, **keywords)
            self.count += 1
            chosen = self.count - 1 == self.left
            if chosen and not self.after:
                raise Killed
            result = effect(*args, **keywords)
            if chosen:
                raise Killed
            return result

        return wrapped

    @staticmethod
    def _is_effect(_: FakeNode, argv: list[str]) -> bool:
        looks = {("systemctl", "show"), ("cibadmin", "--empty"), ("cibadmin", "--query")}
        return argv[0] in EFFECTS and (argv[0], argv[1]) not in looks


def whole(host: Host) -> list[tuple[str, ...]]:
    """Everything one member does, in order; returns what each verb changed."""
    node = host.run
    assert isinstance(node, FakeNode)
    done = [
        prepare(host, PrepareParams("eu-west-1")).changed,
        lay(host, LAY).changed,
        start(host, StartParams(IDENTITY)).changed,
    ]
    node.live = node.live or EMPTY_CIB.format(epoch=3, nodes='<node id="1"/>')
    done.append(configure(host, node.configure_params()).changed)
    done.append(trust(host, TrustParams(IDENTITY, "t" * 128)).changed)
    return done


def outcome(node: FakeNode) -> tuple[dict[str, bytes], dict[str, list[str]], str]:
    """What the node holds in the end; private folders and half files are not part of it."""
    kept = {
        path: content
        for path, content in node.snapshot().items()
        if "scratch-" not in path and not path.endswith(".muster-new")
    }
    return kept, node.units, node.live


def stock_node(root: Path) -> FakeNode:
    node = FakeNode(root)
    (root / "etc/corosync/corosync.conf").write_text(STUB)
    (root / "var/lib/pacemaker/cib/cib.xml").write_text(EMPTY_CIB.format(epoch=1, nodes=""))
    for name in ("corosync", "pacemaker"):
        node.units[f"{name}.service"] = ["loaded", "active", "enabled"]
    node.units["pcsd.service"] = ["loaded", "inactive", "disabled"]
    return node


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    untouched = stock_node(tmp_path / "untouched")
    reaper = Reaper(untouched, monkeypatch)
    with reaper.armed(-1, after=False):
        whole(untouched.host())
    effects, expected = reaper.count, outcome(untouched)
    assert effects > 20
    for at in range(effects):
        node = stock_node(tmp_path / f"{at}")
        with Reaper(node, monkeypatch).armed(at, after=after), pytest.raises(Killed):
            whole(node.host())
        whole(node.host())
        assert outcome(node) == expected, f"killed at effect {at}"
        before = outcome(node)
        assert not any(whole(node.host())), f"not idle after a kill at effect {at}"
        assert outcome(node) == before


def test_a_caller_that_leaves_ends_the_verb_between_two_steps(node: FakeNode) -> None:
    """The step under way is whole; the next verb finishes the rest."""
    said: list[str] = []

    def leaves(sentence: str) -> None:
        said.append(sentence)
        if "corosync.conf" in sentence:
            raise HelperError("gone", refused=False)

    with pytest.raises(HelperError, match="gone"):
        lay(Host(node.paths, node, leaves, node.host().name), LAY)
    assert (node.root / "etc/corosync/authkey").stat().st_size == 256
    assert not (node.root / "etc/corosync/corosync.conf").exists()
    assert lay(node.host(), LAY).changed == ("corosync.conf is that of cluster web",)
