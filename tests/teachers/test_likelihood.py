"""Losses of the labels alone against their formulas, and where they are least."""

from __future__ import annotations

import pytest
import small
import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.teachers.kind import TeacherConfig
from kdlib.teachers.kinds import kind_of
from kdlib.teachers.labels import Loss, OnLabels
from kdlib.teachers.mse import MSEOn, mean_squared_error


def loss_of(config: TeacherConfig) -> Loss:
    kind = kind_of(config)
    assert isinstance(kind, OnLabels)
    return kind.loss(config)


BCP = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)


def expected(logits: Tensor, on: MSEOn) -> Tensor:
    """The loss of one image whose label is drawn from `BCP`: the sum over labels, weighted."""
    losses = [mean_squared_error(logits[None].double(), torch.tensor([label]), on).double() for label in range(3)]
    return (torch.stack(losses) * BCP).sum()


def test_mean_squared_error_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    labels = torch.tensor([0, 1])
    p = 1 / (1 + torch.tensor(-3.0).exp())  # of the second image's class 0
    on_probs = (0.25 + 0.25 + p**2 + p**2) / 2
    assert float(mean_squared_error(logits, labels, MSEOn.PROBS)) == pytest.approx(float(on_probs), rel=1e-6)
    assert float(mean_squared_error(logits, labels, MSEOn.LOGITS)) == pytest.approx((1 + 0 + 1 + 9) / 2)


@pytest.mark.parametrize(("on", "best"), [(MSEOn.PROBS, BCP.log()), (MSEOn.LOGITS, BCP)])
def test_mean_squared_error_is_least_at_the_bayes_class_probabilities(on: MSEOn, best: Tensor) -> None:
    at = best.clone().requires_grad_()
    loss = expected(at, on)
    loss.backward()
    assert at.grad is not None and torch.allclose(at.grad, torch.zeros(3, dtype=at.grad.dtype), atol=1e-6)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        other = best + torch.randn(3, generator=generator, dtype=torch.float64)
        assert float(expected(other, on)) > float(loss.detach())


def test_label_smoothing_is_cross_entropy_with_smoothed_labels() -> None:
    logits = torch.randn(40, 10, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(40) % 10
    smoothed = 0.8 * F.one_hot(labels, 10) + 0.2 / 10
    loss = loss_of(small.teacher(kind="label_smoothing", smoothing=0.2))(logits, labels)
    assert float(loss.detach()) == pytest.approx(float(-(smoothed * logits.log_softmax(1)).sum(1).mean()), rel=1e-6)


def test_each_kind_has_its_loss() -> None:
    logits, labels = torch.randn(40, 10, generator=torch.Generator().manual_seed(2)), torch.arange(40) % 10
    assert torch.equal(loss_of(small.teacher())(logits, labels), F.cross_entropy(logits, labels))
    for on in MSEOn:
        loss = loss_of(small.teacher(kind="mse", mse_on=on))(logits, labels)
        assert torch.equal(loss, mean_squared_error(logits, labels, on))
