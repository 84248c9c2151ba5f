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
from kdlib.base.errors import InputError, NoImages
from kdlib.data.dataset import Dataset
from kdlib.runs.networks import check_weights, teacher_of
from kdlib.runs.plans import Plan, plan_all
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


def dataset(config: Config, fingerprint: str | None = None) -> Dataset:
    """Return the dataset of a config, whose fingerprint may be known."""
    key = (config.dataset, config.data_root, config.image_size)
    return _loaded(*key, fingerprint or data.fingerprint(*key))


def labels_of(config: Config) -> Mapping[str, NDArray[np.int64]]:
    """Return the labels of validation and test images by split.

    Raises:
        NoImages: they are not here.
    """
    try:
        images = dataset(config)
    except InputError as error:
        raise NoImages(str(error)) from None
    return {"val": images.val.labels.numpy(), "test": images.test.labels.numpy()}


def execute(config: Config | Plan) -> Run:
    """Return the finished run of a config: found in the store, else resumed, else made, its parents first.

    Raises:
        InputError: something in the config is refused, before any work.
        RunLocked: another process is making this run.
    """
    (one,) = plan_all([config])
    return _ensure(one, one.config.retrain)


def check(given: Sequence[Config | Plan]) -> list[Plan]:
    """Return the plans of configs, unless one of them cannot be run: said before the first of them runs.

    Raises:
        InputError: something in a config is refused.
    """
    plans = plan_all(given)
    for one in plans:
        if not one.run.finished or one.config.retrain:
            _checked(one)
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
    chosen = _checked(planned)
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
        about = _about(chosen) if chosen else {"dataset": planned.config.dataset}
        hardware = runs.start(run, {**planned.record, **about}, planned.config, chosen.shape if chosen else NO_IMAGE)
        with hardware.computing():
            recipe_of(planned.config).make(planned, chosen, run, hardware)
    return run


def _checked(planned: Plan) -> Dataset | None:
    """Return the dataset of a plan, unless it or this machine tells that the run cannot be made.

    A synthetic experiment has none and draws its points itself.

    Raises:
        InputError: there is no such device or omitted class, one image is left to train on, the images are too small
            for the architecture, the architecture cannot have such a posterior, or the teacher's weights, classes or
            image shape do not fit, or its weights hold what is no number.
    """
    config, recipe = planned.config, recipe_of(planned.config)
    if not recipe.images:
        resolve_hardware(config, NO_IMAGE)
        return None
    chosen = dataset(config, planned.record["fingerprint"])
    hardware = resolve_hardware(config, chosen.shape)
    recipe.check_here(planned, chosen)
    mine = _about(chosen)
    for role, parent in planned.parents.items():
        if parent.file is not None:
            teacher_of(parent, chosen, hardware)
        other = parent.config
        if (other.dataset, other.image_size) != (config.dataset, config.image_size):
            theirs = parent.run.record if parent.run.finished else _about(dataset(other))
            refused = f"{role} = {parent.name!r} is refused: it was trained on"
            if theirs["classes"] != mine["classes"]:
                raise InputError(f"{refused} {other.dataset}, whose classes are not those of {config.dataset}.")
            if theirs["shape"] != mine["shape"]:
                raise InputError(
                    f"{refused} images of shape {tuple(theirs['shape'])}, and these have shape {chosen.shape}."
                )
        if parent.file is None and parent.run.finished:
            check_weights(parent.run, chosen)
    return chosen


def _about(images: Dataset) -> dict[str, Any]:
    """Return what a run's record says of its dataset."""
    return {"dataset": images.name, "classes": list(images.classes), "shape": list(images.shape)}
