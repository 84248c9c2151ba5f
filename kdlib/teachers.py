"""One contract over all kinds of teacher: `fit` makes one and fills its run, `load` takes it from the store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kdlib import likelihood, models, runs, training
from kdlib.checkpoints import read_tensors
from kdlib.config import MeasureConfig, RunType, TeacherConfig, TrainingConfig, resolve
from kdlib.contract import Teacher, combine
from kdlib.data import Dataset, Split
from kdlib.errors import InputError
from kdlib.hardware import Hardware, seed_everything
from kdlib.hardware import resolve as resolve_hardware
from kdlib.metrics import measure
from kdlib.runs import Run

__all__ = ["Teacher", "fit", "load"]


def new_network(config: TrainingConfig, dataset: Dataset) -> models.Network:
    """Return the untrained network of a config, its weights drawn from the global random state."""
    assert config.architecture is not None
    network = models.build(config.architecture, len(dataset.classes), dataset.channels, dataset.shape[-1])
    network.set_normalisation(dataset.mean, dataset.std)
    return network


def fit(config: TeacherConfig, dataset: Dataset, run: Run, hardware: Hardware) -> Teacher:
    """Train a teacher of any kind and write its run.

    Raises:
        NotFinite: the loss was not finite.
    """
    started = time.perf_counter()
    seed_everything(config.seed)
    network = new_network(config, dataset)
    hardware.place(network)
    if hardware.compile:
        network.compile()
    history = likelihood.train(network, config, dataset, hardware, run)
    teacher = Teacher(network, hardware, run.name)
    metrics, predictions = evaluate(teacher, dataset)
    runs.finish(
        run, metrics, predictions, network.state_dict(), history.columns(),
        {"training_seconds": history.seconds, "best_epoch": history.best_epoch, "eval_samples": teacher.own_samples},
        started,
    )  # fmt: skip
    return teacher


def log_probs(teacher: Teacher, split: Split, samples: int) -> Tensor:
    """Return a teacher's log-probabilities `(n, classes)`, float32, on a whole split."""
    out = []
    for rows in torch.split(torch.arange(len(split)), 500):
        outputs = teacher.outputs(split.take(rows), samples)
        # one sample keeps its own logarithm, which a product of two exponentials would round
        one = torch.log_softmax(outputs[0], -1) if len(outputs) == 1 else combine(outputs).log()
        out.append(one.cpu())
    return torch.cat(out)


def evaluate(
    teacher: Teacher, dataset: Dataset, samples: int | None = None
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Measure a teacher on validation and test images: metrics by name, and float16 log-probabilities."""
    metrics: dict[str, float] = {}
    predictions: dict[str, Tensor] = {}
    for part, split in (("val", dataset.val), ("test", dataset.test)):
        values = log_probs(teacher, split, samples or teacher.own_samples)
        predictions[part] = values.half()
        metrics |= {f"{part}_{name}": v for name, v in measure(values, split.labels, split.bcp).items()}
    return metrics, predictions


def _strictly(network: models.Network, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load weights, every one and no other.

    Raises:
        InputError: a tensor is missing, too many or of another shape.
    """
    wanted = network.state_dict()
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    shapes = [k for k in wanted.keys() & tensors.keys() if wanted[k].shape != tensors[k].shape]
    for problem, keys in (("lacks", missing), ("has the unknown", extra), ("has another shape of", sorted(shapes))):
        if keys:
            raise InputError(f"{what} does not fit {network.name}: it {problem} {keys[0]} ({len(keys)} in all).")
    network.load_state_dict(tensors)


def load(run: Run | str, hardware: Hardware | None = None) -> Teacher:
    """Load a finished teacher by its run's name or a unique prefix.

    Raises:
        InputError: no such run, not finished, no teacher, or weights that do not fit.
    """
    run = runs.find(run if isinstance(run, str) else run.name)
    record = run.record
    if record["run_type"] != RunType.TEACHER:
        raise InputError(f"run = {run.name!r} is refused: it is a {record['run_type']}, not a teacher.")
    config = resolve(RunType.TEACHER, record["config"])
    assert isinstance(config, TeacherConfig)
    return restored(config, record, run.weights(), hardware, run.name)


def load_weights(path: str, config: TeacherConfig, dataset: Dataset, hardware: Hardware) -> Teacher:
    """Load a network from a file of weights, checked strictly."""
    from pathlib import Path

    record = {"classes": list(dataset.classes), "shape": list(dataset.shape)}
    return restored(config, record, read_tensors(Path(path))[0], hardware, path)


def restored(config: TrainingConfig, record: Mapping[str, Any], tensors: Mapping[str, Tensor],
              hardware: Hardware | None, name: str) -> Teacher:  # fmt: skip
    shape, classes = tuple(record["shape"]), tuple(record["classes"])
    hardware = hardware or resolve_hardware(config, shape)
    network = models.build(str(config.architecture), len(classes), shape[0], shape[-1])
    _strictly(network, tensors, name)
    hardware.place(network)
    return Teacher(network, hardware, name)


def remeasure(config: MeasureConfig, teacher: Teacher, dataset: Dataset, run: Run) -> None:
    """Measure a teacher that exists and write the measurement's run."""
    started = time.perf_counter()
    seed_everything(config.seed)
    samples = config.eval_samples or teacher.own_samples
    metrics, predictions = evaluate(teacher, dataset, samples)
    runs.finish(run, metrics, predictions, notes={"eval_samples": samples}, started=started)


__all__ += ["evaluate", "load_weights", "log_probs", "new_network", "remeasure", "training"]
