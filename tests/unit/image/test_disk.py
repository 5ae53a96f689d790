"""What a disk file is, and qemu-img's part in it."""

import struct
import subprocess
from pathlib import Path

import pytest
from tests.unit.client.conftest import printed
from tests.unit.image.conftest import raw_disk, vmdk_header

from muster.context import Context
from muster.errors import ClientError
from muster.image import disk

MIB = 1024**2


def qemu(*words: str) -> None:
    subprocess.run(["qemu-img", *words], check=True, capture_output=True)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return raw_disk(tmp_path / "node.raw", 4 * MIB)


@pytest.mark.parametrize(
    ("kind", "options", "ready"),
    [
        ("qcow2", [], False),
        ("vmdk", [], False),
        ("vmdk", ["-o", "subformat=streamOptimized"], True),
        ("vpc", ["-o", "force_size=on"], True),
        ("vpc", ["-o", "subformat=fixed,force_size=on"], True),
        ("vhdx", [], True),
    ],
)
def test_qemus_own_files_are_recognised(
    kind: str, options: list[str], ready: bool, raw: Path, tmp_path: Path
) -> None:
    made = tmp_path / f"node.{kind}"
    qemu("convert", "-f", "raw", "-O", kind, *options, str(raw), str(made))
    found = disk.look(made)
    assert found.kind == {"vpc": "vhd"}.get(kind, kind)
    assert found.ready is ready
    assert found.size in {4 * MIB, None if kind == "vhdx" else 4 * MIB}


def test_a_raw_disk_is_known_by_its_boot_signature(raw: Path) -> None:
    assert disk.look(raw) == disk.Disk(raw, "raw", 4 * MIB, ready=True)


@pytest.mark.parametrize(
    ("content", "what", "cure"),
    [
        (b"\x1f\x8b" + bytes(600), "compressed", "gunzip"),
        (b"\xfd7zXZ" + bytes(600), "compressed", "unxz"),
        (b"plain text", "no disk that could boot", "qemu-img info"),
        (b"", "no disk that could boot", "qemu-img info"),
    ],
)
def test_what_is_no_disk(content: bytes, what: str, cure: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(ClientError) as caught:
        disk.look(file)
    assert what in caught.value.what
    assert cure in caught.value.cure


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="cannot read"):
        disk.look(tmp_path / "none")


@pytest.mark.parametrize(
    "head",
    [
        b"QFI\xfb" + bytes(20) + struct.pack(">Q", 17 * 1024**4) + bytes(600),
        vmdk_header(3, 17 * 1024**4 // 512),
    ],
)
def test_a_disk_that_no_volume_can_hold(head: bytes, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(head)
    with pytest.raises(ClientError) as caught:
        disk.look(file)
    assert "17.0 TiB, too large" in caught.value.what
    assert "qemu-img resize --shrink" in caught.value.cure


def test_qcow2_becomes_a_compressed_vmdk_of_the_same_content(
    raw: Path, tmp_path: Path, context: Context
) -> None:
    source = tmp_path / "node.qcow2"
    qemu("convert", "-f", "raw", "-O", "qcow2", str(raw), str(source))
    work = tmp_path / "work"
    made = disk.converted(disk.look(source), "ab" * 32, work, context)
    assert (made.kind, made.size, made.ready) == ("vmdk", 4 * MIB, True)
    assert disk.look(made.path).ready
    back = tmp_path / "back.raw"
    qemu("convert", "-f", "vmdk", "-O", "raw", str(made.path), str(back))
    assert back.read_bytes() == raw.read_bytes()
    assert "converting 100 %" in printed(context.out)
    assert [each.name for each in work.iterdir()] == [made.path.name]


def test_a_finished_conversion_is_used_again_and_a_torn_one_is_not(
    raw: Path, tmp_path: Path, context: Context
) -> None:
    source = tmp_path / "node.qcow2"
    qemu("convert", "-f", "raw", "-O", "qcow2", str(raw), str(source))
    torn = tmp_path / f"{'ab' * 8}.partial"
    torn.write_bytes(b"torn")
    first = disk.converted(disk.look(source), "ab" * 32, tmp_path, context)
    assert not torn.exists()
    before = first.path.stat().st_mtime_ns
    again = disk.converted(disk.look(source), "ab" * 32, tmp_path, context)
    assert (again.path, again.path.stat().st_mtime_ns) == (first.path, before)


def test_a_name_inside_an_image_is_not_followed(
    raw: Path, tmp_path: Path, context: Context
) -> None:
    """A qcow2 that names /etc/shadow as its backing file would upload it."""
    source = tmp_path / "node.qcow2"
    qemu("create", "-f", "qcow2", "-b", str(raw), "-F", "raw", str(source))
    with pytest.raises(ClientError) as caught:
        disk.converted(disk.look(source), "ab" * 32, tmp_path, context)
    assert "difference to another file" in caught.value.what


def test_a_damaged_image_is_told(tmp_path: Path, context: Context) -> None:
    source = tmp_path / "node.qcow2"
    source.write_bytes(b"QFI\xfb" + bytes(2000))
    with pytest.raises(ClientError) as caught:
        disk.converted(disk.look(source), "ab" * 32, tmp_path, context)
    assert "qemu-img check" in caught.value.cure


def test_without_qemu_img(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    source = tmp_path / "node.qcow2"
    source.write_bytes(b"QFI\xfb" + bytes(2000))
    with pytest.raises(ClientError) as caught:
        disk.converted(disk.look(source), "ab" * 32, tmp_path, context)
    assert "apt install qemu-utils" in caught.value.cure
