"""Networks that runs need beside their own: a teacher's, and shapes to look at before any work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kdlib import models
from kdlib.data.dataset import Dataset
from kdlib.models.network import Network
from kdlib.runs.plans import Plan
from kdlib.store.runs import Run
from kdlib.teachers import loading
from kdlib.teachers.contract import Teacher
from kdlib.teachers.kind import as_teacher
from kdlib.teachers.kinds import kind_of, recorded
from kdlib.teachers.making import check_numbers
from kdlib.training.hardware import Hardware


@contextmanager
def shapes_alone(architecture: str | None, dataset: Dataset) -> Iterator[Network]:
    """Give a network for a dataset's images, which inside has shapes and no numbers, as all that is made there.

    Raises:
        InputError: the images are too small for the architecture.
    """
    with torch.device("meta"):
        yield models.build(str(architecture), len(dataset.classes), dataset.channels, dataset.shape[-1])


def teacher_of(parent: Plan, dataset: Dataset, hardware: Hardware) -> Teacher:
    """Load the teacher that a plan names: a run of the store or a file of weights."""
    if parent.file is not None:
        return loading.load_weights(parent.file, as_teacher(parent.config), dataset, hardware)
    return loading.load(parent.run, hardware)


def check_weights(run: Run, dataset: Dataset) -> None:
    """Refuse a finished teacher that keeps numbers which mean nothing, or is made of one that does.

    Raises:
        InputError: it does; the sentence names the run.
    """
    record, weights = run.record, run.weights()
    for name in record["parents"].values():
        if Run(name).finished:
            check_weights(Run(name), dataset)
    wanted = {name: tensor.dtype for name, tensor in weights.items()}
    config = recorded(record["config"])
    if kind_of(config).one_network:
        with shapes_alone(config.architecture, dataset) as network:
            wanted.update({name: value.dtype for name, value in network.state_dict().items() if name in weights})
    check_numbers(wanted, weights, run.name)
