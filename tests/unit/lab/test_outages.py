"""Outages are read off the times of answers."""

from outages import gaps


def test_only_long_pauses_count_and_the_ends_are_pauses_too() -> None:
    said = "\n".join(
        f"[{at:.3f}] 64 bytes from 10.0.0.100: icmp_seq=1 ttl=64 time=0.1 ms"
        for at in (100.2, 100.4, 112.9, 113.1)
    )
    assert gaps(said, 100.0, 113.2) == [12.5]
    assert gaps(said, 97.0, 116.0) == [3.2, 12.5, 2.9]
    assert gaps("", 100.0, 150.0) == [50.0]
