"""The parts of an error: that they are what they say, add up to the divergence, and are what a temperature mends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from kdlib.base.errors import InputError
from kdlib.measures import metrics
from kdlib.measures.bcp_errors import PARTS, Part, divergence, error_parts, tempered
from kdlib.teachers import temperature_scaled as temperature

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(500, 6)) * 3
BCP = np.exp(log_softmax(LOGITS + RNG.normal(size=(500, 6)), axis=1))


def parts_of(bcp: list[float], probs: list[float]) -> dict[Part, float]:
    """Return the parts of one image by name."""
    with np.errstate(divide="ignore"):
        return dict(zip(PARTS, error_parts([bcp], np.log([probs]))[0].tolist(), strict=True))


def test_parts_add_up_to_the_divergence_that_runs_measure() -> None:
    parts = error_parts(BCP, LOGITS)
    assert parts.shape == (500, 4) and (parts >= 0).all()
    assert parts.sum(axis=1) == pytest.approx(divergence(BCP, LOGITS))
    measured = metrics.measure(torch.tensor(LOGITS), torch.tensor(BCP.argmax(1)), torch.tensor(BCP))
    assert divergence(BCP, LOGITS).mean() == pytest.approx(measured["kl_to_bcp"])
    wrong = LOGITS.argmax(1) != BCP.argmax(1)
    assert parts[wrong, 1:].max() == 0 and parts[~wrong, 0].max() == 0


def test_parts_by_hand() -> None:
    p, q = 0.6, 0.9
    bracket = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    over = parts_of([p, 0.2, 0.2], [q, 0.05, 0.05])  # the rest is divided as it should be
    assert over[Part.OVER] == pytest.approx(bracket)
    assert over[Part.WRONG] == over[Part.UNDER] == 0 and over[Part.OTHERS] == pytest.approx(0)
    under = parts_of([q, 0.05, 0.05], [p, 0.2, 0.2])
    assert under[Part.UNDER] > 0 and under[Part.OVER] == under[Part.WRONG] == 0
    others = parts_of([0.6, 0.3, 0.1], [0.6, 0.1, 0.3])
    assert others[Part.OTHERS] == pytest.approx(0.3 * np.log(3) - 0.1 * np.log(3))
    assert others[Part.OVER] == pytest.approx(0) and others[Part.UNDER] == pytest.approx(0)
    assert parts_of([0.6, 0.4], [0.4, 0.6])[Part.WRONG] == pytest.approx(0.2 * np.log(1.5))


def test_the_truth_has_no_error_and_certainty_no_infinity() -> None:
    assert np.abs(error_parts(BCP, np.log(BCP))).max() < 1e-12
    certain = parts_of([1, 0, 0], [1, 0, 0])
    assert max(certain.values()) == 0
    sure = parts_of([1 - 1e-9, 1e-9, 0], [1 - 1e-12, 5e-13, 5e-13])
    assert 0 < sure[Part.OVER] < 1e-7
    tie = parts_of([0.5, 0.5, 0], [0.3, 0.6, 0.1])  # either of two equal classes is right
    assert tie[Part.WRONG] == 0 and tie[Part.OVER] > 0


def test_one_temperature_mends_confidence_alone() -> None:
    labels = (RNG.random((500, 1)) > BCP.cumsum(1)).sum(1)
    outputs = torch.tensor(LOGITS)[None]
    best = temperature.best_temperature(outputs, torch.tensor(labels))
    assert np.exp(tempered(LOGITS, 1.7)) == pytest.approx(torch.softmax(outputs[0] / 1.7, -1).numpy())
    before, after = error_parts(BCP, LOGITS), error_parts(BCP, tempered(LOGITS, best))
    assert ((before[:, 0] > 0) == (after[:, 0] > 0)).all()


def test_shapes_are_checked() -> None:
    with pytest.raises(InputError, match=r"\(n, classes\)"):
        divergence(BCP, LOGITS[:, :3])
