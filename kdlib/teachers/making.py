"""What teachers are made from and restored from, and what is refused of the tensors that a run keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdlib import data, models
from kdlib.base.errors import InputError
from kdlib.data.dataset import Dataset
from kdlib.data.options import Augmentation
from kdlib.data.views import view
from kdlib.models.network import Network
from kdlib.store.runs import Run
from kdlib.teachers.contract import BATCH, Teacher
from kdlib.training.config import TrainingConfig
from kdlib.training.graphs import replayed
from kdlib.training.hardware import Hardware
from kdlib.training.loop import History, Objective, fit
from kdlib.training.schedule import plan_steps


@dataclass(frozen=True)
class Making:
    """What a kind of teacher is made from, or restored from: config, shapes, parents and, to fit, data and a run."""

    config: Any
    hardware: Hardware
    name: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    parents: tuple[Teacher, ...] = ()
    dataset: Dataset | None = None
    run: Run | None = None

    def network(self) -> Network:
        """Return a new network, its weights drawn from the global random state, normalised as the dataset says."""
        network = models.build(str(self.config.architecture), len(self.classes), self.shape[0], self.shape[-1])
        if self.dataset is not None:
            network.set_normalisation(self.dataset.mean, self.dataset.std)
        return network

    def placed(self, network: Network) -> Network:
        """Put a network where and as this run computes."""
        self.hardware.place(network)
        if self.hardware.compile and not self.hardware.replays:
            network.compile()
        return network

    def loaded(self, network: Network, tensors: Mapping[str, Tensor]) -> Network:
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

    def start(self) -> Network:
        """Return the network that is trained, in its place: with the parent's weights, or new ones."""
        network = self.network()
        for parent in self.parents:
            network.load_state_dict(parent.network.state_dict())
        return self.placed(network)

    @property
    def data(self) -> Dataset:
        """Return the data of a teacher that is being made."""
        assert self.dataset is not None
        return self.dataset

    def plain(self, network: Network) -> Teacher:
        """Return the teacher that one network is."""
        return Teacher(network, self.hardware, self.name)

    def restored(self, tensors: Mapping[str, Tensor]) -> Teacher:
        """Return the teacher that one network with exactly these weights is.

        Raises:
            InputError: as `loaded`.
        """
        return self.plain(self.loaded(self.network(), tensors))

    def train(self, trained: nn.Module, objective: Objective, draws: bool = False, **more: Any) -> History:
        """Train a module as the config says, from the run's newest checkpoint; `more` goes to the loop's `fit`.

        Args:
            draws: whether each pass draws weights anew, so that none can be recorded and replayed.
        """
        assert self.run is not None
        network, folder = more.get("forward") or trained, self.run.checkpoints
        with nullcontext() if draws else replayed(network, self.config.batch_size or 0, self.hardware):
            return fit(trained, objective, self.config, self.data, self.hardware, folder, self.name, **more)


def check_tensors(wanted: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], what: str) -> None:
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
            problem = f"is of type {tensor.dtype}, allowed is {dtype}".replace("torch.", "")
        elif not bool(tensor.isfinite().all()):
            problem = "holds NaN or an infinity, allowed are finite numbers"
        elif last == "std" and not bool((tensor > 0).all()):
            problem = f"holds the standard deviation {float(tensor.min()):g}, allowed is what is above 0"
        elif last in ("running_var", "num_batches_tracked") and bool((tensor < 0).any()):
            problem = f"holds {float(tensor.min()):g}, allowed is 0 or above"
        if problem:
            raise InputError(f"The weights of {name} are refused: {key} {problem}.")


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

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows, device = plan_steps(self.config, self.dataset).rows, self.hardware.torch_device
        pad = data.family_of(self.config.dataset).pad(self.dataset.shape[-1])
        for part in torch.split(rows, BATCH):
            pixels = self.dataset.train.pixels[part].to(device)
            seen = view(pixels, self.augmentation, self.config.seed, 0, part.to(device), pad)
            yield self.hardware.images(seen), self.dataset.train.labels[part].to(device)

    def validation(self) -> list[tuple[Tensor, Tensor]]:
        """Return the validation images as batches like those."""
        split, device = self.dataset.val, self.hardware.torch_device
        parts = torch.split(torch.arange(len(split)), BATCH)
        return [(self.hardware.images(split.pixels[rows]), split.labels[rows].to(device)) for rows in parts]
