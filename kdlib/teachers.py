"""One contract over all kinds of teacher: `fit` makes one and fills its run, `load` takes it from the store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdlib import kinds, runs
from kdlib.checkpoints import read_tensors, write_tensors
from kdlib.config import MeasureConfig, RunType, TeacherConfig, TeacherKind, TrainingConfig, resolve
from kdlib.contract import Made, Making, Teacher, combined_log, outputs_on
from kdlib.data import Dataset, Split
from kdlib.data.hashing import stream
from kdlib.errors import InputError
from kdlib.hardware import Hardware, seed_everything
from kdlib.hardware import resolve as resolve_hardware
from kdlib.metrics import measure
from kdlib.runs import Run

__all__ = ["Teacher", "evaluate", "fit", "load", "load_weights", "log_probs", "remeasure"]

MODULES: dict[TeacherKind, str] = {
    TeacherKind.DETERMINISTIC: "kdlib.likelihood",
    TeacherKind.LABEL_SMOOTHING: "kdlib.likelihood",
    TeacherKind.MSE: "kdlib.likelihood",
    TeacherKind.VARIATIONAL: "kdlib.variational.teacher",
    TeacherKind.LAPLACE: "kdlib.laplace.teacher",
    TeacherKind.MCMI: "kdlib.mcmi_teacher",
    TeacherKind.TEMPERATURE_SCALED: "kdlib.temperature",
    TeacherKind.ENSEMBLE: "kdlib.ensembles",
    TeacherKind.EARLY_STOPPED: "kdlib.early",
    TeacherKind.AUGMENTATION_AVERAGED: "kdlib.ensembles",
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
    made: Made = import_module(MODULES[config.kind]).fit(making)
    metrics, predictions = evaluate(made.teacher, dataset, seed=config.seed)
    notes = {"eval_samples": made.teacher.own_samples, **made.notes}
    columns = None
    if made.history is not None:
        columns = made.history.columns()
        notes |= {"training_seconds": made.history.seconds, "best_epoch": made.history.best_epoch}
    for file, tensors in made.files.items():
        write_tensors(run.path / file, tensors)
    runs.finish(run, metrics, predictions, made.tensors, columns, notes, started)
    return made.teacher


def log_probs(teacher: Teacher, split: Split, samples: int) -> Tensor:
    """Return a teacher's log-probabilities `(n, classes)`, float32, on a whole split."""
    return torch.cat([combined_log(outputs) for outputs in outputs_on(teacher, split, samples)])


def evaluate(
    teacher: Teacher, dataset: Dataset, samples: int | None = None, seed: int = 0
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Measure a teacher on validation and test images: metrics by name, and float16 log-probabilities."""
    samples = samples or teacher.own_samples
    metrics: dict[str, float] = {}
    predictions: dict[str, Tensor] = {}
    torch.manual_seed(stream(seed, samples))  # a stochastic teacher's draws are its own, however it came here
    for part, split in (("val", dataset.val), ("test", dataset.test)):
        values = log_probs(teacher, split, samples)
        predictions[part] = values.half()
        metrics |= {f"{part}_{name}": v for name, v in measure(values, split.labels, split.bcp).items()}
    return metrics, predictions


def _strictly(teacher: Making, tensors: Mapping[str, Tensor], what: str) -> None:
    """Refuse weights that are not exactly those of the network.

    Raises:
        InputError: a tensor is missing, too many or of another shape.
    """
    with torch.device("meta"):
        wanted = teacher.network().state_dict()
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    shapes = [k for k in wanted.keys() & tensors.keys() if wanted[k].shape != tensors[k].shape]
    for problem, keys in (("lacks", missing), ("has the unknown", extra), ("has another shape of", sorted(shapes))):
        if keys:
            raise InputError(
                f"{what} does not fit {teacher.config.architecture}: it {problem} {keys[0]} ({len(keys)} in all)."
            )


def load(run: Run | str, hardware: Hardware | None = None) -> Teacher:
    """Load a finished teacher of any kind by its run's name or a unique prefix.

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
    if kind in kinds.NETWORKS:
        _strictly(making, tensors, name)
    teacher: Teacher = import_module(MODULES[kind]).restore(making, tensors)
    return teacher


def _order(role: str) -> tuple[int, str]:
    """Order member2 before member10."""
    return len(role), role


def remeasure(config: MeasureConfig, teacher: Teacher, dataset: Dataset, run: Run) -> None:
    """Measure a teacher that exists and write the measurement's run."""
    started = time.perf_counter()
    samples = config.eval_samples or teacher.own_samples
    metrics, predictions = evaluate(teacher, dataset, samples, config.seed)
    runs.finish(run, metrics, predictions, notes={"eval_samples": samples}, started=started)
