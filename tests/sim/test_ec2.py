"""What the simulated EC2 may answer is what the real one may: old, in part, or an error."""

import random
from itertools import pairwise

import pytest

from muster_sim.ec2 import Ec2
from muster_sim.samples import IDS, instances
from musterd.errors import CloudError, CloudErrorKind

READER = IDS[0]


class Clock:
    now = 0.0


def region() -> tuple[Ec2, Clock]:
    """Return EC2 with two instances since second 0 and a third since second 100."""
    clock = Clock()
    ec2 = Ec2(lambda: clock.now, random.Random(1))
    first, second, third, _ = instances()
    ec2.note(first)
    ec2.note(second)
    clock.now = 100.0
    ec2.note(third)
    return ec2, clock


def listed(ec2: Ec2) -> list[str]:
    return [instance.instance_id for instance in ec2.answer(READER)]


def test_without_faults_everybody_sees_the_present() -> None:
    ec2, _ = region()
    assert listed(ec2) == list(IDS[:3])


def test_a_lagging_answer_mixes_new_and_old_and_may_go_back() -> None:
    ec2, clock = region()
    ec2.lag[READER] = 30.0
    clock.now = 115.0
    answers = [IDS[2] in listed(ec2) for _ in range(100)]
    assert 0 < sum(answers) < 100
    assert (True, False) in set(pairwise(answers))
    clock.now = 131.0
    assert all(IDS[2] in listed(ec2) for _ in range(100))


def test_an_instance_without_the_tag_is_not_listed_and_comes_back() -> None:
    ec2, clock = region()
    second = instances()[1]
    ec2.note(second, tagged=False)
    assert listed(ec2) == [IDS[0], IDS[2]]
    assert ec2.described(READER, IDS[1:2]) == (second,)
    clock.now = 110.0
    ec2.note(second)
    assert listed(ec2) == list(IDS[:3])


def test_a_lie_and_an_error_are_for_their_reader_alone() -> None:
    ec2, _ = region()
    ec2.hidden[READER] = frozenset({IDS[1]})
    ec2.errors[IDS[1]] = CloudError(CloudErrorKind.THROTTLED, "slowly")
    assert listed(ec2) == [IDS[0], IDS[2]]
    assert len(ec2.answer(IDS[2])) == 3
    with pytest.raises(CloudError):
        ec2.answer(IDS[1])
