"""One function from a config to a finished run, with whatever parents it needs."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from kdlib import data, models, teachers
from kdlib.base import kinds
from kdlib.base.config import (
    Config,
    EigencamConfig,
    MeasureConfig,
    RunType,
    StudentConfig,
    SyntheticConfig,
    TeacherConfig,
    TrainingConfig,
    resolve,
)
from kdlib.base.errors import InputError
from kdlib.runs.plans import Plan, plan
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.students import distill, frameworks
from kdlib.teachers.contract import Teacher, check_numbers
from kdlib.training.hardware import Hardware
from kdlib.training.hardware import resolve as resolve_hardware
from kdlib.training.schedule import plan_steps

NO_IMAGE = (1, 1, 1)
"""The shape that stands for points, which are no images."""


@functools.lru_cache(maxsize=4)
def dataset_of(name: str, root: str | None, image_size: int | None) -> data.Dataset:
    """Load a dataset once a process."""
    return data.load(name, root, image_size)


def dataset(config: Config) -> data.Dataset:
    """Return the dataset of a config."""
    return dataset_of(config.dataset, config.data_root, config.image_size)


def execute(config: Config) -> Run:
    """Return the finished run of a config: found in the store, else resumed, else made, its parents first.

    Raises:
        InputError: something in the config is refused, before any work.
        RunLocked: another process is making this run.
    """
    return _ensure(plan(config), config.retrain)


def check(configs: Sequence[Config]) -> list[Config]:
    """Return the configs as they are, unless one of them cannot be run: said before the first of them runs.

    Raises:
        InputError: something in a config is refused.
    """
    for planned in map(plan, configs):
        if not planned.run.finished or planned.config.retrain:
            _check(planned, _dataset_of(planned))
    return list(configs)


def make(configs: Iterable[Config]) -> list[Run]:
    """Return the finished runs of configs in order; a teacher with other `eval_samples` brings its measurement along.

    Raises:
        InputError, RunLocked: as `execute`.
    """
    done = []
    for config in configs:
        done.append(execute(config))
        samples = config.eval_samples
        if isinstance(config, TeacherConfig) and config.kind in kinds.STOCHASTIC and samples is not None:
            given = {name: getattr(config, name) for name in Config.model_fields}
            done.append(execute(resolve(RunType.MEASURE, {**given, "parent": done[-1].name, "retrain": False})))
    return list(dict.fromkeys(done))


def _ensure(planned: Plan, retrain: bool = False) -> Run:
    run = planned.run
    if run.finished and not retrain:
        return run
    runs.writable_store()
    chosen = _dataset_of(planned)
    _check(planned, chosen)
    parents = {role: parent for role, parent in planned.parents.items() if parent.record["run_type"] != "weights"}
    for parent in parents.values():
        _ensure(parent)
    with runs.locked(run):
        if run.finished and not retrain:
            return run
        if run.damage:
            warnings.warn(f"{run.damage.reason}: {run.name} is set aside in {runs.set_aside(run)}.", stacklevel=2)
        elif run.finished:
            runs.set_aside(run)
        about: dict[str, Any] = {"dataset": planned.config.dataset}
        if chosen is not None:
            about = {"dataset": chosen.name, "classes": list(chosen.classes), "shape": list(chosen.shape)}
        hardware = runs.start(run, {**planned.record, **about}, planned.config, chosen.shape if chosen else NO_IMAGE)
        with hardware.computing():
            _make(planned, chosen, run, hardware)
    return run


def _dataset_of(planned: Plan) -> data.Dataset | None:
    """Return the dataset of a plan; a synthetic experiment has none and draws its points itself."""
    return None if isinstance(planned.config, SyntheticConfig) else dataset(planned.config)


def _make(planned: Plan, chosen: data.Dataset | None, run: Run, hardware: Hardware) -> None:
    config = planned.config
    parent = planned.parents.get("teacher")
    if isinstance(config, SyntheticConfig):
        from kdlib.experiments.synthetic import experiment

        experiment.fit(config, run, hardware)
        return
    assert chosen is not None
    if isinstance(config, TeacherConfig):
        teachers.fit(config, chosen, run, hardware, [parent.run for parent in planned.parents.values()])
    elif isinstance(config, EigencamConfig):
        from kdlib.experiments.eigencam import run as eigencam

        assert parent is not None
        eigencam.fit(config, teacher_of(parent, chosen, hardware), chosen, run)
    elif isinstance(config, MeasureConfig):
        assert parent is not None
        teachers.remeasure(config, teacher_of(parent, chosen, hardware), chosen, run)
    elif isinstance(config, StudentConfig):
        teacher = teacher_of(parent, chosen, hardware) if parent is not None else None
        keeps = parent.run if parent is not None and parent.run.finished else None
        distill.fit(config, chosen, run, hardware, teacher, keeps)


def teacher_of(parent: Plan, chosen: data.Dataset, hardware: Hardware) -> Teacher:
    """Load the teacher that a plan names: a run of the store or a file of weights."""
    if parent.record["run_type"] == "weights":
        assert isinstance(parent.config, TeacherConfig)
        return teachers.load_weights(parent.record["file"], parent.config, chosen, hardware)
    return teachers.load(parent.run, hardware)


def _check(planned: Plan, chosen: data.Dataset | None) -> None:
    """Refuse what only the dataset and this machine can tell, before anything is made.

    Raises:
        InputError: there is no such device or omitted class, one image is left to train on, the images are too small
            for the architecture, the architecture cannot have such a posterior, or the teacher's weights, classes or
            image shape do not fit, or its weights hold what is no number.
    """
    config = planned.config
    hardware = resolve_hardware(config, chosen.shape if chosen else NO_IMAGE)
    if chosen is None:
        return
    if isinstance(config, TrainingConfig):
        plan_steps(config, chosen)
        with torch.device("meta"):  # shapes alone
            network = models.build(str(config.architecture), len(chosen.classes), chosen.channels, chosen.shape[-1])
            if isinstance(config, TeacherConfig):
                teachers.check(config, network)
    if isinstance(config, EigencamConfig):
        with torch.device("meta"):
            network = models.build(str(config.architecture), len(chosen.classes), chosen.channels, chosen.shape[-1])
        if config.stage > len(network.blocks):
            raise InputError(
                f"stage = {config.stage} is refused: {config.architecture} has {len(network.blocks)} stages."
            )
    for role, parent in planned.parents.items():
        if parent.record["run_type"] == "weights":
            teacher_of(parent, chosen, hardware)
        if (parent.config.dataset, parent.config.image_size) == (config.dataset, config.image_size):
            continue
        theirs: dict[str, Any] = parent.run.record if parent.run.finished else {}
        if not theirs:
            other = dataset(parent.config)
            theirs = {"classes": list(other.classes), "shape": list(other.shape)}
        if theirs["classes"] != list(chosen.classes):
            raise InputError(
                f"{role} = {parent.name!r} is refused: it was trained on {parent.config.dataset}, whose classes are "
                f"not those of {config.dataset}."
            )
        if theirs["shape"] != list(chosen.shape):
            raise InputError(
                f"{role} = {parent.name!r} is refused: it was trained on images of shape {tuple(theirs['shape'])}, and "
                f"these have shape {chosen.shape}."
            )
    for parent in planned.parents.values():
        if parent.record["run_type"] != "weights" and parent.run.finished:
            _check_weights(parent.run, chosen)
    if isinstance(config, StudentConfig) and config.framework not in frameworks.PROBABILITIES:
        _check_framework(config, planned.parents.get("teacher"), chosen)


def _check_weights(run: Run, chosen: data.Dataset) -> None:
    """Refuse a finished teacher that keeps numbers which mean nothing, or is made of one that does.

    Raises:
        InputError: it does; the sentence names the run.
    """
    record, weights = run.record, run.weights()
    for name in record["parents"].values():
        if Run(name).finished:
            _check_weights(Run(name), chosen)
    wanted = {name: tensor.dtype for name, tensor in weights.items()}
    if record["config"].get("kind") in kinds.NETWORKS:
        with torch.device("meta"):  # types alone
            architecture = record["config"]["architecture"]
            network = models.build(architecture, len(chosen.classes), chosen.channels, chosen.shape[-1])
        wanted |= {name: tensor.dtype for name, tensor in network.state_dict().items() if name in weights}
    check_numbers(wanted, weights, run.name)


def _check_framework(config: StudentConfig, parent: Plan | None, chosen: data.Dataset) -> None:
    """Refuse a framework that student and teacher cannot have.

    Raises:
        InputError: they cannot.
    """
    theirs = parent.config if parent is not None else None
    assert theirs is None or isinstance(theirs, TeacherConfig)
    with torch.device("meta"):  # shapes alone
        student, teacher = (
            models.build(str(of.architecture), len(chosen.classes), chosen.channels, chosen.shape[-1]) if of else None
            for of in (config, theirs)
        )
    assert student is not None
    frameworks.check(config, chosen.classes, student, theirs.kind if theirs else None, teacher)


def networks_of(config: Config) -> tuple[Teacher, Teacher | None]:
    """Return the finished student of a config and its teacher, `None` where labels or exact probabilities taught it.

    A student is given as a `Teacher` too: `probs` for its class probabilities, `network` for the network itself.
    """
    planned = plan(config)
    record = planned.run.record
    assert isinstance(planned.config, TrainingConfig)
    hardware = Hardware(**planned.run.provenance["hardware"])
    student = teachers.restored(planned.config, record, planned.run.weights(), hardware, planned.name)
    parent = planned.parents.get("teacher")
    return student, teacher_of(parent, dataset(config), hardware) if parent is not None else None
