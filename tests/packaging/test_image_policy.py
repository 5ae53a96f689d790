"""The policy of whoever builds images is made of the calls in the code, and of nothing else."""

import json
from pathlib import Path

import pytest

from muster_packages import image_policy
from muster_packages.errors import PackagingError

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "client" / "muster" / "image"


def test_the_policy_is_that_of_the_code() -> None:
    """After a change of the calls: `make policy`."""
    shipped = json.loads((ROOT / "packaging/aws/image-policy.json").read_text(encoding="utf-8"))
    assert shipped == image_policy.policy(image_policy.calls(CODE))


def test_every_call_of_the_table_is_made() -> None:
    assert set(image_policy.NEEDS) - image_policy.calls(CODE) == set()


def test_a_call_is_found_and_one_that_nobody_listed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text('aws.call("s3", "put_object", Bucket=b)\n', encoding="utf-8")
    made = image_policy.calls(tmp_path)
    assert made == {"s3:PutObject"}
    with pytest.raises(PackagingError, match="s3:PutObject"):
        image_policy.policy(made)


def test_nothing_is_allowed_on_everything_but_what_knows_no_resource() -> None:
    policy = image_policy.policy(image_policy.calls(CODE))
    wide = [each for each in policy["Statement"] if each["Resource"] == "*"]
    assert [each["Sid"] for each in wide] == ["ImagesAndInstances"]
    assert all("*" not in action for each in policy["Statement"] for action in each["Action"])
    # What removes or marks something is bound to muster's own tags.
    assert not [action for action in wide[0]["Action"] if "Delete" in action or "Tags" in action]
