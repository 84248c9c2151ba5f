"""Which images each step sees, with which optimiser and learning rate: pure functions of the config."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from kdlib.base.errors import InputError
from kdlib.base.hashing import stream
from kdlib.data.classes import resolve_classes
from kdlib.data.dataset import Dataset
from kdlib.data.subsets import subset
from kdlib.training.config import Match, Optimizer, Schedule, TrainingConfig

Kind = TypeVar("Kind", bound=type[torch.optim.Optimizer])


@dataclass(frozen=True)
class Steps:
    """Which images each step sees."""

    rows: Tensor
    batch_size: int
    seed: int
    per_pass: int
    per_epoch: int
    total: int

    def order(self, number: int) -> Tensor:
        """Return the rows in the order of a pass: a function of the seed and the pass."""
        generator = torch.Generator().manual_seed(stream(self.seed, number))
        return self.rows[torch.randperm(len(self.rows), generator=generator)]


def steps_of(n: int, batch_size: int) -> int:
    """Return the steps of a pass over `n` images; a last batch of one is left out, it has no batch statistics."""
    full, rest = divmod(n, batch_size)
    return max(1, full + (rest > 1))


def plan_steps(config: TrainingConfig, dataset: Dataset) -> Steps:
    """Return the steps that a config asks for on a dataset.

    Raises:
        InputError: a class is unknown, or one image is left, which has no batch statistics.
    """
    labels, classes = dataset.train.labels, dataset.classes
    assert config.batch_size is not None and config.epochs is not None
    rows = subset(labels, classes, config.fraction, resolve_classes(config.omit_classes, classes))
    if len(rows) < 2:
        raise InputError(
            f"fraction = {config.fraction:g} with omit_classes = {config.omit_classes!r} is refused: of the "
            f"{len(labels)} training images of {config.dataset} {len(rows)} is left, and a step, whose batch_size is "
            f"{config.batch_size}, needs 2 or more for its batch norms; allowed are a larger fraction, fewer omitted "
            "classes and more images."
        )
    per_pass = steps_of(len(rows), config.batch_size)
    full = steps_of(len(labels), config.batch_size)
    per_epoch = full if config.match is Match.STEPS else per_pass
    return Steps(rows, config.batch_size, config.seed, per_pass, per_epoch, per_epoch * config.epochs)


def eager(kind: Kind) -> Kind:
    """Return an optimiser of PyTorch's whose methods are as they were written, for steps that nobody compiles.

    What PyTorch wraps them in, for those that are compiled, imports its compiler at the first call: a second a process.
    """
    asked = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")
    bare = {name: inspect.unwrap(getattr(kind, name)) for name in asked}
    own: Kind = type(kind.__name__, (kind,), {**bare, "step": torch.no_grad()(bare["step"])})  # type: ignore[assignment]
    return own


SGD, Adam = eager(torch.optim.SGD), eager(torch.optim.Adam)


def optimizer_of(config: TrainingConfig, parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser a config names, fused into one kernel."""
    trained = [p for p in parameters if p.requires_grad]
    rate, decay = float(config.learning_rate or 0), config.weight_decay or 0.0
    if config.optimizer is Optimizer.ADAM:
        return Adam(trained, lr=rate, weight_decay=decay, fused=True)
    return SGD(trained, lr=rate, momentum=config.momentum or 0.0, weight_decay=decay, fused=True)


def learning_rate(config: TrainingConfig, done: float) -> float:
    """Return the learning rate after `done` full-data epochs: a pure function, so a resumed run keeps it.

    In the first `warmup_epochs` w it is done/w of the rate; a cosine falls over what is left.
    """
    rate, warm = float(config.learning_rate or 0), config.warmup_epochs
    if done < warm:
        return rate * done / warm
    if config.schedule is Schedule.STEPS:
        marks = [int(e) for e in (config.lr_decay_epochs or "").split("+") if e]
        return rate * float(config.lr_decay_rate or 1) ** sum(done >= mark for mark in marks)
    if config.schedule is Schedule.COSINE:
        return rate * 0.5 * (1 + math.cos(math.pi * (done - warm) / (float(config.epochs or 1) - warm)))
    return rate
