"""Monte Carlo with a Bayesian network: several weight draws, one by one or all in one vectorised pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kdlib.teachers.contract import evaluating
from kdlib.teachers.variational.bayesianize import layers, posteriors
from kdlib.teachers.variational.norms import norms
from kdlib.training.hardware import without_autocast

Draw = tuple[list[Tensor], list[Tensor]]
"""The weights of every Bayesian layer and the statistics of every batch norm; none of the latter: the running ones."""

DRAWS_AT_ONCE = 2**22
"""Most weights drawn before they are used: 16 MiB of float32, which stay in the cache of most processors."""

VECTORISE_BELOW = {"cpu": 2**26, "cuda": 2**30}
"""Multiply-adds of a pass below which its overhead rules, so that one vectorised pass beats a loop."""


def draw(network: nn.Module, samples: int = 1, generator: torch.Generator | None = None) -> list[Tensor]:
    """Draw all weights of `network`, one tensor (samples, d_out, d_in) a Bayesian layer, without gradient.

    Args:
        samples: ≥ 1.
        generator: the source of randomness; None is torch's global one.
    """
    found = posteriors(network)
    with torch.no_grad(), without_autocast(next(found[0].parameters()).device.type):
        return [posterior.draw(samples, generator) for posterior in found]


@contextmanager
def pinned(network: nn.Module, weights: list[Tensor], statistics: Sequence[Tensor] = ()) -> Iterator[None]:
    """Use `weights`, one (d_out, d_in) a Bayesian layer, in every pass inside the block.

    `statistics`, where there are any, are one (2, channels) a batch norm of `norms.norms(network)`, used in eval mode.
    """
    found, normed = list(layers(network)), list(norms(network)) if statistics else []
    before = [norm.given for norm in normed]
    try:
        for layer, weight in zip(found, weights, strict=True):
            layer.pinned = weight
        for norm, given in zip(normed, statistics, strict=True):
            norm.given = given
        yield
    finally:
        for layer in found:
            layer.pinned = None
        for norm, given_before in zip(normed, before, strict=True):
            norm.given = given_before


def vectorises(network: nn.Module, x: Tensor) -> bool:
    """Say whether one vectorised pass for all samples is faster than a loop over them.

    Decided by size, so that the same call always gives the same bits: the multiply-adds of a pass are at
    most (images × positions) × weights.
    """
    work = x.numel() // x.shape[1] * sum(layer.weight_shape.numel() for layer in layers(network))
    return work < VECTORISE_BELOW.get(x.device.type, 0)


def sample_forward(
    network: nn.Module,
    x: Tensor,
    samples: int,
    generator: torch.Generator | None = None,
    vectorised: bool | None = None,
    numbered: Callable[[int], Draw] | None = None,
) -> Tensor:
    """Return the outputs of `samples` networks drawn from the posterior, (samples, n, classes).

    Eval mode, no gradient; the network is left as it was. The draws depend on the generator's state, the
    network and `samples`, not on `x` nor on `vectorised`; a numbered one depends on its number alone.

    Args:
        x: (n, channels, height, width) or (n, features).
        samples: ≥ 1.
        generator: on the network's device; None is torch's global one.
        vectorised: one pass for all samples (convolutions become grouped ones), in the parameters' precision
            also under autocast, or a loop; None: by size.
        numbered: gives the draw of each sample, counted from 0, in place of the generator.
    """
    if vectorised is None:
        vectorised = samples > 1 and vectorises(network, x)
    weights = sum(layer.weight_shape.numel() for layer in layers(network))
    at_once = max(1, min(samples, DRAWS_AT_ONCE // weights))

    def forward(drawn: list[Tensor], given: list[Tensor]) -> Tensor:
        with pinned(network, drawn, given):
            result: Tensor = network(x)
        return result

    outputs: list[Tensor] = []
    with evaluating(network):
        for start in range(0, samples, at_once):
            chunk = range(start, min(start + at_once, samples))
            if numbered is None:
                drawn, given = draw(network, len(chunk), generator), []
            else:
                several = zip(*map(numbered, chunk), strict=True)  # weights, then statistics, a list of each a sample
                drawn, given = ([torch.stack(same) for same in zip(*lists, strict=True)] for lists in several)
            if vectorised:
                with without_autocast(x.device.type):  # vmap has no mixed-precision batch norm
                    outputs.extend(torch.vmap(forward)(drawn, given))
            else:
                for s in range(len(chunk)):
                    outputs.append(forward([layer[s] for layer in drawn], [norm[s] for norm in given]))
    return torch.stack(outputs)
