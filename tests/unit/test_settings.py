"""One reading of the spec: sources in order, and every complaint with file, key and cure."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from musterd.errors import NoClusterError, SettingsError
from musterd.helper_wire import Tags
from musterd.settings import Settings, beyond_defaults, differing, load, public, tags_of
from musterd.spec import SecretSource

TAGS = Tags(cluster="web", size=3)


@pytest.fixture
def read(tmp_path: Path) -> "Reader":
    return Reader(tmp_path)


class Reader:
    """Writes the two files and loads them."""

    def __init__(self, folder: Path) -> None:
        self.user_data = folder / "user-data.toml"
        self.spec_file = folder / "muster.toml"

    def __call__(self, text: str = "", *, tags: Tags = TAGS, user_data: str = "") -> Settings:
        self.spec_file.write_text(text)
        self.user_data.write_text(user_data)
        return load(tags, self.user_data, self.spec_file)


# --- sources ----------------------------------------------------------------------------------


def test_two_tags_are_enough(tmp_path: Path) -> None:
    found = load(TAGS, tmp_path / "absent", tmp_path / "absent too")
    assert (found.spec.cluster.name, found.spec.cluster.size) == ("web", 3)
    assert found.origins["cluster.name"] == "instance tags"


def test_without_a_size_three_is_the_default(read: Reader) -> None:
    found = read(tags=Tags(cluster="web"))
    assert found.spec.cluster.size == 3
    assert found.origins["cluster.size"] == "default"


def test_the_file_wins_over_user_data_and_that_over_tags(read: Reader) -> None:
    found = read(
        "[cluster]\nsize = 5\n",
        tags=Tags(cluster="tagged", size=2),
        user_data='[cluster]\nname = "given"\nsize = 4\n[corosync]\ntoken_ms = 5000\n',
    )
    assert (found.spec.cluster.name, found.spec.cluster.size) == ("given", 5)
    assert found.spec.corosync.token_ms == 5000
    assert found.origins["cluster.size"] == str(read.spec_file)
    assert found.origins["cluster.name"].startswith("user data")


def test_lists_are_replaced_whole(read: Reader) -> None:
    found = read(
        '[[address]]\nprivate_ip = "10.0.0.9"\n',
        user_data='[[address]]\nprivate_ip = "10.0.0.7"\n[[address]]\nprivate_ip = "10.0.0.8"\n',
    )
    assert [str(address.private_ip) for address in found.spec.address] == ["10.0.0.9"]


def test_nobody_naming_a_cluster_is_no_mistake_but_a_wait(read: Reader) -> None:
    with pytest.raises(NoClusterError) as raised:
        read(tags=Tags())
    assert "muster join --cluster NAME" in raised.value.cure


# --- complaints -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[cluster\n", "is not TOML"),
        ("[cluster]\nsize = 1\n", "key cluster.size cannot be used"),
        ("[cluster]\nsize = 17\n", "key cluster.size cannot be used"),
        ('[cluster]\nname = "a b"\n', "key cluster.name cannot be used"),
        ("[cluster]\nsizes = 3\n", "key cluster.sizes is not known"),
        ("[corosink]\ntoken_ms = 5000\n", "key corosink is not known"),
        ("[corosync]\ntoken_ms = 10\n", "key corosync.token_ms cannot be used"),
        ('[fencing]\nprove = "maybe"\n', "key fencing.prove cannot be used"),
        ('[[address]]\nprivate_ip = "10.0.0"\n', "key address.0.private_ip cannot be used"),
        ('[discovery]\nsource = "static"\n', "key discovery.peers lists 0 peers"),
        ('[secret]\nsource = "inline"\n', "key secret.token is missing"),
        (
            '[[address]]\nprivate_ip = "10.0.0.9"\n[[address]]\nprivate_ip = "10.0.0.9"\n',
            "lists 10.0.0.9 twice",
        ),
    ],
)
def test_every_complaint_names_file_key_and_cure(read: Reader, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(text)
    assert str(read.spec_file) in raised.value.what
    assert told in raised.value.what
    assert str(read.spec_file) in raised.value.cure


def test_a_complaint_names_the_source_the_value_came_from(read: Reader) -> None:
    with pytest.raises(SettingsError, match=r"^user data"):
        read(user_data="[cluster]\nsize = 99\n")


def test_a_file_that_is_not_text_is_told(read: Reader) -> None:
    read.spec_file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not TOML"):
        load(TAGS, read.user_data, read.spec_file)


def test_a_file_that_cannot_be_read_is_an_error_never_an_empty_spec(read: Reader) -> None:
    read.spec_file.mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load(TAGS, read.user_data, read.spec_file)


def test_user_data_that_could_not_be_used_is_an_error_never_an_empty_spec(read: Reader) -> None:
    with pytest.raises(SettingsError) as raised:
        read(
            '[cluster]\nname = "web"\n',
            user_data='[unreadable]\nwhy = "no valid YAML at line 3"\ncure = "correct it"\n',
        )
    assert not isinstance(raised.value, NoClusterError)
    assert raised.value.sentence == "user data cannot be used: no valid YAML at line 3"
    assert raised.value.cure == "correct it"


def test_user_data_that_is_still_being_read_is_waited_for(read: Reader) -> None:
    with pytest.raises(NoClusterError) as raised:
        read(user_data='[unreadable]\nwhy = "timed out"\ncure = "wait"\nagain = true\n')
    assert raised.value.sentence == "user data was not read yet: timed out"
    assert raised.value.cure == "wait"


def test_only_user_data_says_that_it_could_not_be_used(read: Reader) -> None:
    with pytest.raises(SettingsError, match="key unreadable is not known"):
        read('[unreadable]\nwhy = "x"\n')


def test_a_tag_that_cannot_be_used_is_named() -> None:
    with pytest.raises(SettingsError, match="muster:size"):
        tags_of({"muster:cluster": "web", "muster:size": "many"})
    with pytest.raises(SettingsError, match="muster:cluster"):
        tags_of({"muster:cluster": "no spaces please"})


def test_other_tags_do_not_matter() -> None:
    found = tags_of({"Name": "x", "muster:cluster": "web", "muster:size": "4"})
    assert found == Tags(cluster="web", size=4)


# --- digests ----------------------------------------------------------------------------------


def test_equal_specs_have_equal_digests_wherever_they_came_from(read: Reader) -> None:
    by_tags = read()
    by_file = read('[cluster]\nname = "web"\nsize = 3\n', tags=Tags())
    assert by_tags.digest == by_file.digest


def test_a_key_that_only_a_newer_musterd_knows_and_nobody_set_changes_no_digest() -> None:
    """So instances of a newer image join the cluster of an older one, spec for spec."""

    @dataclass(frozen=True)
    class Older:
        address: str

    @dataclass(frozen=True)
    class Newer(Older):
        metric: int = 100
        hints: dict[str, str] = field(default_factory=dict)

    older, newer = Older("10.0.0.100"), Newer("10.0.0.100")
    assert beyond_defaults([newer]) == beyond_defaults([older]) == [{"address": "10.0.0.100"}]
    assert beyond_defaults(replace(newer, metric=5)) == {"address": "10.0.0.100", "metric": 5}


def test_a_default_that_is_written_down_changes_no_digest(read: Reader) -> None:
    written = '[corosync]\ntoken_ms = 10000\n[fencing]\nprove = "permissions"\noptions = {}\n'
    assert read(written).spec == read().spec
    assert (read(written).digest, read(written).keys) == (read().digest, read().keys)


def test_everything_that_was_set_is_in_the_digest(read: Reader) -> None:
    """Within lists of tables and free options as well."""
    address = '[[address]]\nprivate_ip = "10.0.0.100"\n'
    texts = (
        "",
        address,
        f'{address}elastic_ip = "allocate"\n',
        '[fencing.options]\npcmk_delay_base = "5s"\n',
        '[fencing.options]\npcmk_delay_base = "6s"\n',
    )
    assert len({read(text).digest for text in texts}) == len(texts)
    first, second = read(texts[3]), read(texts[4])
    assert differing(first.keys, second.keys) == ("fencing.options.pcmk_delay_base",)
    assert differing(read().keys, first.keys) == ("fencing.options.pcmk_delay_base",)


def test_what_differs_is_named_by_key(read: Reader) -> None:
    ours, theirs = read(), read("[corosync]\ntoken_ms = 5000\n")
    assert ours.digest != theirs.digest
    assert differing(ours.keys, theirs.keys) == ("corosync.token_ms",)


def test_the_token_is_neither_shown_nor_told_in_a_complaint(read: Reader) -> None:
    secret = "mst1_very-secret"
    found = read(f'[secret]\nsource = "inline"\ntoken = "{secret}"\n')
    assert found.spec.secret.source is SecretSource.INLINE
    shown = f"{public(found.spec)} {found.keys} {found.origins} {found.spec!r}"
    assert secret not in shown
    with pytest.raises(SettingsError) as raised:
        read('[secret]\nsource = "inline"\ntoken = ["mst1_very-secret"]\n')
    assert secret not in f"{raised.value} {raised.value.cure}"


@pytest.mark.parametrize(
    "text",
    [
        'secret = "mst1_very-secret"\n',
        '[secret]\nsource = "mst1_very-secret"\n',
        '[secret]\ntokn = "mst1_very-secret"\n',
        '[[secret]]\ntoken = "mst1_very-secret"\n',
        '[secret]\nname = ["mst1_very-secret"]\n',
        '[secret]\ntoken = "mst1_very-secret\n',
    ],
)
def test_a_token_in_the_wrong_place_is_not_repeated_either(read: Reader, text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(text)
    assert "mst1_very-secret" not in f"{raised.value} {raised.value.cure}"


@pytest.mark.parametrize("name", ["-f", "--force", "", "a b", "w\u0435b", "x" * 33])
def test_a_name_that_could_be_an_option_of_pcs_is_none(read: Reader, name: str) -> None:
    with pytest.raises(SettingsError, match=r"cluster\.name"):
        read(f'[cluster]\nname = "{name}"\n')
