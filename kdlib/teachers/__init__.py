"""One contract over all kinds of teacher: `fit` makes one and fills its run, `load` takes it from the store."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdlib.base import kinds
from kdlib.base.config import MeasureConfig, RunType, TeacherConfig, TeacherKind, TrainingConfig, recorded, resolve
from kdlib.base.errors import InputError
from kdlib.base.hashing import stream
from kdlib.base.tensors import read_tensors, write_tensors
from kdlib.data import Dataset, Split
from kdlib.measures.metrics import measure
from kdlib.models import Network
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.teachers import costs
from kdlib.teachers.contract import PARTS, Made, Making, Teacher, combined_log, outputs_on
from kdlib.teachers.distances import distances
from kdlib.training.hardware import Hardware, seed_everything
from kdlib.training.hardware import resolve as resolve_hardware

__all__ = ["Teacher", "check", "evaluate", "fit", "load", "load_weights", "log_probs", "remeasure"]

MODULES: dict[TeacherKind, str] = {
    TeacherKind.DETERMINISTIC: "kdlib.teachers.likelihood",
    TeacherKind.LABEL_SMOOTHING: "kdlib.teachers.likelihood",
    TeacherKind.MSE: "kdlib.teachers.likelihood",
    TeacherKind.FINE_TUNED: "kdlib.teachers.likelihood",
    TeacherKind.VARIATIONAL: "kdlib.teachers.variational.teacher",
    TeacherKind.LAPLACE: "kdlib.teachers.laplace.teacher",
    TeacherKind.MCMI: "kdlib.teachers.mcmi.teacher",
    TeacherKind.TEMPERATURE_SCALED: "kdlib.teachers.temperature",
    TeacherKind.ENSEMBLE: "kdlib.teachers.ensembles",
    TeacherKind.EARLY_STOPPED: "kdlib.teachers.early",
    TeacherKind.AUGMENTATION_AVERAGED: "kdlib.teachers.ensembles",
}
"""Where each kind's `fit(making) -> Made` and `restore(making, tensors) -> Teacher` are; imported when needed."""


def fit(config: TeacherConfig, dataset: Dataset, run: Run, hardware: Hardware, parents: Sequence[Run] = ()) -> Teacher:
    """Fit a teacher of any kind and write its run.

    Raises:
        NotFinite: the loss was not finite.
    """
    started = time.perf_counter()
    seed_everything(config.seed)
    loaded = tuple(load(parent, hardware) for parent in parents)
    making = Making(config, hardware, run.name, dataset.classes, dataset.shape, loaded, tuple(parents), dataset, run)
    costs.restart_peak(hardware.torch_device)
    kind = import_module(MODULES[config.kind])
    began = time.perf_counter()
    made: Made = kind.fit(making)
    seconds = made.history.seconds if made.history is not None else time.perf_counter() - began
    metrics, predictions, notes = evaluate(made.teacher, dataset, seed=config.seed)
    metrics |= distances(made.teacher, dataset, notes["eval_samples"], config.seed)
    needs_parents = config.kind not in kinds.NETWORKS
    notes |= costs.of_teacher(seconds, made.tensors, [parent.provenance for parent in parents], needs_parents)
    notes |= {"peak_memory_bytes": costs.peak_memory(hardware.torch_device), **made.notes}
    columns = None
    if made.history is not None:
        columns = made.history.columns()
        notes |= {"best_epoch": made.history.best_epoch}
    for file, tensors in made.files.items():
        write_tensors(run.path / file, tensors, run.name)
    runs.finish(run, metrics, predictions, made.tensors, columns, notes, started)
    return made.teacher


def log_probs(
    teacher: Teacher, split: Split, samples: int, rates: list[float] | None = None, keys: Sequence[int] = ()
) -> Tensor:
    """Return a teacher's log-probabilities `(n, classes)`, float32, on a whole split.

    To `rates` is added, a batch each, how many seconds an image took; `keys` name the draws of a stochastic teacher.
    """
    values = []
    began = time.perf_counter()
    for outputs in outputs_on(teacher, split, samples, keys):
        if rates is not None:
            rates.append((time.perf_counter() - began) / outputs.shape[1])
        values.append(combined_log(outputs))
        began = time.perf_counter()
    return torch.cat(values)


def evaluate(
    teacher: Teacher, dataset: Dataset, samples: int | None = None, seed: int = 0
) -> tuple[dict[str, float], dict[str, Tensor], dict[str, Any]]:
    """Measure a teacher on validation and test images: metrics by name, float16 log-probabilities, and notes.

    The notes are for the provenance: the samples of each answer, and the wall time of a test image in seconds, from
    the stored pixels to the outputs: the median over batches of 500.
    """
    samples = samples or teacher.own_samples
    metrics: dict[str, float] = {}
    predictions: dict[str, Tensor] = {}
    torch.manual_seed(stream(seed, samples))  # a stochastic teacher's draws are its own, however it came here
    for part, split in (("val", dataset.val), ("test", dataset.test)):
        rates: list[float] = []
        values = log_probs(teacher, split, samples, rates, (seed, PARTS.index(part)))
        predictions[part] = values.half()
        metrics |= {f"{part}_{name}": v for name, v in measure(values, split.labels, split.bcp).items()}
    notes = {"eval_samples": samples, "prediction_seconds_per_image": statistics.median(rates)}
    return metrics, predictions, notes


def check(config: TeacherConfig, network: Network | None = None) -> None:
    """Refuse options that exclude each other or that a network, given with shapes alone, cannot have.

    Raises:
        InputError: they do; the sentence names them.
    """
    if config.kind is TeacherKind.VARIATIONAL:
        from kdlib.teachers.variational import bayesianize
        from kdlib.teachers.variational.teacher import options_of

        options = options_of(config)
        if network is not None:
            bayesianize(network, options)
    elif config.kind is TeacherKind.LAPLACE:
        from kdlib.teachers import laplace
        from kdlib.teachers.laplace.teacher import options_of as posterior_of

        posterior = posterior_of(config)
        if network is not None:
            laplace.check(posterior, network)


def load(run: Run | str, hardware: Hardware | None = None) -> Teacher:
    """Load a finished teacher of any kind by its run's name or a unique prefix.

    Raises:
        InputError: no such run, not finished, no teacher, or weights that do not fit.
    """
    run = runs.find(run if isinstance(run, str) else run.name)
    record = run.record
    if record["run_type"] != RunType.TEACHER:
        raise InputError(f"run = {run.name!r} is refused: it is a {record['run_type']}, not a teacher.")
    config = resolve(RunType.TEACHER, recorded(RunType.TEACHER, record["config"]))
    assert isinstance(config, TeacherConfig)
    return restored(config, record, run.weights(), hardware, run.name)


def load_weights(path: str, config: TeacherConfig, dataset: Dataset, hardware: Hardware) -> Teacher:
    """Load a network from a file of weights, checked strictly."""
    record = {"classes": list(dataset.classes), "shape": list(dataset.shape)}
    return restored(config, record, read_tensors(Path(path))[0], hardware, path)


def restored(
    config: TrainingConfig,
    record: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    hardware: Hardware | None,
    name: str,
) -> Teacher:
    """Return a teacher, or a student as one, from its record and its tensors, its parents loaded first."""
    shape, classes = tuple(record["shape"]), tuple(record["classes"])
    # on this machine's best device, wherever the run was made
    hardware = hardware or resolve_hardware(config.model_copy(update={"device": None}), shape)
    kind = config.kind if isinstance(config, TeacherConfig) else TeacherKind.DETERMINISTIC
    roles = record.get("parents", {}) if isinstance(config, TeacherConfig) else {}
    parents = tuple(load(roles[role], hardware) for role in sorted(roles, key=_order))
    making = Making(config, hardware, name, classes, shape, parents)
    teacher: Teacher = import_module(MODULES[kind]).restore(making, tensors)
    return teacher


def _order(role: str) -> tuple[int, str]:
    """Order member2 before member10."""
    return len(role), role


def remeasure(config: MeasureConfig, teacher: Teacher, dataset: Dataset, run: Run) -> None:
    """Measure a teacher that exists and write the measurement's run."""
    started = time.perf_counter()
    metrics, predictions, notes = evaluate(teacher, dataset, config.eval_samples, config.seed)
    metrics |= distances(teacher, dataset, notes["eval_samples"], config.seed)
    runs.finish(run, metrics, predictions, notes=notes, started=started)
