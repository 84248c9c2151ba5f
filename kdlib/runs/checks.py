"""What a training refuses before any work, of its settings alone."""

from __future__ import annotations

from kdlib import models
from kdlib.base import kinds
from kdlib.base.config import Augmentation, Schedule, TeacherConfig, TrainingConfig
from kdlib.base.errors import InputError


def check_training(config: TrainingConfig) -> None:
    """Refuse an unknown architecture, views of a digit, and settings that would never act.

    Raises:
        InputError: it is refused; the sentence names the parameter, its value and what is allowed.
    """
    if config.architecture not in models.NAMES:
        raise InputError(f"architecture = {config.architecture!r} is refused: allowed are {', '.join(models.NAMES)}.")
    if config.dataset.startswith("digits") and config.augmentation is not Augmentation.NONE:
        raise InputError(
            f"augmentation = {str(config.augmentation)!r} is refused for {config.dataset}: its class probabilities are "
            "exact for the image as drawn, so allowed is none."
        )
    if isinstance(config, TeacherConfig) and config.kind in kinds.DERIVED:
        return  # its training is its parent's, which was made
    epochs = config.epochs or 0
    if config.warmup_epochs >= epochs:
        raise InputError(f"warmup_epochs = {config.warmup_epochs:g} is refused: epochs is {epochs}, allowed is less.")
    marks = [int(mark) for mark in (config.lr_decay_epochs or "").split("+") if mark]
    if config.schedule is Schedule.STEPS and marks and max(marks) >= epochs:
        raise InputError(
            f"lr_decay_epochs = {config.lr_decay_epochs!r} is refused: epochs is {epochs}, so at "
            f"{max(marks)} the rate would never fall; allowed are epochs before the last."
        )
    ml_epochs = getattr(config, "ml_epochs", None) or 0  # of a config for which it means nothing it is not set
    if ml_epochs >= epochs:
        raise InputError(
            f"ml_epochs = {ml_epochs} is refused: epochs is {epochs}, the KL would never count; allowed is less."
        )
