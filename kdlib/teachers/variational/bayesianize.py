"""Turn any network of Conv2d and Linear layers into a Bayesian one, in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlib.teachers.variational import Family
from kdlib.teachers.variational.inducing import Inducing
from kdlib.teachers.variational.mean_field import MeanField
from kdlib.training.hardware import without_autocast

Posterior = MeanField | Inducing
"""What both have: `draw`, `centre` and `kl`."""

FAMILIES: dict[Family, type[Posterior]] = {Family.MEAN_FIELD: MeanField, Family.INDUCING: Inducing}


class Variational(nn.Module):
    """Give a layer weights that are drawn: a fresh draw at each training pass, the centre in eval mode.

    As with dropout, `train()` is random and `eval()` deterministic; `kdlib.teachers.variational.sampling` pins draws
    for Monte Carlo in eval mode. Weights are drawn in the parameters' own precision, also under autocast.
    """

    posterior: Posterior
    weight_shape: torch.Size
    has_bias: bool
    pinned: Tensor | None = None  # (d_out, d_in): used instead of a draw

    def drawn(self, device: str) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias of this pass on a device of this type."""
        if self.pinned is not None:
            return self.split(self.pinned)
        with without_autocast(device):
            return self.split(self.posterior.draw(1)[0] if self.training else self.posterior.centre())

    def split(self, matrix: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias (None if the layer has none) of `matrix`, (d_out, d_in)."""
        if not self.has_bias:
            return matrix.view(self.weight_shape), None
        return matrix[:, :-1].reshape(self.weight_shape), matrix[:, -1]

    # What nn.Conv2d and nn.Linear keep in parameters: a view on the pinned draw, or the centre.
    @property
    def weight(self) -> Tensor:
        return self.split(self.posterior.centre() if self.pinned is None else self.pinned)[0]

    @property
    def bias(self) -> Tensor | None:
        return self.split(self.posterior.centre() if self.pinned is None else self.pinned)[1]


class VariationalConv2d(Variational, nn.Conv2d):  # type: ignore[misc,override]
    """Convolve with drawn weights."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self._conv_forward(x, *self.drawn(x.device.type))
        return result


class VariationalLinear(Variational, nn.Linear):  # type: ignore[misc,override]
    """Multiply by drawn weights."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, *self.drawn(x.device.type))


VARIATIONAL: dict[type[nn.Module], type[VariationalConv2d | VariationalLinear]] = {
    nn.Conv2d: VariationalConv2d,
    nn.Linear: VariationalLinear,
}


def bayesianize(network: nn.Module, config: Any) -> nn.Module:
    """Give every Conv2d and Linear of `network` a posterior over its weights, in place, and return it.

    Weight and bias become one matrix (the bias its last column) with a posterior of the chosen family;
    batch norm stays deterministic. The layers stay the same objects, so that whatever refers to them goes on
    working; only their class gains the draw. Parameters keep dtype and device. The inducing family draws
    its Z from torch's global generator. `config` is a `VariationalConfig` with nothing left open.
    """
    for layer in [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]:
        weight, bias = layer.weight.detach(), layer.bias
        matrix = weight.flatten(1)
        if bias is not None:
            matrix = torch.cat([matrix, bias.detach()[:, None]], 1)
        del layer.weight, layer.bias
        layer.__class__ = VARIATIONAL[type(layer)]
        layer.weight_shape, layer.has_bias = weight.shape, bias is not None  # type: ignore[assignment]
        layer.posterior = FAMILIES[config.family](matrix, config)
    return network


def layers(network: nn.Module) -> Iterator[VariationalConv2d | VariationalLinear]:
    """Yield the Bayesian layers of `network` in the order of its modules."""
    return (module for module in network.modules() if isinstance(module, (VariationalConv2d, VariationalLinear)))


def posteriors(network: nn.Module) -> list[Posterior]:
    """Return the posteriors of `network`, one a Bayesian layer."""
    return [layer.posterior for layer in layers(network)]


def kl(network: nn.Module) -> Tensor:
    """Return KL(q ‖ prior) of the whole network in nats: the sum over its layers (a scalar with gradient)."""
    found = posteriors(network)
    with without_autocast(next(found[0].parameters()).device.type):
        return torch.stack([posterior.kl() for posterior in found]).sum()


def kl_weight(epoch: int, ml_epochs: int, annealing_epochs: int) -> float:
    """Return the weight κ of the KL in epoch `epoch`, counted from 0.

    κ = 0 for the first `ml_epochs`, then rises linearly over `annealing_epochs`: clip((epoch − ml_epochs + 1)
    / annealing_epochs, 0, 1). It depends on the epoch alone, so that a resumed training keeps it.
    """
    if epoch < ml_epochs:
        return 0.0
    return min(1.0, (epoch - ml_epochs + 1) / max(1, annealing_epochs))
