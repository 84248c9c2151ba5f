"""Students: the loss is the formula, and what it learns from is what it was told."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import small
import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.runs import execute
from kdlib.students.config import StudentConfig
from kdlib.students.distill import objective, supervision, temper
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.students.frameworks.framework import Tempered
from kdlib.training.loop import Batch

G = torch.Generator().manual_seed(0)
LOGITS, LABELS = torch.randn(6, 4, generator=G), torch.tensor([0, 1, 2, 3, 0, 1])
TEACHER = torch.randn(6, 4, generator=G)


def kd_loss(logits: Tensor, labels: Tensor, probs: Tensor, a: float, t: float, s: float) -> Tensor:
    return FRAMEWORKS["kd"].answer(logits, labels, probs, Tempered(a, t, s, 0.0))


def by_hand(a: float, t: float, s: float) -> float:
    total = 0.0
    for z, v, y in zip(LOGITS.tolist(), TEACHER.tolist(), LABELS.tolist(), strict=True):

        def softmax(x: list[float], by: float) -> list[float]:
            e = [math.exp(value / by) for value in x]
            return [value / sum(e) for value in e]

        q, p = softmax(v, t), softmax(z, s)
        kl = sum(a_ * math.log(a_ / b_) for a_, b_ in zip(q, p, strict=True))
        total += -(1 - a) * math.log(softmax(z, 1)[y]) + a * t * s * kl
    return total / len(LOGITS)


@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("t", "s"), [(1, 1), (4, 4), (4, 1), (2, 3)])
def test_the_loss_is_the_formula(a: float, t: float, s: float) -> None:
    probs = torch.softmax(TEACHER / t, 1)
    assert float(kd_loss(LOGITS, LABELS, probs, a, t, s)) == pytest.approx(by_hand(a, t, s), rel=1e-5)


@pytest.mark.parametrize(("t", "s"), [(1, 1), (4, 4), (4, 1), (2, 3)])
def test_the_gradient_is_t_times_the_difference(t: float, s: float) -> None:
    logits, probs = LOGITS.clone().requires_grad_(), torch.softmax(TEACHER / t, 1)
    (gradient,) = torch.autograd.grad(kd_loss(logits, LABELS, probs, 1.0, t, s), [logits])
    assert torch.allclose(gradient, t * (torch.softmax(LOGITS / s, 1) - probs) / len(LOGITS), atol=1e-6)


def test_at_high_temperature_it_matches_centred_logits() -> None:
    """Hinton et al. (2015), section 2.1: the gradient tends to (z - v) / classes, of centred logits."""
    logits, probs = LOGITS.clone().requires_grad_(), torch.softmax(TEACHER.double() / 1000, 1).float()
    (gradient,) = torch.autograd.grad(kd_loss(logits, LABELS, probs, 1.0, 1000, 1000), [logits])
    difference = (LOGITS - LOGITS.mean(1, keepdim=True)) - (TEACHER - TEACHER.mean(1, keepdim=True))
    assert torch.allclose(gradient, difference / 4 / len(LOGITS), atol=2e-3)


def test_limits_of_kd_weight() -> None:
    probs = torch.softmax(TEACHER, 1)
    assert torch.equal(kd_loss(LOGITS, LABELS, probs, 0.0, 4, 4), F.cross_entropy(LOGITS, LABELS))
    other = (LABELS + 1) % 4
    assert torch.equal(kd_loss(LOGITS, LABELS, probs, 1.0, 4, 4), kd_loss(LOGITS, other, probs, 1.0, 4, 4))
    perfect = kd_loss(TEACHER, LABELS, probs, 1.0, 1, 1)
    assert float(perfect) == pytest.approx(0, abs=1e-6)


def test_one_hot_probabilities_are_labels() -> None:
    hard = F.one_hot(LABELS, 4).float()
    assert torch.allclose(kd_loss(LOGITS, LABELS, hard, 1.0, 1, 1), F.cross_entropy(LOGITS, LABELS))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_temper_is_a_power(temperature: float) -> None:
    p = torch.tensor([[0.7, 0.3, 0.0], [0.25, 0.25, 0.5]])
    power = p ** (1 / temperature)
    assert torch.allclose(temper(p, temperature), power / power.sum(1, keepdim=True), atol=1e-6)


def batch(index: Tensor) -> Batch:
    train = small.DATASET.train
    return Batch(index, 0, train.take(index), train.labels[index], 0.0)


INDEX = torch.tensor([7, 0, 150])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_exact_supervision_is_the_tempered_bcp_of_each_image(temperature: float) -> None:
    config = small.student(teacher="exact_bcp", temperature=temperature)
    teach = supervision(config, small.DATASET, None, small.settings(), None)
    assert teach is not None
    assert small.DATASET.train.bcp is not None
    assert torch.allclose(teach(batch(INDEX)), temper(small.DATASET.train.bcp[INDEX], temperature))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_student_of_kept_answers_is_one_that_asks_live(temperature: float) -> None:
    given = {"temperature": temperature, "student_temperature": 1, "kd_weight": 1}
    config, teacher = small.student(teacher="deterministic", **given), small.untrained_teacher(5)
    teach = supervision(config, small.DATASET, teacher, small.settings(), None)
    assert teach is not None
    b = batch(INDEX)
    assert torch.allclose(teach(b), teacher.probs(b.images, temperature), atol=1e-3)
    network = small.network().eval()
    live = kd_loss(network(b.images), b.labels, teacher.probs(b.images, temperature), 1.0, temperature, 1.0)
    assert torch.allclose(objective(network, config, teach)(b), live, atol=1e-3)


@pytest.mark.parametrize("given", [{"teacher": "one_hot"}, {"teacher": "deterministic", "kd_weight": 0}])
def test_labels_alone_are_cross_entropy(given: dict[str, object]) -> None:
    config = small.student(**given)
    teach = supervision(config, small.DATASET, small.untrained_teacher(), small.settings(), None)
    assert teach is None
    network, b = small.network(), batch(INDEX)
    with torch.no_grad():
        assert torch.equal(objective(network, config, teach)(b), F.cross_entropy(network(b.images), b.labels))


def weights(config: StudentConfig) -> dict[str, Tensor]:
    return execute.execute(config).weights()


def test_students_end_where_their_losses_say(store: Path) -> None:
    teacher = execute.execute(small.teacher()).name
    floor = weights(small.student())
    without = weights(small.student(teacher=teacher, kd_weight=0))
    assert all(torch.equal(floor[name], without[name]) for name in floor)
    distilled = weights(small.student(teacher=teacher))
    assert not all(torch.equal(floor[name], distilled[name]) for name in floor)


def test_a_student_is_measured_against_its_teacher(store: Path) -> None:
    floor = execute.execute(small.student()).metrics
    assert not [name for name in floor if name.endswith(("agreement", "kl_to_teacher"))]
    for teacher in (execute.execute(small.teacher()).name, "exact_bcp"):
        metrics = execute.execute(small.student(teacher=teacher)).metrics
        for part in ("val", "test"):
            assert 0 <= metrics[f"{part}_agreement"] <= 1
            assert metrics[f"{part}_kl_to_teacher"] > 0
    exact = execute.execute(small.student(teacher="exact_bcp")).metrics
    assert exact["test_kl_to_teacher"] == pytest.approx(exact["test_kl_to_bcp"], rel=1e-3)
