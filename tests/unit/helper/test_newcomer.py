"""`offer`, `trust`, `withdraw`: a node lets the conductor in, becomes a member, or does not."""

import json
from base64 import b64encode
from dataclasses import replace

import pytest
from fake_member import FakeMember
from fake_node import IDENTITY, LAY, MEMBERS
from test_members import LIVE, OFFERED, SHARED, perform

from muster_helper.lay import lay
from muster_helper.survey import survey
from musterd.errors import HelperError
from musterd.helper_wire import OfferParams, SurveyParams, TrustParams, WithdrawParams
from musterd.model import Verb


def tokens(node: FakeMember) -> list[str]:
    file = node.root / "var/lib/pcsd/pcs_users.conf"
    return [entry["token"] for entry in json.loads(file.read_text())] if file.exists() else []


def test_an_offer_lets_the_conductor_in_and_is_seen(newcomer: FakeMember) -> None:
    assert not survey(newcomer.host(), SurveyParams(IDENTITY)).offered
    perform(newcomer, Verb.OFFER, OfferParams(IDENTITY, OFFERED))
    assert survey(newcomer.host(), SurveyParams(IDENTITY)).offered
    assert not [word for call in newcomer.calls for word in call if "oooo" in word]
    other = replace(IDENTITY, uuid="cd" * 16)
    assert not survey(newcomer.host(), SurveyParams(other)).offered


def test_an_offer_is_no_trust_and_ends_with_it(newcomer: FakeMember) -> None:
    perform(newcomer, Verb.OFFER, OfferParams(IDENTITY, OFFERED))
    lay(newcomer.host(), LAY)  # what the conductor's pcs does: the files, and the list of hosts
    for member, token in zip(MEMBERS, (OFFERED, SHARED), strict=True):
        newcomer._host_auth(
            [member.name, f"addr={member.address}:2224"], b64encode(token.encode()).decode()
        )
    assert not survey(newcomer.host(), SurveyParams(IDENTITY)).trusted
    perform(newcomer, Verb.TRUST, TrustParams(IDENTITY))
    assert survey(newcomer.host(), SurveyParams(IDENTITY)).trusted
    assert tokens(newcomer) == [b64encode(SHARED.encode()).decode()]


def test_an_offer_by_an_exchanged_token_takes_the_place_of_the_old_one(
    newcomer: FakeMember,
) -> None:
    perform(newcomer, Verb.OFFER, OfferParams(IDENTITY, OFFERED))
    again = OfferParams(IDENTITY, OFFERED[::-1])
    perform(newcomer, Verb.OFFER, again)
    assert tokens(newcomer) == [b64encode(again.pcsd_token.encode()).decode()]
    perform(newcomer, Verb.OFFER, again)
    assert len(tokens(newcomer)) == 1
    assert survey(newcomer.host(), SurveyParams(IDENTITY)).offered


def test_a_cut_off_admission_is_withdrawn_to_a_node_without_a_cluster(newcomer: FakeMember) -> None:
    lay(newcomer.host(), LAY)
    newcomer.paths.cib.unlink()  # pcs writes none
    assert perform(newcomer, Verb.WITHDRAW, WithdrawParams(IDENTITY))
    facts = survey(newcomer.host(), SurveyParams(IDENTITY))
    assert (facts.laid, facts.keys_digest) == (False, "")
    assert perform(newcomer, Verb.WITHDRAW, WithdrawParams(IDENTITY)) == []


def test_nothing_is_withdrawn_from_a_node_that_has_run(newcomer: FakeMember) -> None:
    lay(newcomer.host(), LAY)
    newcomer.paths.cib.write_text(LIVE)
    with pytest.raises(HelperError) as caught:
        perform(newcomer, Verb.WITHDRAW, WithdrawParams(IDENTITY))
    assert caught.value.refused
    assert survey(newcomer.host(), SurveyParams(IDENTITY)).laid
