"""What every teacher is: something that gives class probabilities and is never changed by being asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdlib import models
from kdlib.base import kinds
from kdlib.base.config import Augmentation, TrainingConfig
from kdlib.base.errors import InputError
from kdlib.data import Dataset, Split
from kdlib.data.augment import pad_of, view
from kdlib.data.dataset import to_float
from kdlib.store.runs import Run
from kdlib.training.graphs import replayed
from kdlib.training.hardware import Hardware
from kdlib.training.loop import History, Objective, fit
from kdlib.training.schedule import plan_steps

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


class Teacher:
    """An estimator of the Bayes class probabilities, around one network."""

    stochastic = False
    """Whether `samples` means anything."""
    own_samples = 1
    """How many samples the metrics use."""
    block = 2**62
    """How many images of a split, by row, a draw of the weights serves before the next one does (see `drawing`)."""

    def __init__(self, network: nn.Module, hardware: Hardware, name: str) -> None:
        self.network = network.eval().requires_grad_(False)
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


@dataclass(frozen=True)
class Making:
    """What a kind of teacher is made from, or restored from: config, shapes, parents and, to fit, data and a run."""

    config: TrainingConfig
    hardware: Hardware
    name: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    parents: tuple[Teacher, ...] = ()
    parent_runs: tuple[Run, ...] = ()
    dataset: Dataset | None = None
    run: Run | None = None

    def network(self) -> models.Network:
        """Return a new network, its weights drawn from the global random state, normalised as the dataset says."""
        network = models.build(str(self.config.architecture), len(self.classes), self.shape[0], self.shape[-1])
        if self.dataset is not None:
            network.set_normalisation(self.dataset.mean, self.dataset.std)
        return network

    def placed(self, network: models.Network) -> models.Network:
        """Put a network where and as this run computes."""
        self.hardware.place(network)
        if self.hardware.compile and not self.hardware.replays:
            network.compile()
        return network

    def loaded(self, network: models.Network, tensors: Mapping[str, Tensor]) -> models.Network:
        """Give a network exactly these weights and put it in its place.

        Raises:
            InputError: a tensor is missing, too many, of another shape or type, or its numbers mean nothing.
        """
        wanted = network.state_dict()
        check_tensors({k: v.shape for k, v in wanted.items()}, tensors,
                      f"{self.name} does not fit {self.config.architecture}")  # fmt: skip
        check_numbers({k: v.dtype for k, v in wanted.items()}, tensors, self.name)
        network.load_state_dict(tensors)
        return self.placed(network)

    def to_fit(self) -> tuple[Dataset, Run]:
        """Return the data and the run of a teacher that is being made."""
        assert self.dataset is not None and self.run is not None
        return self.dataset, self.run

    def train(self, trained: nn.Module, objective: Objective, **more: Any) -> History:
        """Train a module as the config says, from the run's newest checkpoint; `more` goes to `training.fit`."""
        dataset, run = self.to_fit()
        network = more.get("forward") or trained
        draws = getattr(self.config, "kind", None) in kinds.STOCHASTIC  # weights anew in each pass, by library code
        with nullcontext() if draws else replayed(network, self.config.batch_size or 0, self.hardware):
            return fit(trained, objective, self.config, dataset, self.hardware, run.checkpoints, run.name, **more)


def check_tensors(wanted: Mapping[str, torch.Size], tensors: Mapping[str, Tensor], what: str) -> None:
    """Refuse tensors that are not exactly those wanted.

    Raises:
        InputError: one is missing, too many or of another shape; the sentence begins with `what`.
    """
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    shapes = sorted(k for k in wanted.keys() & tensors.keys() if wanted[k] != tensors[k].shape)
    for problem, keys in (("lacks", missing), ("has the unknown", extra), ("has another shape of", shapes)):
        if keys:
            raise InputError(f"{what}: it {problem} {keys[0]} ({len(keys)} in all).")


def check_numbers(wanted: Mapping[str, torch.dtype], tensors: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights whose numbers mean nothing: a network would load them and answer NaN, or something else.

    Allowed are finite numbers of the type wanted; a normalisation's `std` is above 0, a batch norm's `running_var` and
    `num_batches_tracked` are 0 or above.

    Args:
        wanted: the type of each tensor.
        tensors: of the same names, as `check_tensors` saw to.
        name: of the file or run that they come from, for the sentence.

    Raises:
        InputError: one is not so; the sentence names it.
    """
    for key, dtype in wanted.items():
        tensor, last = tensors[key], key.rpartition(".")[2]
        problem = ""
        if tensor.dtype != dtype:
            problem = f"is of type {_type(tensor.dtype)}, allowed is {_type(dtype)}"
        elif not bool(tensor.isfinite().all()):
            problem = "holds NaN or an infinity, allowed are finite numbers"
        elif last == "std" and not bool((tensor > 0).all()):
            problem = f"holds the standard deviation {float(tensor.min()):g}, allowed is what is above 0"
        elif last in ("running_var", "num_batches_tracked") and bool((tensor < 0).any()):
            problem = f"holds {float(tensor.min()):g}, allowed is 0 or above"
        if problem:
            raise InputError(f"The weights of {name} are refused: {key} {problem}.")


def _type(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@dataclass
class Made:
    """A fitted teacher and what its run keeps of it: every tensor that `restore` needs beside the parents."""

    teacher: Teacher
    tensors: dict[str, Tensor]
    history: History | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Images:
    """Walk the images that a config trains on, in index order: batches of images and labels on the device."""

    config: TrainingConfig
    dataset: Dataset
    hardware: Hardware
    augmentation: Augmentation = Augmentation.NONE
    batch_size: int = BATCH

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows, device = plan_steps(self.config, self.dataset).rows, self.hardware.torch_device
        pad = pad_of(self.config.dataset, self.dataset.shape[-1])
        for part in torch.split(rows, self.batch_size):
            pixels = self.dataset.train.pixels[part].to(device)
            images = to_float(view(pixels, self.augmentation, self.config.seed, 0, part.to(device), pad))
            yield self.hardware.layout(images), self.dataset.train.labels[part].to(device)


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
