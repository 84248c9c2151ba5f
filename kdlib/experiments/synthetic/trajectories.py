"""Many SGD trajectories as one batched computation: the same steps for each, with a batch of one and momentum.

All weights of T networks are one tensor `(T, numbers)`, all velocities another, and a layer is a view
`(T, inputs + 1, outputs)` whose last row is its bias. A step costs one small product a layer forwards, one backwards
and one rank-one update with the momentum fused, `V ← m V + a δᵀ`, for all networks at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kdlib.experiments.synthetic.problem import Stream, generator


@dataclass(frozen=True)
class Shape:
    """Hold the widths of a network of ReLU layers: inputs, hidden ones, classes."""

    widths: tuple[int, ...]

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Return (inputs, outputs) of every layer."""
        return list(itertools.pairwise(self.widths))

    def views(self, flat: Tensor) -> list[Tensor]:
        """Return the layers `(T, inputs + 1, outputs)` as views of all numbers `(T, numbers)`."""
        parts = torch.split(flat, [(inputs + 1) * outputs for inputs, outputs in self.layers], 1)
        return [p.view(len(flat), i + 1, o) for p, (i, o) in zip(parts, self.layers, strict=True)]

    def initial(self, seed: int) -> Tensor:
        """Return a seed's initial numbers `(numbers,)`: uniform in ±1/√inputs, biases too, as PyTorch does."""
        random = generator(seed, Stream.WEIGHTS)
        drawn = [random.uniform(-1, 1, (i + 1) * o) / math.sqrt(i) for i, o in self.layers]
        return torch.cat([torch.from_numpy(part) for part in drawn]).float()


def forward(layers: Sequence[Tensor], points: Tensor) -> list[Tensor]:
    """Return the input of every layer and, last, the logits, each `(T, n, width)`, of points `(T, n, dimensions)`."""
    activations = [points]
    for number, layer in enumerate(layers):
        out = torch.baddbmm(layer[:, -1:], activations[-1], layer[:, :-1])
        activations.append(out if number == len(layers) - 1 else out.clamp_min_(0))
    return activations


def backward(layers: Sequence[Tensor], activations: Sequence[Tensor], errors: Tensor) -> list[Tensor]:
    """Return ∂loss/∂output of every layer, first to last, `(T, n, outputs)`, from that of the logits."""
    deltas = [errors]
    for number in range(len(layers) - 1, 0, -1):
        back = torch.bmm(deltas[0], layers[number][:, :-1].transpose(1, 2))
        deltas.insert(0, back.mul_(activations[number] > 0))
    return deltas


class Part:
    """Take steps of a few trajectories, `rows` of all; all views of their numbers are made once."""

    def __init__(
        self, shape: Shape, rows: Tensor, numbers: Tensor, velocity: Tensor, rate: float, momentum: float
    ) -> None:
        here = slice(int(rows[0]), int(rows[-1]) + 1)
        self.rows, self.numbers, self.velocity = rows.to(numbers.device), numbers[here], velocity[here]
        self.rate, self.momentum = rate, momentum
        self.layers, self.moves = shape.views(self.numbers), shape.views(self.velocity)
        # the last entry of a layer's input stays 1: the bias
        self.inputs = [numbers.new_ones(len(rows), 1, i + 1) for i, _ in shape.layers]
        self.outputs = [numbers.new_empty(len(rows), 1, o) for _, o in shape.layers]
        self.heads = [a[:, :, :-1] for a in self.inputs]
        self.columns = [a.transpose(1, 2) for a in self.inputs]
        self.backwards = [layer[:, :-1].transpose(1, 2) for layer in self.layers]

    def take(self, points: Tensor, targets: Tensor) -> None:
        """Take one step on every row of points `(steps, T, 1, dimensions)` and targets `(steps, T, 1, classes)`."""
        last = len(self.layers) - 1
        for point, target in zip(points, targets, strict=True):
            self.heads[0].copy_(point)
            for k, layer in enumerate(self.layers):
                torch.bmm(self.inputs[k], layer, out=self.outputs[k])
                if k < last:
                    torch.clamp_min(self.outputs[k], 0, out=self.heads[k + 1])
            delta = torch.softmax(self.outputs[last], 2).sub_(target)
            for k in range(last, -1, -1):
                before = delta
                if k:  # before the layer's velocity moves; its weights move at the end
                    delta = torch.bmm(before, self.backwards[k]).mul_(self.outputs[k - 1] > 0)
                self.moves[k].baddbmm_(self.columns[k], before, beta=self.momentum)
            self.numbers.add_(self.velocity, alpha=-self.rate)


class Trajectories:
    """Train networks side by side; `numbers` and `velocity` `(T, numbers)` are the whole state.

    Args:
        initial: `(T, numbers)`.
        rate: learning rate.
        momentum: of V ← m V + g, W ← W − rate·V.
        threads: parts that are computed side by side on a CPU.
    """

    def __init__(self, shape: Shape, initial: Tensor, rate: float, momentum: float, threads: int = 1) -> None:
        self.shape, self.numbers, self.velocity = shape, initial.clone(), torch.zeros_like(initial)
        count = min(threads, len(initial)) if initial.device.type == "cpu" else 1
        self.parts = [
            Part(shape, rows, self.numbers, self.velocity, rate, momentum)
            for rows in torch.arange(len(initial)).tensor_split(count)
        ]
        # a new thread begins with as many threads of its own as there are cores
        self._pool = ThreadPoolExecutor(count, initializer=partial(torch.set_num_threads, 1)) if count > 1 else None

    def map(self, work: Callable[[Part], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return `work` of every part, side by side, its tensors joined over the trajectories."""
        done = list((self._pool.map if self._pool else map)(work, self.parts))
        return {name: torch.cat([found[name] for found in done]) for name in done[0]}

    def advance(self, points: Tensor, targets: Tensor, rows: Tensor) -> None:
        """Take steps: at step i trajectory t sees row `rows[i, seed of t]`.

        Args:
            points: `(seeds, n, dimensions)`; trajectory t belongs to seed t mod seeds.
            targets: `(T, n, classes)`.
            rows: `(steps, seeds)`.
        """

        def work(part: Part) -> dict[str, Tensor]:
            seeds = part.rows % len(points)
            seen = rows[:, seeds]
            part.take(points[seeds, seen][:, :, None], targets[part.rows, seen][:, :, None])
            return {}

        self.map(work)

    def close(self) -> None:
        """End the threads."""
        if self._pool:
            self._pool.shutdown()
