"""Where stories are told: a loop of their own, and a region that ends with them."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from muster_sim.virtual import VirtualLoop
from muster_sim.world import SimRegion

T = TypeVar("T")


def play(whole: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, and return what it returns."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(whole)
    finally:
        loop.close()


def tell(make: Callable[[], SimRegion], story: Callable[[SimRegion], Awaitable[None]]) -> None:
    """Play a story of the region that `make` returns; called in the loop, as its tasks need."""

    async def whole() -> None:
        region = make()
        try:
            await story(region)
        finally:
            await region.end()

    play(whole())
