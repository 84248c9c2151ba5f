"""The fitted temperature against closed forms, and what it can never do: worsen the images it was fitted on."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import small
import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib import teachers
from kdlib.runs.execute import execute
from kdlib.teachers.contract import combine
from kdlib.teachers.temperature_scaled import HIGHEST, LOWEST, at_limit, best_temperature


def nll(outputs: Tensor, labels: Tensor, temperature: float) -> float:
    return float(F.nll_loss(combine(outputs, temperature).log(), labels))


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("right", [60, 75, 99])
def test_two_classes_in_closed_form(right: int, samples: int) -> None:
    """All logits are (3, 0) and `right` % of the labels 0: softmax(3 / T) fits where 3 / T = ln(right / wrong)."""
    outputs = torch.tensor([3.0, 0.0]).expand(samples, 100, 2)
    labels = (torch.arange(100) >= right).long()
    assert best_temperature(outputs, labels) == pytest.approx(3 / math.log(right / (100 - right)), rel=1e-3)


@pytest.mark.parametrize("known", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_recovered(known: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 5, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    found = best_temperature(known * logits[None], labels)
    assert found == pytest.approx(known, rel=0.03)
    assert best_temperature(2 * known * logits[None], labels) == pytest.approx(2 * found, rel=1e-4)
    # the derivative by ln T vanishes there
    either = [nll(known * logits[None], labels, found * factor) for factor in (0.98, 1.0, 1.02)]
    assert either[1] < min(either[0], either[2])


def test_temperatures_stay_between_their_limits() -> None:
    logits, labels = 0.5 * torch.eye(4)[None], torch.arange(4)
    assert best_temperature(logits, labels) == pytest.approx(LOWEST, rel=1e-3)
    assert best_temperature(logits, labels.flip(0)) == pytest.approx(HIGHEST, rel=1e-3)
    assert at_limit(best_temperature(logits, labels)) and at_limit(best_temperature(logits, labels.flip(0)))
    assert not any(at_limit(inside) for inside in (0.06, 1.0, 19.0))


@pytest.mark.parametrize("samples", [1, 4])
def test_the_fitted_nll_is_never_above_that_at_one(samples: int) -> None:
    generator = torch.Generator().manual_seed(samples)
    for scale in (0.1, 1.0, 10.0):
        outputs = scale * torch.randn(samples, 200, 10, generator=generator)
        labels = torch.randint(10, (200,), generator=generator)
        assert nll(outputs, labels, best_temperature(outputs, labels)) <= nll(outputs, labels, 1.0) + 1e-6


def test_a_scaled_teacher_is_its_parent_at_that_temperature(store: Path) -> None:
    run = execute(small.teacher(kind="temperature_scaled", learning_rate=0.02))
    parent, scaled = teachers.load(run.record["parents"]["parent"]), teachers.load(run)
    fitted = run.provenance["fitted_temperature"]
    assert fitted == float(run.weights()["temperature"])
    assert run.provenance["temperature_at_limit"] is False
    images = small.DATASET.test.images
    for temperature in (1.0, 3.0):
        assert torch.allclose(scaled.probs(images, temperature), parent.probs(images, temperature * fitted), atol=1e-6)
    ours, theirs = run.metrics, execute(small.teacher(learning_rate=0.02)).metrics
    assert ours["val_nll"] <= theirs["val_nll"] + 1e-6
    assert ours["test_accuracy"] == theirs["test_accuracy"]
