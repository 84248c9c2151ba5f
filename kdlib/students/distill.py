"""Students: what they learn from, with which loss, and how well they follow their teacher."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib import data
from kdlib.data.classes import resolve_classes
from kdlib.data.dataset import Dataset
from kdlib.data.options import Augmentation
from kdlib.measures.metrics import fidelity, omission
from kdlib.models.network import Network
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.students.answers import Answers
from kdlib.students.config import EXACT_BCP, ONE_HOT, StudentConfig
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.students.frameworks.features import Both, Following
from kdlib.students.frameworks.framework import Tempered
from kdlib.teachers.contract import PARTS, Teacher
from kdlib.teachers.evaluation import evaluate, log_probs
from kdlib.teachers.making import Making
from kdlib.training import loop as training
from kdlib.training.hardware import Hardware, seed_everything
from kdlib.training.schedule import plan_steps

Supervision = Callable[[training.Batch], Tensor]
"""A batch to the class probabilities `(n, classes)` that a student learns from."""


def temper(probs: Tensor, temperature: float) -> Tensor:
    """Return p^(1/T), renormalised: `(n, classes)`."""
    return probs if temperature == 1 else torch.softmax(probs.log() / temperature, 1)


def supervision(config: StudentConfig, dataset: Dataset, teacher: Teacher | None, hardware: Hardware,
                run: Run | None) -> Supervision | None:  # fmt: skip
    """Return what a student learns from besides the labels, or `None` for one-hot labels alone.

    `run` is the teacher's, under which its answers are kept.
    """
    if config.teacher == ONE_HOT or config.kd_weight == 0:
        return None
    temperature = float(config.temperature or 1)
    if teacher is None:  # the exact (or human) class probabilities
        assert dataset.train.bcp is not None
        table = temper(dataset.train.bcp, temperature).to(hardware.torch_device)
        return lambda batch: table[batch.index]
    seed = config.seed if config.augmentation_seed is None else config.augmentation_seed
    answers = Answers(
        teacher, dataset.train, plan_steps(config, dataset).rows, dataset.fingerprint,
        config.augmentation or Augmentation.NONE, seed, run.path / "answers" if run is not None else None,
        config.samples, data.family_of(config.dataset).pad(dataset.shape[-1]),
    )  # fmt: skip
    return lambda batch: answers.probs(batch, temperature)


def objective(
    network: Network, config: StudentConfig, teach: Supervision | None, follow: Following | None = None
) -> training.Objective:
    """Return a student's loss of a batch: that of its class probabilities, and β times its framework's own."""
    framework = FRAMEWORKS[config.framework]
    how = Tempered(
        float(config.kd_weight or 0),
        float(config.temperature or 1),
        float(config.student_temperature or 1),
        float(config.framework_weight or 0),
    )

    def answer(logits: Tensor, batch: training.Batch) -> Tensor:
        if teach is None:
            return F.cross_entropy(logits.float(), batch.labels)
        return framework.answer(logits, batch.labels, teach(batch), how)

    def loss(batch: training.Batch) -> Tensor:
        if follow is None:
            return answer(network(batch.images), batch)
        logits, followed = follow(network, batch)
        total: Tensor = answer(logits, batch) + how.weight * followed
        return total

    return loss


def following(config: StudentConfig, network: Network, teacher: nn.Module | None, dataset: Dataset) -> Following | None:
    """Return what a student follows of its teacher's layers; `None` where it needs class probabilities alone."""
    framework = FRAMEWORKS[config.framework]
    if not framework.follows:
        return None
    assert isinstance(teacher, Network)
    both = Both(network, teacher, dataset.shape[-1], plan_steps(config, dataset).rows, dataset.train.labels)
    return Following(framework, teacher, framework.build(both))


def fit(
    config: StudentConfig, dataset: Dataset, run: Run, hardware: Hardware, teacher: Teacher | None, parent: Run | None
) -> None:
    """Distil a student and write its run."""
    started = time.perf_counter()
    seed_everything(config.seed)
    making = Making(config, hardware, run.name, dataset.classes, dataset.shape, dataset=dataset, run=run)
    network = making.network()
    making.placed(network)
    teach = supervision(config, dataset, teacher, hardware, parent)
    follow = following(config, network, teacher.network if teacher is not None else None, dataset)
    trained: nn.Module = network
    if follow is not None:
        trained = nn.ModuleDict({"network": network, "auxiliary": hardware.place(follow.built)})
    history = making.train(trained, objective(network, config, teach, follow), forward=network)
    metrics, predictions, notes = evaluate(Teacher(network, hardware, run.name), dataset)
    metrics |= compared(config, dataset, predictions, teacher)
    notes |= {"training_seconds": history.seconds, "best_epoch": history.best_epoch}
    runs.finish(run, metrics, predictions, network.state_dict(), history.columns(), notes, started)


def compared(
    config: StudentConfig, dataset: Dataset, predictions: dict[str, Tensor], teacher: Teacher | None
) -> dict[str, float]:
    """Measure how a student agrees with its teacher, at T = 1, and what it says of classes that it never saw."""
    omitted = resolve_classes(config.omit_classes, dataset.classes)
    out: dict[str, float] = {}
    for part, split in (("val", dataset.val), ("test", dataset.test)):
        answers, found = predictions[part].float(), dict[str, float]()
        if teacher is not None:
            samples = config.samples if teacher.stochastic else 1
            found |= fidelity(answers, log_probs(teacher, split, samples, keys=(config.seed, PARTS.index(part))))
        elif config.teacher == EXACT_BCP and split.bcp is not None:
            found |= fidelity(answers, split.bcp.log())
        if omitted:
            found |= omission(answers, split.labels, omitted)
        out |= {f"{part}_{name}": value for name, value in found.items()}
    return out
