"""Random numbers by integer hashing: the same on every device, a function of what is hashed and of nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


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


def stream(*keys: int) -> int:
    """Return the start of the random stream that these integers, in this order, name."""
    state = 0
    for key in keys:
        state = int(splitmix64(torch.tensor(state ^ key, device="cpu")))
    return state


def random_bits(index: Tensor, *keys: int) -> Tensor:
    """Return 64 random bits for every entry of `index`, int64 of its shape: a function of (keys, entry)."""
    return splitmix64(index.long() + stream(*keys))
