"""Teachers trained on the labels alone: cross-entropy, smoothed cross-entropy, mean squared error.

One with a parent, `fine_tuned`, goes on from its weights: an MCMI teacher without the CMI term.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor
from torch.nn import functional as F

from kdlib.base.config import TeacherConfig, TeacherKind
from kdlib.base.options import MSEOn
from kdlib.teachers.contract import Made, Making, Teacher

Loss = Callable[[Tensor, Tensor], Tensor]


def mean_squared_error(logits: Tensor, labels: Tensor, on: MSEOn) -> Tensor:
    """Return the mean over images of Σ_c (a_c - 1[c = y])², with a the probabilities or the logits `(n, classes)`.

    On probabilities it is the Brier score, a proper loss: in expectation it is least at the Bayes class
    probabilities. On logits it is least where the logits, not the softmax of them, are the Bayes class probabilities.
    Source: Hamidi et al., ECCV 2024, for the former; Bayesian-KD's public code for the latter.
    """
    answers = logits.float().softmax(1) if on is MSEOn.PROBS else logits.float()
    return (answers - F.one_hot(labels, logits.shape[1])).square().sum(1).mean()


def loss_of(config: TeacherConfig) -> Loss:
    """Return the loss `(logits (n, classes), labels (n,)) -> scalar` of a kind."""
    if config.kind is TeacherKind.LABEL_SMOOTHING:
        return partial(F.cross_entropy, label_smoothing=float(config.smoothing or 0))
    if config.kind is TeacherKind.MSE:
        return partial(mean_squared_error, on=config.mse_on)
    return F.cross_entropy


def fit(making: Making) -> Made:
    """Train a network on the labels, from its parent's weights or new ones, or from the run's newest checkpoint."""
    config = making.config
    assert isinstance(config, TeacherConfig)
    network, loss = making.network(), loss_of(config)
    for parent in making.parents:
        network.load_state_dict(parent.network.state_dict())
    making.placed(network)
    history = making.train(network, lambda batch: loss(network(batch.images), batch.labels))
    # the best epoch is what an early-stopped teacher is made of
    best = {"best.safetensors": history.best} if config.kind is TeacherKind.DETERMINISTIC else {}
    return Made(Teacher(network, making.hardware, making.name), network.state_dict(), history, files=best)


def restore(making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
    """Return the teacher whose network has these weights."""
    network = making.loaded(making.network(), tensors)
    return Teacher(network, making.hardware, making.name)
