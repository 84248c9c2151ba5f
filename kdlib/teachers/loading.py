"""Every kind of teacher made and filled into its run, or taken from the store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.base.tensors import read_tensors, write_tensors
from kdlib.data.dataset import Dataset
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.teachers import costs
from kdlib.teachers.contract import Teacher
from kdlib.teachers.evaluation import distances, evaluate
from kdlib.teachers.kind import TeacherConfig
from kdlib.teachers.kinds import kind_of, recorded
from kdlib.teachers.making import Making
from kdlib.training.config import TrainingConfig
from kdlib.training.hardware import Hardware, seed_everything
from kdlib.training.hardware import resolve as resolve_hardware


def fit(config: TeacherConfig, dataset: Dataset, run: Run, hardware: Hardware, parents: Sequence[Run] = ()) -> Teacher:
    """Fit a teacher of any kind and write its run.

    Raises:
        NotFinite: the loss was not finite.
    """
    started = time.perf_counter()
    seed_everything(config.seed)
    loaded = tuple(load(parent, hardware) for parent in parents)
    making = Making(config, hardware, run.name, dataset.classes, dataset.shape, loaded, dataset, run)
    costs.restart_peak(hardware.torch_device)
    kind = kind_of(config)
    began = time.perf_counter()
    made = kind.fit(making)
    seconds = made.history.seconds if made.history is not None else time.perf_counter() - began
    metrics, predictions, notes = evaluate(made.teacher, dataset, seed=config.seed)
    metrics |= distances(made.teacher, dataset, notes["eval_samples"], config.seed)
    lineage = [parent.provenance for parent in parents]
    notes |= costs.of_teacher(seconds, made.tensors, lineage, needs_parents=not kind.one_network)
    notes |= {"peak_memory_bytes": costs.peak_memory(hardware.torch_device), **made.notes}
    columns = None
    if made.history is not None:
        columns = made.history.columns()
        notes |= {"best_epoch": made.history.best_epoch}
    for file, tensors in made.files.items():
        write_tensors(run.path / file, tensors, run.name)
    runs.finish(run, metrics, predictions, made.tensors, columns, notes, started)
    return made.teacher


def load(run: Run | str, hardware: Hardware | None = None) -> Teacher:
    """Load a finished teacher of any kind by its run's name or a unique prefix.

    Raises:
        InputError: no such run, not finished, no teacher, or weights that do not fit.
    """
    run = runs.find(run if isinstance(run, str) else run.name)
    record = run.record
    if record["run_type"] != RunType.TEACHER:
        raise InputError(f"run = {run.name!r} is refused: it is a {record['run_type']}, not a teacher.")
    return restored(recorded(record["config"]), record, run.weights(), hardware, run.name)


def load_weights(path: str, config: TeacherConfig, dataset: Dataset, hardware: Hardware) -> Teacher:
    """Load a network from a file of weights, checked strictly."""
    record = {"classes": list(dataset.classes), "shape": list(dataset.shape)}
    return restored(config, record, read_tensors(Path(path))[0], hardware, path)


def restored(
    config: TeacherConfig,
    record: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    hardware: Hardware | None,
    name: str,
) -> Teacher:
    """Return a teacher from its record and its tensors, its parents loaded first."""
    hardware = hardware or here(config, record)
    roles = record.get("parents", {})
    parents = tuple(load(roles[role], hardware) for role in sorted(roles, key=lambda role: (len(role), role)))
    return kind_of(config).restore(making_of(config, record, hardware, name, parents), tensors)


def here(config: TrainingConfig, record: Mapping[str, Any]) -> Hardware:
    """Return how this machine's best device computes what a run has trained, wherever that was made."""
    return resolve_hardware(config.model_copy(update={"device": None}), tuple(record["shape"]))


def making_of(
    config: TrainingConfig, record: Mapping[str, Any], hardware: Hardware, name: str, parents: tuple[Teacher, ...] = ()
) -> Making:
    """Return what a teacher, or a student as one, is restored from."""
    return Making(config, hardware, name, tuple(record["classes"]), tuple(record["shape"]), parents)
