"""What the simulation judges by: when a second founding is one, and when a tag counts."""

import asyncio
from contextlib import nullcontext

import pytest

from muster_sim.stage import tell
from muster_sim.watchers import ViolationError, Watch
from muster_sim.world import REMEMBERED, SimRegion
from musterd.model import Decree, Member


def founding(region: SimRegion, mark: str) -> Decree:
    """One of all nodes; the mark tells it from another."""
    members = tuple(Member(n.instance_id, n.host.name, n.address) for n in region.nodes)
    return Decree(mark * 16, members, "digest", "")


@pytest.mark.parametrize("known_to_both", [False, True])
def test_a_second_founding_is_one_while_somebody_is_left_who_knows_of_the_first(
    known_to_both: bool,
) -> None:
    """Who only accepted the first may accept another once freed."""

    async def story(region: SimRegion) -> None:
        first, second = region.nodes
        watch = Watch(region)
        region.foundings.learned(first, founding(region, "ab"))
        if known_to_both:
            region.foundings.learned(second, founding(region, "ab"))
        watch.look()
        first.terminate()
        region.foundings.learned(second, founding(region, "cd"))
        with pytest.raises(ViolationError) if known_to_both else nullcontext():
            watch.look()

    tell(lambda: SimRegion(3, 2, [1000.0, 1001.0]), story)


@pytest.mark.parametrize("kept_its_disk", [False, True])
def test_a_founding_counts_while_somebody_with_the_tag_still_knows_it(
    kept_its_disk: bool,
) -> None:
    """Found by seed 20974 of the mixed ones: two had lost their tag, and the third its disk."""

    async def story(region: SimRegion) -> None:
        first, second = region.nodes
        region.foundings.learned(first, founding(region, "ab"))
        region.foundings.learned(second, founding(region, "ab"))
        first.becomes(tagged=False)
        if not kept_its_disk:
            second.lose_disk()
        watch = Watch(region)
        watch.look()
        region.foundings.learned(second, founding(region, "cd"))
        with pytest.raises(ViolationError) if kept_its_disk else nullcontext():
            watch.look()

    tell(lambda: SimRegion(3, 2, [1000.0, 1001.0]), story)


def test_a_tag_that_is_given_back_counts_once_no_list_without_it_does() -> None:
    """Until then others may found, and know nothing of its cluster."""

    async def story(region: SimRegion) -> None:
        first, second = region.nodes
        both = (first.instance_id, second.instance_id)
        second.terminate()
        first.becomes(tagged=False)
        assert not region.foundings.any_left(both)
        first.becomes(tagged=True)
        assert not region.foundings.any_left(both)
        await asyncio.sleep(REMEMBERED)
        assert region.foundings.any_left(both)

    tell(lambda: SimRegion(3, 2, [1000.0, 1001.0]), story)
