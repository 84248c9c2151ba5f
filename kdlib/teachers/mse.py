"""Mean squared error against one-hot labels, of the probabilities or of the logits. (No torch.)"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from kdlib.base.config import parameter
from kdlib.teachers.kind import DASHDOT, Mark, TeacherConfig
from kdlib.teachers.labels import Loss, OnLabels

if TYPE_CHECKING:
    from torch import Tensor


class MSEOn(StrEnum):
    """What the mean squared error compares with one-hot labels."""

    PROBS = "probs"
    """Softmax outputs, as the cited paper has it (Hamidi et al., ECCV 2024)."""
    LOGITS = "logits"
    """Raw logits, as Bayesian-KD's public code has it."""


class MSEConfig(TeacherConfig):
    """What is compared."""

    mse_on: MSEOn = parameter(MSEOn.PROBS, "mse: probs or logits")


def mean_squared_error(logits: Tensor, labels: Tensor, on: MSEOn) -> Tensor:
    """Return the mean over images of Σ_c (a_c - 1[c = y])², with a the probabilities or the logits `(n, classes)`.

    On probabilities it is the Brier score, a proper loss: in expectation it is least at the Bayes class
    probabilities. On logits it is least where the logits, not the softmax of them, are the Bayes class probabilities.
    Source: Hamidi et al., ECCV 2024, for the former; Bayesian-KD's public code for the latter.
    """
    from torch.nn import functional as F

    answers = logits.float().softmax(1) if on is MSEOn.PROBS else logits.float()
    return (answers - F.one_hot(labels, logits.shape[1])).square().sum(1).mean()


class MSE(OnLabels):
    """A network trained by mean squared error."""

    name = "mse"
    meaning = "Mean squared error against one-hot labels, of the probabilities or of the logits (`mse_on`)."
    title = "MSE"
    mark = Mark("#b59400", "<", DASHDOT, "OO")
    config_type = MSEConfig

    def settings(self, given: TeacherConfig, epochs: int) -> dict[str, Any]:
        """Return the rate of the lowest validation NLL on digits (seeds 900 to 902): this loss has small gradients."""
        return {"learning_rate": 0.4} if given.dataset.startswith("digits") and given.preset is None else {}

    def loss(self, config: MSEConfig) -> Loss:
        """Return the mean squared error."""
        return partial(mean_squared_error, on=config.mse_on)
