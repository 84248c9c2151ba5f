"""The smallest runs there are: 200 digits, a network of 4 channels, one thread."""

from __future__ import annotations

from typing import Any

from kdlib import data, models
from kdlib.base.config import RunType
from kdlib.base.files import write_json
from kdlib.base.tensors import digest
from kdlib.models.network import Network
from kdlib.runs.plans import Plan
from kdlib.runs.recipes import resolve
from kdlib.store.runs import Run
from kdlib.students.config import StudentConfig
from kdlib.teachers.contract import Teacher
from kdlib.teachers.kind import TeacherConfig
from kdlib.training import hardware
from kdlib.training.hardware import Hardware, seed_everything

GIVEN: dict[str, Any] = {
    "dataset": "digits:tiny", "architecture": "cnn4", "epochs": 3, "threads": 1, "optimizer": "adam",
    "learning_rate": 1e-3, "weight_decay": 0, "schedule": "constant",
}  # fmt: skip
USUAL: dict[str, Any] = dict.fromkeys(("epochs", "optimizer", "learning_rate", "weight_decay", "schedule"))
"""Takes back what `GIVEN` says of training: that of the dataset or the preset."""
DATASET = data.load("digits:tiny")


def teacher(**given: Any) -> TeacherConfig:
    """Return the config of a small teacher."""
    config = resolve(RunType.TEACHER, {**GIVEN, **given})
    assert isinstance(config, TeacherConfig)
    return config


def student(**given: Any) -> StudentConfig:
    """Return the config of a small student, of one-hot labels unless a teacher is given."""
    config = resolve(RunType.STUDENT, {**GIVEN, "teacher": "one_hot", **given})
    assert isinstance(config, StudentConfig)
    return config


def settings(**given: Any) -> Hardware:
    """Return the hardware settings of a small run."""
    return hardware.resolve(teacher(**given), DATASET.shape)


def network(seed: int = 0) -> Network:
    """Return a small untrained network in the memory format of a run."""
    seed_everything(seed)
    made = models.build("cnn4", len(DATASET.classes), DATASET.channels, DATASET.shape[-1])
    made.set_normalisation(DATASET.mean, DATASET.std)
    settings().place(made)
    return made


def untrained_teacher(seed: int = 0) -> Teacher:
    """Return a teacher that has learnt nothing, but answers."""
    return Teacher(network(seed), settings(), "untrained")


def pretend(planned: Plan, **metrics: float) -> Run:
    """Write the small files of a run that was never made, and return it."""
    run = planned.run
    run.path.mkdir(parents=True, exist_ok=True)
    write_json(run.path / "config.json", {**planned.record, "dataset": planned.config.dataset})
    write_json(run.path / "provenance.json", {"hardware": settings().as_dict(), "sessions": [{"seconds": 1.0}]})
    write_json(run.path / "metrics.json", metrics)
    return run


def content(run: Run) -> tuple[Any, ...]:
    """Return all that must be bit-identical in two runs of one config; as text, NaN equals itself."""
    history = repr(run.history().to_dict("list"))
    return digest(run.weights(), ""), digest(run.predictions(), ""), history, run.metrics
