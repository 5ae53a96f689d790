"""Where boto3 is not there, or is too old: told, with a command that works."""

import sys

import pytest
from botocore.config import Config

from muster.errors import ClientError
from muster.image.aws import Aws


def test_without_boto3_the_cure_is_this_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ClientError, match="needs boto3, which is not installed") as caught:
        Aws("eu-west-1")
    assert caught.value.cure.startswith("pipx install . ")


def test_a_boto3_that_is_too_old_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {k: v for k, v in Config.OPTION_DEFAULTS.items() if "checksum" not in k}
    monkeypatch.setattr(Config, "OPTION_DEFAULTS", known)
    with pytest.raises(ClientError, match=r"needs boto3 1\.36 or later") as caught:
        Aws("eu-west-1")
    assert caught.value.why.startswith("the one installed is 1.")
