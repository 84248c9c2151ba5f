"""How a network is trained: the parameters that teachers and students share, and the papers' settings. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from kdlib import data, models
from kdlib.base.config import Config, Seed, a_set, parameter, whole
from kdlib.base.errors import InputError
from kdlib.data.options import Augmentation


class Preset(StrEnum):
    """A paper's settings."""

    BAYESIAN_KD = "bayesian_kd"
    """Adam, rate 1e-3, times 0.1 at epoch 100 of 200, batch 100; kd_weight 1, T = S = 1."""
    MCMI = "mcmi"
    """SGD 0.05, momentum 0.9, decay 5e-4, times 0.1 at 150, 180, 210 of 240, batch 64; kd_weight 0.9, T = S = 4."""


class Match(StrEnum):
    """What stays equal when the training set is a subset."""

    STEPS = "steps"
    """As many steps as with all the data: passes repeat (MCMI's protocol)."""
    EPOCHS = "epochs"
    """As many passes as with all the data, so fewer steps (Bayesian-KD's protocol)."""


class Optimizer(StrEnum):
    """Which optimiser."""

    ADAM = "adam"
    """Adam with betas 0.9 and 0.999; weight decay, if any, is added to the gradient."""
    SGD = "sgd"
    """Stochastic gradient descent with momentum; weight decay is added to the gradient."""


class Schedule(StrEnum):
    """How the learning rate falls."""

    STEPS = "steps"
    """Times `lr_decay_rate` at each epoch of `lr_decay_epochs`."""
    COSINE = "cosine"
    """Half a cosine from the learning rate to zero, changed every step."""
    CONSTANT = "constant"
    """Not at all."""


Epochs = Annotated[str, a_set(whole, "whole numbers, as in 150+180", least=0)]


class TrainingConfig(Config):
    """What teachers and students share: how a network is trained."""

    architecture: str | None = parameter(None, "a name from kdlib.models.NAMES")
    augmentation: Augmentation | None = parameter(None, "none, reflect_crop_flip or zero_crop_flip")
    augmentation_seed: Seed | None = parameter(None, "seed of the views; None: the run's seed")
    preset: Preset | None = parameter(None, "a paper's settings: bayesian_kd or mcmi", hashed=False)
    epochs: int | None = parameter(None, "passes over the training set", ge=1, le=100_000)
    match: Match = parameter(Match.STEPS, "what a subset keeps: steps or epochs")
    batch_size: int | None = parameter(None, "images a step", ge=2, le=65_536)
    optimizer: Optimizer | None = parameter(None, "adam or sgd")
    learning_rate: float | None = parameter(None, "initial learning rate", gt=0, le=100)
    momentum: float | None = parameter(None, "momentum of sgd", ge=0, lt=1)
    weight_decay: float | None = parameter(None, "L2 penalty's factor in the gradient", ge=0, le=1)
    schedule: Schedule | None = parameter(None, "steps, cosine or constant")
    lr_decay_epochs: Epochs | None = parameter(None, "epochs at which the rate falls, as in 150+180+210", kind="set")
    lr_decay_rate: float | None = parameter(None, "factor of the learning rate there", gt=0, le=1)
    warmup_epochs: float = parameter(0.0, "first epochs, in which the rate rises from 0", ge=0, le=100_000)
    fraction: float = parameter(1.0, "share of each class's training images", gt=0, le=1)
    omit_classes: str = parameter("", "classes whose training images are dropped, as in 3+5", kind="set")
    compile: bool = parameter(False, "torch.compile, on a GPU CUDA graphs: worth it for long runs", hashed=False)


OWN = tuple(name for name in TrainingConfig.model_fields if name not in Config.model_fields)
"""The parameters of a training alone."""

PRESETS: dict[Preset, dict[str, Any]] = {
    Preset.BAYESIAN_KD: {
        "optimizer": "adam", "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 0.0, "batch_size": 100,
        "schedule": "steps", "epochs": 200, "lr_decay_epochs": "100", "lr_decay_rate": 0.1,
        "augmentation": "reflect_crop_flip", "kd_weight": 1.0, "temperature": 1.0,
    },
    Preset.MCMI: {
        "optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 64,
        "schedule": "steps", "epochs": 240, "lr_decay_epochs": "150+180+210", "lr_decay_rate": 0.1,
        "augmentation": "zero_crop_flip", "kd_weight": 0.9, "temperature": 4.0,
    },
}  # fmt: skip
"""Sources: the settings of Bayesian-KD ("SGD-Based Knowledge Distillation with Bayesian Teachers") and of MCMI (Ye et
al., ICLR 2024), as their public code has them."""

SMALL_RATE = 0.01
"""Both papers train MobileNet and ShuffleNet students at this rate."""


def usual(given: TrainingConfig) -> dict[str, Any]:
    """Return how a run is trained where nothing is given: as its preset says, else as its family of datasets does.

    The family's settings stand below a preset's; where it has none, those of Bayesian-KD hold.
    """
    family, role = data.family_of(given.dataset), str(given.run_type)
    own = family.settings(role)
    preset = given.preset or (None if own else Preset.BAYESIAN_KD)
    values = {"architecture": family.architectures[role], **own, **(PRESETS[preset] if preset else {})}
    if family.exact:
        # a view of such an image has no known class probabilities: no preset gives it an augmentation
        values["augmentation"] = Augmentation.NONE
    if (given.architecture or values["architecture"]).startswith(("mobilenet", "shufflenet")):
        values["learning_rate"] = SMALL_RATE
    return values


def scaled(marks: str, before: int, epochs: int) -> str:
    """Return the marks of a set such as `150+180+210` of `before` epochs, where `epochs` are trained: all inside."""
    inside = (max(1, min(epochs - 1, round(int(mark) * epochs / before))) for mark in marks.split("+") if mark)
    return "+".join(str(mark) for mark in inside) if epochs > 1 else ""


def filled(given: TrainingConfig, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of what was not given, those of the thing itself (`own`) before the usual ones.

    Marks of the learning rate move with the length of the training.
    """
    values = usual(given)
    length = values["epochs"]
    values |= own
    values["lr_decay_epochs"] = scaled(values["lr_decay_epochs"], length, given.epochs or values["epochs"])
    return {name: value for name, value in values.items() if name in type(given).model_fields}


def idle(config: TrainingConfig) -> set[str]:
    """Return the parameters that mean nothing beside the others."""
    unused: set[str] = set()
    if config.optimizer is Optimizer.ADAM:
        unused.add("momentum")
    if config.schedule is not Schedule.STEPS:
        unused |= {"lr_decay_epochs", "lr_decay_rate"}
    elif not config.lr_decay_epochs:
        unused.add("lr_decay_rate")
    if config.fraction == 1 and not config.omit_classes:
        unused.add("match")
    if config.augmentation is Augmentation.NONE or config.augmentation_seed == config.seed:
        unused.add("augmentation_seed")
    return unused


def check(config: TrainingConfig, trains: bool = True) -> None:
    """Refuse an unknown architecture, views of images as drawn and, of what is trained, settings that would never act.

    Raises:
        InputError: it is refused; the sentence names the parameter, its value and what is allowed.
    """
    if config.architecture not in models.NAMES:
        raise InputError(f"architecture = {config.architecture!r} is refused: allowed are {', '.join(models.NAMES)}.")
    if data.family_of(config.dataset).exact and config.augmentation is not Augmentation.NONE:
        raise InputError(
            f"augmentation = {str(config.augmentation)!r} is refused for {config.dataset}: its class probabilities are "
            "exact for the image as drawn, so allowed is none."
        )
    if not trains:
        return
    epochs = config.epochs or 0
    if config.warmup_epochs >= epochs:
        raise InputError(f"warmup_epochs = {config.warmup_epochs:g} is refused: epochs is {epochs}, allowed is less.")
    marks = [int(mark) for mark in (config.lr_decay_epochs or "").split("+") if mark]
    if config.schedule is Schedule.STEPS and marks and max(marks) >= epochs:
        raise InputError(
            f"lr_decay_epochs = {config.lr_decay_epochs!r} is refused: epochs is {epochs}, so at "
            f"{max(marks)} the rate would never fall; allowed are epochs before the last."
        )
