"""`offer`, `admit`, `expel`, `withdraw`: a running cluster gains and loses members."""

import json
from base64 import b64encode
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from fake_member import DEVICE, FakeMember
from fake_node import EMPTY_CIB, IDENTITY, LAY, MEMBERS

from muster_helper.faults import POINTS
from muster_helper.host import Host
from muster_helper.instances import Described
from muster_helper.lay import lay
from muster_helper.survey import survey
from muster_helper.trust import trust
from muster_helper.verbs import Request
from musterd.errors import HelperError
from musterd.helper_wire import (
    AdmitParams,
    ExpelParams,
    Identity,
    OfferParams,
    SurveyParams,
    Tags,
    TrustParams,
    WireMember,
    WithdrawParams,
)
from musterd.model import Member, Verb
from musterd.settings import load

THIRD = WireMember("i-00000000000000003", "ip-10-0-0-13", IPv4Address("10.0.0.13"))
THREE = replace(IDENTITY, members=(*MEMBERS, THIRD))
SHARED, OFFERED = "t" * 128, "o" * 128
MAP = ";".join(f"{m.name}:{m.instance_id}" for m in MEMBERS)
LIVE = EMPTY_CIB.format(epoch=9, nodes="").replace(
    "<resources/>",
    f'<resources><primitive id="{DEVICE}"><instance_attributes>'
    f'<nvpair name="pcmk_host_map" value="{MAP}"/><nvpair name="pcmk_delay_max" value="5"/>'
    "</instance_attributes></primitive></resources>",
)


@pytest.fixture
def conductor(tmp_path: Path) -> FakeMember:
    """A member of a running cluster of two, whose pcs knows both."""
    node = FakeMember(tmp_path / "node")
    lay(node.host(), LAY)
    trust(node.host(), TrustParams(IDENTITY, SHARED))
    for name in ("corosync", "pacemaker"):
        node.units[f"{name}.service"] = ["loaded", "active", "enabled"]
    node.live = LIVE
    node.nodes = {m.name: {"online": "true", "unclean": "false"} for m in MEMBERS}
    node.calls.clear()
    return node


def digest(node: FakeMember) -> str:
    return load(Tags(), node.paths.user_data, node.paths.spec).digest


def admission(node: FakeMember) -> AdmitParams:
    return AdmitParams(THREE, THIRD.instance_id, OFFERED, Tags(), digest(node), region="eu-west-1")


def departure(node: FakeMember, identity: Identity = IDENTITY, *, asked: bool) -> ExpelParams:
    leaving = MEMBERS[1].instance_id
    return ExpelParams(identity, leaving, asked, Tags(), digest(node), region="eu-west-1")


CALLED_FOR = Described("running", frozenset({str(THIRD.address)}), {"muster:cluster": "web"})
ENDED = Described("terminated")


def host_of(node: FakeMember, verb: Verb, told: Described | None = None) -> Host:
    """The node with an EC2 that, unless told otherwise, gives every reason for the verb."""
    reason = told or (CALLED_FOR if verb is Verb.ADMIT else ENDED)
    return replace(node.host(), instance=lambda _id, _region: reason)


def perform(
    node: FakeMember, verb: Verb, params: object, told: Described | None = None
) -> list[str]:
    return list(Request(verb, params).perform(host_of(node, verb, told))["changed"])


# --- admit ------------------------------------------------------------------------------------


def test_a_newcomer_can_be_fenced_before_it_is_a_node(conductor: FakeMember) -> None:
    perform(conductor, Verb.ADMIT, admission(conductor))
    order = [call[1:4] for call in conductor.ran("pcs")]
    assert order.index(("stonith", "update", DEVICE)) < order.index(("cluster", "node", "add"))
    assert conductor.listed() == [THIRD.name, *(m.name for m in MEMBERS)]
    assert conductor.device["pcmk_host_map"] == f"{MAP};{THIRD.name}:{THIRD.instance_id}"


def test_pacemaker_forgets_whoever_is_listed_no_more_before_its_id_is_given_away(
    conductor: FakeMember,
) -> None:
    conductor.remembered = [*(m.name for m in MEMBERS), "ip-10-0-0-19"]
    changed = perform(conductor, Verb.ADMIT, admission(conductor))
    ran = [call[:4] for call in conductor.calls]
    forgotten = ran.index(("crm_node", "--force", "--remove", "ip-10-0-0-19"))
    assert forgotten < ran.index(("pcs", "cluster", "node", "add"))
    assert "Pacemaker no longer knows ip-10-0-0-19" in changed
    assert conductor.remembered == [m.name for m in MEMBERS]


def test_the_rules_of_two_nodes_end_with_the_third(conductor: FakeMember) -> None:
    changed = perform(conductor, Verb.ADMIT, admission(conductor))
    assert "pcmk_delay_max" not in conductor.device
    assert any("pcmk_delay_max ends" in line for line in changed)


def test_a_member_that_missed_a_change_starts_again_with_the_present_list(
    conductor: FakeMember,
) -> None:
    perform(conductor, Verb.ADMIT, admission(conductor))
    conductor.nodes[THIRD.name] = {"online": "false", "unclean": "false"}
    conductor.calls.clear()
    perform(conductor, Verb.ADMIT, admission(conductor))
    words = [call[1:3] for call in conductor.calls if call[:2] == ("pcs", "cluster")]
    order = [word for _, word in words]
    assert order == ["sync", "stop", "start", "reload"]
    conductor.nodes[THIRD.name]["online"] = "true"
    assert perform(conductor, Verb.ADMIT, admission(conductor)) == []


def test_admitting_again_completes_and_then_changes_nothing(conductor: FakeMember) -> None:
    perform(conductor, Verb.ADMIT, admission(conductor))
    before = conductor.snapshot(), conductor.live
    assert perform(conductor, Verb.ADMIT, admission(conductor)) == []
    assert (conductor.snapshot(), conductor.live) == before
    assert conductor.calls[-1] != ()
    assert len(conductor.ran("pcs", "cluster", "node", "add")) == 1
    assert conductor.ran("pcs", "cluster", "sync")  # some member may have missed the file


def test_what_an_administrator_set_otherwise_stays(conductor: FakeMember) -> None:
    conductor.live = conductor.live.replace(
        "</instance_attributes>",
        '<nvpair name="power_timeout" value="99"/></instance_attributes>',
    )
    perform(conductor, Verb.ADMIT, admission(conductor))
    assert conductor.device["power_timeout"] == "99"


def test_nobody_is_admitted_where_the_cluster_does_not_run(conductor: FakeMember) -> None:
    conductor.units["pacemaker.service"][1] = "inactive"
    with pytest.raises(HelperError) as caught:
        perform(conductor, Verb.ADMIT, admission(conductor))
    assert caught.value.refused
    assert not conductor.ran("pcs")


@pytest.mark.parametrize(
    "told",
    [
        Described(),
        replace(CALLED_FOR, state="terminated"),
        replace(CALLED_FOR, tags={}),
        replace(CALLED_FOR, tags={"muster:cluster": "db"}),
        replace(CALLED_FOR, addresses=frozenset({"203.0.113.9"})),
    ],
)
def test_nobody_is_admitted_whom_ec2_does_not_count_among_the_clusters_instances(
    conductor: FakeMember, told: Described
) -> None:
    """It would be given the cluster's keys."""
    before = conductor.live
    with pytest.raises(HelperError, match="not an instance of this cluster"):
        perform(conductor, Verb.ADMIT, admission(conductor), told)
    assert not conductor.ran("pcs")
    assert conductor.live == before


def test_who_is_listed_already_need_not_be_in_ec2s_list(conductor: FakeMember) -> None:
    perform(conductor, Verb.ADMIT, admission(conductor))
    assert perform(conductor, Verb.ADMIT, admission(conductor), Described()) == []


def test_with_static_discovery_only_the_specs_peers_are_admitted(conductor: FakeMember) -> None:
    peers = ", ".join(
        f'{{instance_id = "{m.instance_id}", address = "{m.address}", name = "{m.name}"}}'
        for m in MEMBERS
    )
    spec = conductor.paths.spec
    text = spec.read_text()
    spec.write_text(f'{text}\n[discovery]\nsource = "static"\npeers = [{peers}]\n')
    with pytest.raises(HelperError, match="none of the spec's peers"):
        perform(conductor, Verb.ADMIT, admission(conductor))
    third = (
        f'{{instance_id = "{THIRD.instance_id}", address = "{THIRD.address}",'
        f' name = "{THIRD.name}"}}'
    )
    spec.write_text(f'{text}\n[discovery]\nsource = "static"\npeers = [{peers}, {third}]\n')
    assert perform(conductor, Verb.ADMIT, admission(conductor), Described())


@pytest.mark.parametrize("verb", [Verb.ADMIT, Verb.EXPEL])
def test_only_pacemakers_dc_changes_the_members(conductor: FakeMember, verb: Verb) -> None:
    conductor.dc = MEMBERS[1].name
    params = admission(conductor) if verb is Verb.ADMIT else departure(conductor, asked=True)
    with pytest.raises(HelperError, match="another node acts"):
        perform(conductor, verb, params)
    assert not conductor.ran("pcs")


@pytest.mark.parametrize(
    "wrong", [{"instance_id": "i-0fffffffffffffff0"}, {"address": IPv4Address("10.0.0.99")}]
)
@pytest.mark.parametrize("verb", [Verb.ADMIT, Verb.EXPEL])
def test_nobody_becomes_another_instance_by_the_daemons_word(
    conductor: FakeMember, verb: Verb, wrong: dict[str, Any]
) -> None:
    """The fencing device would stop that one instead."""
    third = THIRD if verb is Verb.ADMIT else MEMBERS[1]
    said = replace(IDENTITY, members=(replace(MEMBERS[0], **wrong), MEMBERS[1]))
    if verb is Verb.ADMIT:
        said = replace(said, members=(MEMBERS[0], replace(MEMBERS[1], **wrong), third))
        params: object = replace(admission(conductor), identity=said)
    else:
        params = departure(conductor, said, asked=True)
    before = conductor.live
    with pytest.raises(HelperError):
        perform(conductor, verb, params)
    assert not conductor.ran("pcs")
    assert conductor.live == before


def test_nobody_is_admitted_for_another_spec(conductor: FakeMember) -> None:
    with pytest.raises(HelperError) as caught:
        perform(conductor, Verb.ADMIT, replace(admission(conductor), spec_digest="0" * 64))
    assert caught.value.refused


# --- expel ------------------------------------------------------------------------------------


def gone(node: FakeMember) -> None:
    node.nodes[MEMBERS[1].name] = {"online": "false", "unclean": "true"}


def test_a_fence_that_can_never_end_is_confirmed_first(conductor: FakeMember) -> None:
    gone(conductor)
    changed = perform(conductor, Verb.EXPEL, departure(conductor, asked=False))
    programs = [call[0] for call in conductor.calls]
    remove = conductor.calls.index(
        ("pcs", "cluster", "node", "remove", MEMBERS[1].name, "--skip-offline", "--force")
    )
    assert programs.index("stonith_admin") < remove
    assert "confirmed to be off: EC2 calls i-00000000000000002 terminated" in changed[0]
    assert conductor.listed() == [MEMBERS[0].name]
    assert conductor.device["pcmk_host_map"] == f"{MEMBERS[0].name}:{MEMBERS[0].instance_id}"


def test_whoever_has_a_terminated_members_address_now_is_not_called(conductor: FakeMember) -> None:
    gone(conductor)
    perform(conductor, Verb.EXPEL, departure(conductor, asked=False))
    assert conductor.known_at_removal == [MEMBERS[0].name]


@pytest.mark.parametrize("state", ["stopped", "running", "shutting-down", ""])
def test_only_terminated_is_terminated(conductor: FakeMember, state: str) -> None:
    gone(conductor)
    before = conductor.live
    with pytest.raises(HelperError) as caught:
        perform(conductor, Verb.EXPEL, departure(conductor, asked=False), Described(state))
    assert caught.value.refused
    assert not [c for c in conductor.calls if c[0] in {"pcs", "stonith_admin"}]
    assert conductor.live == before


def test_who_asks_for_a_member_that_ec2_has_forgotten_is_told_to_answer_for_it(
    conductor: FakeMember,
) -> None:
    """No fence of it can succeed: waiting would be for good."""
    gone(conductor)
    for state, cure in (("", "pcs stonith confirm"), ("stopped", "wait until Pacemaker")):
        with pytest.raises(HelperError) as caught:
            perform(conductor, Verb.EXPEL, departure(conductor, asked=True), Described(state))
        assert cure in caught.value.cure


def test_a_member_that_runs_does_not_go_unasked(conductor: FakeMember) -> None:
    with pytest.raises(HelperError) as caught:
        perform(conductor, Verb.EXPEL, departure(conductor, asked=False))
    assert "online" in caught.value.what
    assert not conductor.ran("pcs")


def test_resources_move_before_a_member_that_asked_goes(conductor: FakeMember) -> None:
    perform(conductor, Verb.EXPEL, departure(conductor, asked=True), Described("running"))
    order = [call[:4] for call in conductor.calls if call[0] in {"pcs", "crm_resource"}]
    standby = order.index(("pcs", "node", "standby", MEMBERS[1].name))
    waited = next(n for n, call in enumerate(order) if call[0] == "crm_resource")
    removed = order.index(("pcs", "cluster", "node", "remove"))
    assert standby < waited < removed
    assert not conductor.ran("stonith_admin")


def test_nobody_is_taken_out_where_the_others_would_lose_quorum(conductor: FakeMember) -> None:
    gone(conductor)
    perform(conductor, Verb.ADMIT, admission(conductor))
    conductor.calls.clear()
    with pytest.raises(HelperError) as caught:  # the third is not online either
        perform(conductor, Verb.EXPEL, departure(conductor, THREE, asked=False))
    assert "quorum" in caught.value.what
    assert not conductor.ran("pcs")


def test_nobody_is_taken_out_while_its_fence_is_under_way(conductor: FakeMember) -> None:
    """Its end would have Pacemaker write the node into the CIB again."""
    gone(conductor)
    conductor.fences = {MEMBERS[1].name: "pending"}
    with pytest.raises(HelperError) as caught:
        perform(conductor, Verb.EXPEL, departure(conductor, asked=False))
    assert not caught.value.refused  # it is tried again
    assert conductor.ran("stonith_admin")
    assert not conductor.ran("pcs")
    conductor.fences = {MEMBERS[1].name: "failed"}
    assert perform(conductor, Verb.EXPEL, departure(conductor, asked=False))


def test_pacemaker_is_told_again_to_forget_whom_it_still_knows(conductor: FakeMember) -> None:
    """Or the next node, which gets the free Corosync id, would never be let in."""
    gone(conductor)
    conductor.remembered, conductor.deaf = [MEMBERS[0].name, MEMBERS[1].name], 2
    changed = perform(conductor, Verb.EXPEL, departure(conductor, asked=False))
    assert f"Pacemaker no longer knows {MEMBERS[1].name}" in changed
    assert conductor.remembered == [MEMBERS[0].name]


def test_a_departure_waits_for_pacemaker_to_forget_and_can_be_finished_later(
    conductor: FakeMember,
) -> None:
    gone(conductor)
    conductor.remembered, conductor.deaf = [MEMBERS[0].name, MEMBERS[1].name], 100
    with pytest.raises(HelperError, match=f"Pacemaker still knows {MEMBERS[1].name}") as caught:
        perform(conductor, Verb.EXPEL, departure(conductor, asked=False))
    assert not caught.value.refused
    assert MEMBERS[1].instance_id in conductor.device["pcmk_host_map"]
    conductor.deaf = 0
    alone = replace(IDENTITY, members=MEMBERS[:1])
    perform(conductor, Verb.EXPEL, departure(conductor, alone, asked=False))
    assert conductor.remembered == [MEMBERS[0].name]
    assert MEMBERS[1].instance_id not in conductor.device["pcmk_host_map"]


def test_a_departure_does_not_cover_up_that_an_earlier_one_was_cut_off(
    conductor: FakeMember,
) -> None:
    """It sets the whole fencing map, which alone showed that Pacemaker was to forget somebody."""
    gone(conductor)
    conductor.remembered = [MEMBERS[0].name, MEMBERS[1].name, "ip-10-0-0-19"]
    changed = perform(conductor, Verb.EXPEL, departure(conductor, asked=False))
    assert "Pacemaker no longer knows ip-10-0-0-19" in changed
    assert conductor.remembered == [MEMBERS[0].name]


def test_a_member_that_may_still_run_is_not_called_off_because_somebody_asks(
    conductor: FakeMember,
) -> None:
    gone(conductor)  # unclean: its fence is not over
    with pytest.raises(HelperError) as caught:
        perform(conductor, Verb.EXPEL, departure(conductor, asked=True), Described("running"))
    assert "fenced" in caught.value.cure
    assert not conductor.ran("stonith_admin")
    assert not conductor.ran("pcs")


def test_pcs_is_never_forced_about_a_member_that_runs(conductor: FakeMember) -> None:
    perform(conductor, Verb.EXPEL, departure(conductor, asked=True), Described("running"))
    assert not [call for call in conductor.calls if "--force" in call]


def test_a_node_never_takes_itself_out(conductor: FakeMember) -> None:
    mine = replace(departure(conductor, asked=True), leaving=MEMBERS[0].instance_id)
    with pytest.raises(HelperError) as caught:
        perform(conductor, Verb.EXPEL, mine)
    assert caught.value.refused


def test_taking_out_again_changes_nothing(conductor: FakeMember) -> None:
    gone(conductor)
    perform(conductor, Verb.EXPEL, departure(conductor, asked=False))
    before = conductor.snapshot(), conductor.live
    assert perform(conductor, Verb.EXPEL, departure(conductor, asked=False)) == []
    assert (conductor.snapshot(), conductor.live) == before


class KilledError(Exception):
    """The helper died."""


def killed_at(node: FakeMember, point: str, verb: Verb, params: object) -> None:
    def reach(reached: str) -> None:
        if reached == point:
            raise KilledError

    with pytest.raises(KilledError):
        Request(verb, params).perform(replace(host_of(node, verb), reach=reach))


def test_a_departure_that_was_cut_off_is_seen_and_completed(conductor: FakeMember) -> None:
    conductor.live = conductor.live.replace(f'"{MAP}"', f'"{MAP};{THIRD.name}:{THIRD.instance_id}"')
    conductor._update_device({"pcmk_delay_max": ""})
    perform(conductor, Verb.ADMIT, admission(conductor))
    conductor.nodes[THIRD.name] = {"online": "false", "unclean": "true"}
    leaving = ExpelParams(
        THREE, THIRD.instance_id, asked=False, tags=Tags(), spec_digest=digest(conductor),
        region="eu-west-1",
    )  # fmt: skip
    killed_at(conductor, "expel:middle-removed", Verb.EXPEL, leaving)
    # The members know by now whom corosync.conf lists, and nobody asks for this departure again.
    assert survey(conductor.host(), SurveyParams(IDENTITY)).lingering == (THIRD.instance_id,)
    assert "pcmk_delay_max" not in conductor.device
    perform(conductor, Verb.EXPEL, replace(leaving, identity=IDENTITY))
    assert conductor.device["pcmk_host_map"] == MAP
    assert conductor.device["pcmk_delay_max"] == "5"
    assert survey(conductor.host(), SurveyParams(IDENTITY)).lingering == ()


def test_an_admission_that_nobody_takes_up_again_is_undone(conductor: FakeMember) -> None:
    killed_at(conductor, "admit:middle-mapped", Verb.ADMIT, admission(conductor))
    found = survey(conductor.host(), SurveyParams(IDENTITY))
    assert found.lingering == (THIRD.instance_id,)
    assert found.map_faults == ()
    undone = replace(departure(conductor, asked=False), leaving=THIRD.instance_id)
    perform(conductor, Verb.EXPEL, undone)
    assert conductor.device["pcmk_host_map"] == MAP
    assert conductor.device["pcmk_delay_max"] == "5"
    assert perform(conductor, Verb.EXPEL, undone) == []


# --- trust, offer ------------------------------------------------------------------------------


def test_a_member_learns_a_new_one_by_the_token_it_has(conductor: FakeMember) -> None:
    perform(conductor, Verb.ADMIT, admission(conductor))
    perform(conductor, Verb.TRUST, TrustParams(THREE))
    known = json.loads((conductor.root / "var/lib/pcsd/known-hosts").read_text())["known_hosts"]
    assert {entry["token"] for entry in known.values()} == {b64encode(SHARED.encode()).decode()}
    assert set(known) == {m.name for m in THREE.members}


def test_a_node_of_another_cluster_offers_nothing(conductor: FakeMember) -> None:
    other = replace(IDENTITY, uuid="cd" * 16)
    with pytest.raises(HelperError) as caught:
        perform(conductor, Verb.OFFER, OfferParams(other, OFFERED))
    assert caught.value.refused
    assert not conductor.ran("pcs")


# --- survey -----------------------------------------------------------------------------------


def test_the_running_cluster_says_who_its_members_are(conductor: FakeMember) -> None:
    perform(conductor, Verb.ADMIT, admission(conductor))
    facts = survey(conductor.host(), SurveyParams(IDENTITY))
    assert set(facts.members) == {
        Member(m.instance_id, m.name, str(m.address)) for m in THREE.members
    }


def test_day_two_reaches_every_point_of_its_verbs(
    conductor: FakeMember, newcomer: FakeMember
) -> None:
    reached: list[str] = []

    def at(node: FakeMember, verb: Verb, params: object) -> None:
        Request(verb, params).perform(replace(host_of(node, verb), reach=reached.append))

    at(newcomer, Verb.OFFER, OfferParams(IDENTITY, OFFERED))
    lay(newcomer.host(), LAY)
    newcomer.paths.cib.unlink()
    at(newcomer, Verb.WITHDRAW, WithdrawParams(IDENTITY))
    at(conductor, Verb.ADMIT, admission(conductor))
    conductor.nodes[THIRD.name] = {"online": "true", "unclean": "false"}
    gone(conductor)
    at(conductor, Verb.EXPEL, departure(conductor, THREE, asked=False))
    verbs = (Verb.OFFER, Verb.WITHDRAW, Verb.ADMIT, Verb.EXPEL)
    assert reached == [point for verb in verbs for point in POINTS[verb]]
