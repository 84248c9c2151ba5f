"""What can be chosen of a dataset, and where its class probabilities come from."""

from __future__ import annotations

from enum import StrEnum


class Augmentation(StrEnum):
    """How a training image is changed each time it is seen."""

    NONE = "none"
    """Not at all."""
    REFLECT_CROP_FLIP = "reflect_crop_flip"
    """Reflect 4 pixels at each border, crop at random, flip left to right half the time (Bayesian-KD)."""
    ZERO_CROP_FLIP = "zero_crop_flip"
    """The same with zeros at the border (MCMI)."""


class BCPSource(StrEnum):
    """Say where a dataset's Bayes class probabilities come from."""

    EXACT = "exact"
    """Bayes' rule on the distribution that the images are drawn from."""
    HUMAN = "human"
    """The shares of many people's answers."""
    NONE = "none"
    """Not known."""


SPLIT_SEED = 10
"""The seed of every division of a dataset into training, validation and test images."""
