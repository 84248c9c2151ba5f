"""One function from a plan to a finished run, with whatever parents it needs."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdlib import data
from kdlib.base.config import Config
from kdlib.base.errors import InputError
from kdlib.data.dataset import Dataset
from kdlib.runs.networks import check_weights, teacher_of
from kdlib.runs.plans import Plan, Planner
from kdlib.runs.recipes import recipe_of, resolve
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.training.hardware import resolve as resolve_hardware

NO_IMAGE = (1, 1, 1)
"""The shape that stands for points, which are no images."""


@functools.lru_cache(maxsize=4)
def _loaded(name: str, root: str | None, image_size: int | None, fingerprint: str) -> Dataset:
    """Load a dataset once a process; one whose content has changed since is another."""
    return data.load(name, root, image_size)


def dataset_of(planned: Plan) -> Dataset | None:
    """Return the dataset of a plan; a synthetic experiment has none and draws its points itself."""
    config = planned.config
    if not recipe_of(config).images:
        return None
    key = (config.dataset, config.data_root, config.image_size)
    return _loaded(*key, planned.record.get("fingerprint") or data.fingerprint(*key))


def dataset(config: Config) -> Dataset:
    """Return the dataset of a config."""
    key = (config.dataset, config.data_root, config.image_size)
    return _loaded(*key, data.fingerprint(*key))


def labels_here(config: Config) -> Mapping[str, NDArray[np.int64]] | None:
    """Return the labels of validation and test images by split; none where the images are not here."""
    try:
        images = dataset(config)
    except InputError:
        return None
    return {"val": images.val.labels.numpy(), "test": images.test.labels.numpy()}


def execute(config: Config | Plan) -> Run:
    """Return the finished run of a config: found in the store, else resumed, else made, its parents first.

    Raises:
        InputError: something in the config is refused, before any work.
        RunLocked: another process is making this run.
    """
    planned = config if isinstance(config, Plan) else Planner().plan(config)
    return _ensure(planned, planned.config.retrain)


def check(given: Sequence[Config | Plan]) -> list[Plan]:
    """Return the plans of configs, unless one of them cannot be run: said before the first of them runs.

    Raises:
        InputError: something in a config is refused.
    """
    planner = Planner()
    plans = [one if isinstance(one, Plan) else planner.plan(one) for one in given]
    for planned in plans:
        if not planned.run.finished or planned.config.retrain:
            _check(planned, dataset_of(planned))
    return plans


def make(plans: Iterable[Plan]) -> list[Run]:
    """Return the finished runs of plans in order, each with what whoever asks for it wants too.

    Raises:
        InputError, RunLocked: as `execute`.
    """
    done = []
    for planned in plans:
        done.append(execute(planned))
        more = recipe_of(planned.config).also(planned)
        if more is not None:
            done.append(execute(resolve(*more)))
    return list(dict.fromkeys(done))


def _ensure(planned: Plan, retrain: bool = False) -> Run:
    run = planned.run
    if run.finished and not retrain:
        return run
    runs.writable_store()
    chosen = dataset_of(planned)
    _check(planned, chosen)
    for parent in planned.parents.values():
        if parent.file is None:
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
            recipe_of(planned.config).make(planned, chosen, run, hardware)
    return run


def _check(planned: Plan, chosen: Dataset | None) -> None:
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
    recipe_of(config).check_here(planned, chosen)
    for role, parent in planned.parents.items():
        if parent.file is not None:
            teacher_of(parent, chosen, hardware)
        if (parent.config.dataset, parent.config.image_size) != (config.dataset, config.image_size):
            _check_images(role, parent, config, chosen)
    for parent in planned.parents.values():
        if parent.file is None and parent.run.finished:
            check_weights(parent.run, chosen)


def _check_images(role: str, parent: Plan, config: Config, chosen: Dataset) -> None:
    """Refuse a parent of another dataset whose classes or images' shape are not these.

    Raises:
        InputError: they are not.
    """
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
