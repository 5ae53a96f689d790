"""The token, the keys derived from it, and who a certificate names."""

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from musterd import trust
from musterd.errors import PeerError, SecretError

TOKEN = trust.make_token(bytes(range(32)))
OTHER = trust.make_token(bytes(32))
OWN = "i-0123456789abcdef0"


def test_token_text_reads_back() -> None:
    assert trust.parse_token(TOKEN.text()) == TOKEN


def test_token_and_keys_hide_in_repr() -> None:
    keys = trust.cluster_keys(TOKEN, "00" * 32, "ab" * 16)
    shown = f"{TOKEN!r} {trust.Tokens(TOKEN, (TOKEN,))!r} {keys!r}"
    for secret in (TOKEN.text(), repr(TOKEN.value), keys.corosync, keys.pacemaker, keys.pcsd_token):
        assert secret not in shown


def test_token_needs_exactly_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        trust.make_token(bytes(31))


GOOD = TOKEN.text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "correct horse battery staple, and longer than any token could ever need to be",
        GOOD[:-1],
        GOOD + "A",
        GOOD[:-1] + ("A" if GOOD[-1] != "A" else "B"),
        GOOD[:10] + ("A" if GOOD[10] != "A" else "B") + GOOD[11:],
        GOOD + "\n",
        " " + GOOD,
        GOOD + " " + GOOD,
        GOOD.replace("mst1", "mst2"),
        GOOD.upper(),
        # Same 32 bytes, but the two unused bits of the last character are set.
        GOOD[:47] + chr(ord(GOOD[47]) + 1) + GOOD[48:],
    ],
)
def test_anything_but_the_exact_form_is_refused_unrepeated(text: str) -> None:
    with pytest.raises(SecretError) as caught:
        trust.parse_token(text)
    told = " ".join((caught.value.what, caught.value.why, caught.value.cure, str(caught.value)))
    assert len(text) < 20 or text[6:20] not in told


@given(st.text(max_size=80))
def test_random_text_is_no_token(text: str) -> None:
    with pytest.raises(SecretError):
        trust.parse_token(text)


def test_secret_value_reads_back_and_carries_a_rotation() -> None:
    assert trust.parse_secret(trust.secret_text(TOKEN)) == trust.Tokens(TOKEN, (TOKEN,))
    both = f'{{"v":1,"issue":"{OTHER.text()}","trust":["{TOKEN.text()}","{OTHER.text()}"]}}'
    assert trust.parse_secret(both) == trust.Tokens(OTHER, (TOKEN, OTHER))
    assert trust.parse_secret(GOOD + "\n") == trust.Tokens(TOKEN, (TOKEN,))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"v":' + "[" * 4000,
        '{"v":2,"issue":"T","trust":["T"]}',
        '{"v":1,"issue":"T","trust":[]}',
        '{"v":1,"issue":"T","trust":["T"],"more":1}',
        '{"v":1,"issue":7,"trust":[7]}',
        '{"v":1,"issue":"T","trust":"T"}',
        '{"v":1,"issue":"T","trust":["O"]}',
        '{"v":1,"issue":"T","trust":["T","T","T"]}',
        '{"v":1,"issue":"T","trust":["T","bad"]}',
    ],
)
def test_malformed_secret_value_is_refused_unrepeated(text: str) -> None:
    text = text.replace('"T"', f'"{GOOD}"').replace('"O"', f'"{OTHER.text()}"')
    with pytest.raises(SecretError) as caught:
        trust.parse_secret(text)
    assert GOOD not in f"{caught.value} {caught.value.cure} {caught.value.__cause__}"


def test_peer_id_is_read_from_the_one_uri() -> None:
    names = (("DNS", OWN), ("URI", f"musterd://db/{OWN}"))
    assert trust.peer_id(names, "db") == OWN


@pytest.mark.parametrize(
    "names",
    [
        (),
        (("DNS", OWN),),
        (("URI", f"musterd://db/{OWN}"),),
        (("DNS", OWN), ("DNS", OWN), ("URI", f"musterd://db/{OWN}")),
        (("DNS", OWN), ("IP Address", "10.0.0.1"), ("URI", f"musterd://db/{OWN}")),
        (("URI", f"musterd://db/{OWN}"), ("URI", "musterd://db/i-0123456789abcdef1")),
        (("URI", f"musterd://db/{OWN}"), ("URI", f"musterd://db/{OWN}")),
        (("DNS", OWN), ("URI", f"musterd://web/{OWN}")),
        (("DNS", OWN), ("URI", f"musterd://db/{OWN}/more")),
        (("DNS", OWN), ("URI", f"musterd://db/{OWN}\n")),
        (("DNS", "i-01"), ("URI", "musterd://db/i-01")),
        (("DNS", OWN), ("URI", f"https://db/{OWN}")),
        (("URI", f"musterd://db/{OWN}"), ("DNS", "i-0123456789abcdef1")),
    ],
)
def test_peer_id_refuses_everything_else(names: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(PeerError) as caught:
        trust.peer_id(names, "db")
    assert caught.value.rejected


def test_a_cluster_name_is_no_pattern() -> None:
    with pytest.raises(PeerError):
        trust.peer_id((("DNS", OWN), ("URI", f"musterd://dxb/{OWN}")), "d.b")


def test_cluster_keys_depend_on_token_seed_and_uuid() -> None:
    seed, uuid = "0f" * 32, "ab" * 16
    keys = trust.cluster_keys(TOKEN, seed, uuid)
    assert keys == trust.cluster_keys(TOKEN, seed, uuid)
    others = [
        trust.cluster_keys(OTHER, seed, uuid),
        trust.cluster_keys(TOKEN, "0e" * 32, uuid),
        trust.cluster_keys(TOKEN, seed, "ac" * 16),
    ]
    for part in ("corosync", "pacemaker", "pcsd_token"):
        values = {getattr(each, part) for each in (keys, *others)}
        assert len(values) == 4
    assert len({keys.corosync, keys.pacemaker}) == 2
    assert len(bytes.fromhex(keys.corosync)) == len(bytes.fromhex(keys.pacemaker)) == 256
    assert len(keys.pcsd_token) == 192


@given(st.binary(max_size=40), st.integers(1, 300))
def test_keys_are_derived_as_rfc_5869_says(info: bytes, length: int) -> None:
    expected = HKDF(algorithm=SHA256(), length=length, salt=b"musterd/v1", info=info)
    assert trust.derive(TOKEN, info, length) == expected.derive(TOKEN.value)
