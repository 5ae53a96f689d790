"""The vocabulary: which verb takes which parameters and does what. There is nothing else."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from muster_helper.admit import admit
from muster_helper.apply import apply
from muster_helper.build import build
from muster_helper.compare import compare
from muster_helper.configure import configure
from muster_helper.expel import expel
from muster_helper.fence import fence
from muster_helper.host import Host
from muster_helper.lay import lay
from muster_helper.offer import offer, withdraw
from muster_helper.prepare import prepare
from muster_helper.probe import probe
from muster_helper.refusals import malformed
from muster_helper.start import start
from muster_helper.survey import survey
from muster_helper.trust import trust
from musterd.helper_wire import (
    AdmitParams,
    ApplyParams,
    CompareParams,
    ConfigureParams,
    Done,
    ExpelParams,
    FenceParams,
    LayParams,
    OfferParams,
    PrepareParams,
    ProbeParams,
    ProbeResult,
    StartParams,
    SurveyParams,
    TrustParams,
    WithdrawParams,
)
from musterd.model import Comparison, NodeFacts, Verb

Result = NodeFacts | Done | ProbeResult | Comparison

_ODD = re.compile(r"[^A-Za-z0-9_.-]")  # in a key that somebody made up; it goes into the journal


@dataclass(frozen=True)
class Entry:
    """One verb: the shape of its parameters and the function that performs it."""

    params: type[Any]
    perform: Callable[[Host, Any], Result]


VERBS: dict[Verb, Entry] = {
    Verb.SURVEY: Entry(SurveyParams, survey),
    Verb.PREPARE: Entry(PrepareParams, prepare),
    Verb.LAY: Entry(LayParams, lay),
    Verb.START: Entry(StartParams, start),
    Verb.BUILD: Entry(ConfigureParams, build),
    Verb.CONFIGURE: Entry(ConfigureParams, configure),
    Verb.TRUST: Entry(TrustParams, trust),
    Verb.PROBE_FENCING: Entry(ProbeParams, probe),
    Verb.FENCE: Entry(FenceParams, fence),
    Verb.OFFER: Entry(OfferParams, offer),
    Verb.ADMIT: Entry(AdmitParams, admit),
    Verb.EXPEL: Entry(ExpelParams, expel),
    Verb.WITHDRAW: Entry(WithdrawParams, withdraw),
    Verb.COMPARE: Entry(CompareParams, compare),
    Verb.APPLY: Entry(ApplyParams, apply),
}


@dataclass(frozen=True)
class Request:
    """A validated request."""

    verb: Verb
    params: Any

    def perform(self, host: Host) -> dict[str, Any]:
        """Perform the verb and return its result as plain values."""
        host.reach(f"{self.verb}:before")
        result = asdict(VERBS[self.verb].perform(host, self.params))
        host.reach(f"{self.verb}:after")
        return result


@cache
def _shape(verb: Verb) -> TypeAdapter[Any]:
    """Return what checks the verb's parameters; making one takes longer than the check."""
    return TypeAdapter(VERBS[verb].params)


def validate(request: object) -> Request:
    """Return the request if verb, keys and every value are as helper_wire draws them.

    Raises:
        HelperError: they are not. No value is repeated in it: some are secret.
    """
    if not isinstance(request, dict) or set(request) != {"verb", "params"}:
        raise malformed("it must have exactly the keys verb and params")
    try:
        verb = Verb(request["verb"])
    except ValueError:
        raise malformed(f"the verbs are {', '.join(VERBS)}") from None
    try:
        # As JSON, because only there strict means: an array is a tuple, "1" is no number.
        given = json.dumps(request["params"])
        params = _shape(verb).validate_json(given, strict=True)
    except ValidationError as invalid:
        first = invalid.errors(include_input=False, include_url=False, include_context=False)[0]
        key = ".".join(_ODD.sub("?", str(part)[:40]) for part in first["loc"])
        # What ipaddress and the like complain of, they repeat.
        why = "it is malformed" if first["type"] == "value_error" else first["msg"]
        raise malformed(f"{verb}: {key or 'params'}: {why}") from None
    return Request(verb, params)
