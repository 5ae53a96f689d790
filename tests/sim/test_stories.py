"""What the stories are made of: every size and every trouble, often enough to mean something."""

from collections import Counter

from muster_sim.scenarios import BIG, KINDS, MOMENTS, story

MANY = 20_000


def test_every_size_and_every_trouble_occurs() -> None:
    told = [story(seed) for seed in range(MANY)]
    sizes = Counter(one.size for one in told)
    assert set(sizes) == {2, 3, 4, 5, 6, 7, 16}
    assert min(sizes[size] for size in range(2, 8)) > MANY / 100
    assert sizes[16] == MANY // BIG
    troubles = Counter(trouble.what for one in told for trouble in one.troubles)
    assert set(troubles) == {*KINDS, "tag gained"}
    assert min(troubles.values()) > MANY / 50
    aimed = {trouble.after for one in told for trouble in one.troubles}
    assert aimed == {"", *MOMENTS}


def test_two_groups_under_one_tag_occur() -> None:
    told = [story(seed) for seed in range(2_000)]
    assert sum(len(one.boots) == 2 * one.size for one in told) > 100
    assert sum(bool(one.absent) for one in told) > 100
    assert sum(bool(one.untagged) for one in told) > 100


def test_a_seed_is_a_story() -> None:
    assert story(7) == story(7)
    assert story(7) != story(8)
