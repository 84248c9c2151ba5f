"""What every teacher is: something that gives class probabilities and is never changed by being asked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdlib.errors import InputError
from kdlib.hardware import Hardware


def combine(outputs: Tensor, temperature: float = 1.0) -> Tensor:
    """Temper every sample, then average: p = mean_s softmax(outputs_s / T).

    This is the one place that says in which order tempering and averaging come. `outputs` are logits, one sample a
    member or weight draw: each is tempered, then averaged. A teacher that averages before it is tempered (Laplace)
    gives one sample, the logarithm of its averaged probabilities: softmax(log p / T) is p^(1/T), renormalised.

    Args:
        outputs: `(samples, n, classes)` logits or log-probabilities.
        temperature: T > 0.

    Returns:
        `(n, classes)`, rows that sum to one.
    """
    return torch.softmax(outputs.float() / temperature, -1).mean(0)


class Teacher:
    """An estimator of the Bayes class probabilities, around one network."""

    stochastic = False
    """Whether `samples` means anything."""
    own_samples = 1
    """How many samples the metrics use."""

    def __init__(self, network: nn.Module, hardware: Hardware, name: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.hardware = hardware
        self.name = name

    @torch.no_grad()
    def outputs(self, x: Tensor, samples: int = 1) -> Tensor:
        """Return logits `(samples, n, classes)`, float32, of images `(n, channels, height, width)`."""
        self.network.eval()
        with self.hardware.autocast():
            return self._outputs(self.hardware.layout(x.to(self.hardware.torch_device)), samples).float()

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        """Return the outputs of images that lie on the device; a kind of teacher overrides it."""
        logits: Tensor = self.network(x)
        return logits[None]

    def probs(self, x: Tensor, temperature: float = 1.0, samples: int = 1) -> Tensor:
        """Return class probabilities `(n, classes)` of images: `combine(outputs(x, samples), temperature)`.

        Raises:
            InputError: the temperature is not positive, or there is no sample.
        """
        if not temperature > 0:
            raise InputError(f"temperature = {temperature} is refused: it must be greater than 0.")
        if samples < 1:
            raise InputError(f"samples = {samples} is refused: it must be at least 1.")
        return combine(self.outputs(x, samples if self.stochastic else 1), temperature)
