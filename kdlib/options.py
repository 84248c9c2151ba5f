"""Every option a user can choose from, each an enum whose members say what they mean."""

from __future__ import annotations

from enum import StrEnum


class Preset(StrEnum):
    """A paper's settings."""

    BAYESIAN_KD = "bayesian_kd"
    """Adam, rate 1e-3, times 0.1 at epoch 100 of 200, batch 100; kd_weight 1, T = S = 1."""
    MCMI = "mcmi"
    """SGD 0.05, momentum 0.9, decay 5e-4, times 0.1 at 150, 180, 210 of 240, batch 64; kd_weight 0.9, T = S = 4."""


class RunType(StrEnum):
    """What a run makes."""

    TEACHER = "teacher"
    """One teacher, of any kind."""
    STUDENT = "student"
    """One student of one teacher."""
    MEASURE = "measure"
    """Metrics and predictions of a teacher that exists, with another number of samples."""


class TeacherKind(StrEnum):
    """How a teacher estimates the Bayes class probabilities."""

    DETERMINISTIC = "deterministic"
    """Maximum likelihood: the softmax of a network trained by cross-entropy."""


class Augmentation(StrEnum):
    """How a training image is changed each time it is seen."""

    NONE = "none"
    """Not at all."""
    REFLECT_CROP_FLIP = "reflect_crop_flip"
    """Reflect 4 pixels at each border, crop at random, flip left to right half the time (Bayesian-KD)."""
    ZERO_CROP_FLIP = "zero_crop_flip"
    """The same with zeros at the border (MCMI)."""


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


class Precision(StrEnum):
    """In what numbers a network computes; weights are float32 always."""

    FLOAT32 = "float32"
    """Single precision throughout."""
    BFLOAT16 = "bfloat16"
    """Autocast: convolutions and products in bfloat16, the rest in single precision."""


class Framework(StrEnum):
    """What a student learns from its teacher besides the labels."""

    KD = "kd"
    """The teacher's class probabilities (Hinton et al., 2015)."""
