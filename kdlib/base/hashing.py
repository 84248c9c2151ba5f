"""Random numbers by integer hashing: the same on every device, a function of what is hashed and of nothing else."""

from __future__ import annotations

from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)
_MASK = (1 << 64) - 1


def splitmix64(counter: Tensor) -> Tensor:
    """Return 64 well-mixed bits for every integer in `counter`, int64 of the same shape.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, figure 16 (with Stafford's
    mix 13).
    """
    # int64 arithmetic wraps as the algorithm asks; >> keeps the sign, so the bits shifted in are masked off.
    z = counter * GOLDEN + GOLDEN
    z = (z ^ ((z >> 30) & ((1 << 34) - 1))) * _FIRST
    z = (z ^ ((z >> 27) & ((1 << 37) - 1))) * _SECOND
    return z ^ ((z >> 31) & ((1 << 33) - 1))


def splitmix64_int(counter: int) -> int:
    """Return `splitmix64` of one Python integer, as a signed 64-bit number."""
    z = (counter * GOLDEN + GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * _FIRST) & _MASK
    z = ((z ^ (z >> 27)) * _SECOND) & _MASK
    z ^= z >> 31
    return z - (1 << 64) if z >> 63 else z


def stream(*keys: int) -> int:
    """Return the start of the random stream that these integers, in this order, name."""
    state = 0
    for key in keys:
        state = splitmix64_int(state ^ key)
    return state


def random_bits(index: Tensor, *keys: int) -> Tensor:
    """Return 64 random bits for every entry of `index`, int64 of its shape: a function of (keys, entry)."""
    return splitmix64(index.long() + stream(*keys))
