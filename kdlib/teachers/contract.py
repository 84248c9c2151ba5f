"""What every teacher is: something that gives class probabilities and is never changed by being asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kdlib.base.errors import InputError
from kdlib.data.dataset import Split
from kdlib.training.hardware import Hardware

BATCH = 500
"""Images a forward pass."""
PARTS = ("train", "val", "test")
"""The splits, each of which has draws of its own: its place here is its number."""


def combine(outputs: Tensor, temperature: float = 1.0) -> Tensor:
    """Temper every sample, then average: p = mean_s softmax(outputs_s / T).

    This is the one place that says in which order tempering and averaging come. `outputs` are logits, one sample a
    member or weight draw: each is tempered, then averaged. A teacher that averages before it is tempered (Laplace)
    gives one sample, the logarithm of its averaged probabilities: softmax(log p / T) is p^(1/T), renormalised.

    Args:
        outputs: `(samples, n, classes)` logits or log-probabilities; float64 stays, all else becomes float32.
        temperature: T > 0.

    Returns:
        `(n, classes)`, rows that sum to one.
    """
    return torch.softmax(_wide(outputs) / temperature, -1).mean(0)


def combined_log(outputs: Tensor, temperature: float = 1.0) -> Tensor:
    """Return ln `combine(outputs, temperature)` `(n, classes)`, finite wherever a sample is."""
    logs = torch.log_softmax(_wide(outputs) / temperature, -1)
    return logs[0] if len(logs) == 1 else logs.logsumexp(0) - math.log(len(logs))


def _wide(outputs: Tensor) -> Tensor:
    """Return outputs in float32, or as they are where they are wider: what is decided is decided in float64."""
    return outputs if outputs.dtype is torch.float64 else outputs.float()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Compute in eval mode and without gradients inside, and give every module its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


class Teacher:
    """An estimator of the Bayes class probabilities, around one network."""

    stochastic = False
    """Whether `samples` means anything."""
    own_samples = 1
    """How many samples the metrics use."""
    block = 2**62
    """How many images of a split, by row, a draw of the weights serves before the next one does (see `drawing`)."""

    def __init__(self, network: nn.Module, hardware: Hardware, name: str) -> None:
        self.network: Any = network.eval().requires_grad_(False)
        self.hardware = hardware
        self.name = name

    def drawing(self, *keys: int) -> Teacher:
        """Return this teacher with the draws that these integers name.

        It is this one itself where questions name no draws: a teacher that draws nothing, or anew at each question.
        """
        return self

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


class Derived(Teacher):
    """Give what a function makes of the outputs of `members`, the first of which lends its network.

    Args:
        members: the teachers that it is made of.
        answer: images on the device and a number of samples to outputs `(samples, n, classes)`.
    """

    def __init__(self, members: Sequence[Teacher], answer: Callable[[Tensor, int], Tensor], name: str) -> None:
        super().__init__(members[0].network, members[0].hardware, name)
        self.members, self.answer = tuple(members), answer

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        for member in self.members:
            member.network.eval()
        return self.answer(x, samples)


def in_batches(teacher: Teacher, rows: Tensor, *keys: int) -> Iterator[tuple[Teacher, Tensor]]:
    """Yield rising rows of a split in batches of 500 at most, each with the teacher as it draws for them.

    Block b of a split is its rows from b · `teacher.block` on; its draws are those that `keys` and b name.
    """
    blocks = rows // teacher.block
    for block in sorted(set(blocks.tolist())):
        drawn = teacher.drawing(*keys, block)
        for part in torch.split(rows[blocks == block], BATCH):
            yield drawn, part


@torch.no_grad()
def outputs_on(teacher: Teacher, split: Split, samples: int = 1, keys: Sequence[int] = ()) -> Iterator[Tensor]:
    """Yield a teacher's outputs `(samples, b, classes)` on a split, batch by batch, on the CPU.

    `keys` name the draws of a stochastic teacher: other integers, other draws.
    """
    for drawn, rows in in_batches(teacher, torch.arange(len(split)), *keys):
        yield drawn.outputs(split.take(rows), samples).cpu()
