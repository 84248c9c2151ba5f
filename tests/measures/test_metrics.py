"""Metrics against cases computed by hand, identities, and independent libraries."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.measures import calibration, metrics
from kdlib.measures.calibration import Binning
from kdlib.measures.confusion import count


def draw(n: int = 500, classes: int = 10, scale: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-probabilities, labels drawn from sharper ones, and those sharper ones as BCPs."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    bcp = torch.softmax(1.3 * logits + torch.randn(n, classes, generator=generator), dim=1)
    labels = torch.multinomial(bcp, 1, generator=generator)[:, 0]
    return torch.log_softmax(logits, dim=1), labels, bcp


def test_hand_case() -> None:
    p = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 2, 2])
    bcp = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.25, 0.5], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])
    got = metrics.measure(p.log(), labels, bcp)
    assert "top5" not in got
    assert got["accuracy"] == 0.5
    assert got["nll"] == math.inf  # the last label has probability zero
    brier = (0.5 + (0.75**2 + 0.5**2 + 0.25**2) + (0.1**2 + 0.2**2 + 0.3**2) + 2) / 4
    assert got["brier"] == pytest.approx(brier, abs=1e-14)
    h = [
        math.log(2),
        1.5 * math.log(2),
        -0.1 * math.log(0.1) - 0.2 * math.log(0.2) - 0.7 * math.log(0.7),
        0.0,
    ]
    assert got["entropy"] == pytest.approx(sum(h) / 4, abs=1e-14)
    kl = (math.log(2) + 0.25 * math.log(0.5) + 0.5 * math.log(2)) / 4
    assert got["kl_to_bcp"] == pytest.approx(kl, abs=1e-7)
    assert got["tv_to_bcp"] == pytest.approx((0.5 + 0.25) / 4, abs=1e-7)
    assert got["mse_to_bcp"] == pytest.approx((0.5 + 0.125) / 4, abs=1e-7)
    # Four confidences in four bins of fifteen: 0.5 twice (one hit), 0.7 (hit), 1 (miss).
    assert got["ece"] == pytest.approx((2 * 0.0 + 0.3 + 1.0) / 4, abs=1e-12)
    assert got["adaptive_ece"] == pytest.approx((2 * 0.0 + 0.3 + 1.0) / 4, abs=1e-12)


def test_accuracy_nll_and_brier_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
    from torchmetrics.functional.classification import multiclass_accuracy

    log_p, labels, _ = draw()
    p, y = log_p.exp().numpy(), labels.numpy()
    got = metrics.measure(log_p, labels)
    assert got["accuracy"] == accuracy_score(y, p.argmax(1))
    assert got["top5"] == top_k_accuracy_score(y, p, k=5, labels=range(10))
    reference = multiclass_accuracy(log_p.exp(), labels, num_classes=10, average="micro", top_k=5)
    assert got["top5"] == pytest.approx(float(reference), abs=1e-7)
    assert got["nll"] == pytest.approx(log_loss(y, p, labels=range(10)), abs=1e-12)
    by_hand = sum(((row - np.eye(10)[label]) ** 2).sum() for row, label in zip(p, y, strict=True)) / len(y)
    assert got["brier"] == pytest.approx(by_hand, abs=1e-12)


def test_brier_of_two_classes_is_twice_that_of_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss

    log_p, labels, _ = draw(classes=2)
    twice = 2 * brier_score_loss(labels.numpy(), log_p.exp().numpy()[:, 1])
    assert metrics.measure(log_p, labels)["brier"] == pytest.approx(twice, abs=1e-12)


def test_ece_is_that_of_torchmetrics() -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    for seed in range(5):
        log_p, labels, _ = draw(n=1000, seed=seed)
        reference = multiclass_calibration_error(log_p.exp(), labels, num_classes=10, n_bins=15)
        assert metrics.measure(log_p, labels)["ece"] == pytest.approx(float(reference), abs=1e-6)


def test_a_confidence_of_one_belongs_to_the_last_of_fifteen_bins() -> None:
    # In one bin the sure answer (right) and the almost sure one (wrong) offset each other.
    assert calibration.calibration_error([1.0, 0.95], [1, 0]) == pytest.approx(0.975 - 0.5)


def test_bins_of_equal_mass() -> None:
    confidence, correct = np.linspace(0.2, 0.9, 30), np.arange(30) % 2
    by_hand = np.abs(0.5 - confidence.reshape(15, 2).mean(1)).mean()  # two images a bin, one of them right
    assert calibration.calibration_error(confidence, correct, binning=Binning.MASS) == pytest.approx(by_hand, abs=1e-15)
    shuffled = np.random.default_rng(0).permutation(30)
    tied = np.round(confidence, 1)
    one, other = (
        calibration.calibration_error(tied[rows], correct[rows], binning=Binning.MASS)
        for rows in (np.arange(30), shuffled)
    )
    assert one == pytest.approx(other, abs=1e-15)
    assert calibration.calibration_error(np.ones(8), [1, 0] * 4, binning=Binning.MASS) == 0.5, "all share one bin"


def test_cmi_is_the_mean_kl_to_the_class_mean() -> None:
    from scipy.stats import entropy

    log_p, labels, _ = draw(n=300, classes=4)
    p, y = log_p.exp().numpy(), labels.numpy()
    kl = np.array([entropy(row, p[y == label].mean(0)) for row, label in zip(p, y, strict=True)])
    assert metrics.measure(log_p, labels)["cmi"] == pytest.approx(kl.mean(), abs=1e-12)
    for c in range(4):
        assert metrics.measure(log_p[y == c], labels[y == c])["cmi"] == pytest.approx(kl[y == c].mean(), abs=1e-12)


def test_cmi_at_its_ends() -> None:
    same = torch.log(torch.tensor([[0.2, 0.3, 0.5]]).expand(6, 3))
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    assert metrics.measure(same, labels)["cmi"] == pytest.approx(0, abs=1e-12)
    # Half of each class goes to one certain answer, half to another: log 2 nats.
    split = torch.log(torch.eye(3)[[0, 1, 0, 1, 2, 1]][[0, 1, 0, 1, 4, 5]])
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    assert metrics.measure(split, labels)["cmi"] == pytest.approx(math.log(2), abs=1e-12)


def test_distance_to_the_bcp() -> None:
    from torchmetrics.functional import kl_divergence

    log_p, labels, bcp = draw()
    got = metrics.measure(log_p, labels, bcp)
    assert got["kl_to_bcp"] == pytest.approx(float(kl_divergence(bcp, log_p.exp())), abs=1e-10)
    # Expected scores under the BCPs split into the distance and what no network can lose.
    expected_nll = -(bcp * log_p).sum(1).mean()
    floor = torch.special.entr(bcp).sum(1).mean()
    assert got["kl_to_bcp"] == pytest.approx(float(expected_nll - floor), abs=1e-10)
    p, eye = log_p.exp(), torch.eye(10, dtype=torch.float64)
    per_label = (p[:, None] - eye).square().sum(2)
    expected_brier = (bcp * per_label).sum(1).mean()
    assert got["mse_to_bcp"] == pytest.approx(float(expected_brier - 1 + bcp.square().sum(1).mean()), abs=1e-10)
    itself = metrics.measure(bcp.log(), labels, bcp)
    for name in ("kl_to_bcp", "tv_to_bcp", "mse_to_bcp"):
        assert itself[name] == pytest.approx(0, abs=1e-12)


def test_fidelity() -> None:
    teacher = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    student = torch.log(torch.tensor([[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]]))
    got = metrics.fidelity(student, teacher)
    assert got["agreement"] == 0.5
    assert got["kl_to_teacher"] == pytest.approx((0.5 * math.log(2) - 0.25 * math.log(2)) / 2, abs=1e-7)
    backwards = metrics.fidelity(teacher, torch.log(torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.1, 0.8]])))
    forwards = metrics.fidelity(torch.log(torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.1, 0.8]])), teacher)
    assert backwards["kl_to_teacher"] != pytest.approx(forwards["kl_to_teacher"], abs=1e-3)


def test_log_probabilities_kept_in_float16_are_normalised_again() -> None:
    log_p, labels, bcp = draw(n=2000, classes=100)
    exact, kept = (metrics.measure(values, labels, bcp) for values in (log_p, log_p.half()))
    for name, value in exact.items():
        assert kept[name] == pytest.approx(value, abs=2e-3), name
    unnormalised = metrics.measure(log_p + 3.0, labels, bcp)
    assert unnormalised["nll"] == pytest.approx(exact["nll"], abs=1e-12)


def test_ten_thousand_images_of_a_hundred_classes_are_fast() -> None:
    log_p, labels, bcp = draw(n=10_000, classes=100)
    log_p = log_p.float()
    metrics.measure(log_p, labels, bcp)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        metrics.measure(log_p, labels, bcp)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5  # about 0.05 s on an idle core; the margin is for a busy machine


@pytest.mark.parametrize(
    ("log_probs", "labels", "bcp", "word"),
    [
        (torch.zeros(3), torch.zeros(3), None, "log_probs"),
        (torch.zeros(0, 3), torch.zeros(0), None, "log_probs"),
        (torch.zeros(2, 3), torch.zeros(3), None, "labels"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), None, "labels"),
        (torch.full((2, 3), math.nan), torch.zeros(2), None, "NaN"),
        (torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 4), "bcp"),
    ],
)
def test_refused(log_probs: Tensor, labels: Tensor, bcp: Tensor | None, word: str) -> None:
    with pytest.raises(InputError, match=word):
        metrics.measure(log_probs, labels, bcp)


def test_omitted_and_kept_classes_share_the_accuracy() -> None:
    log_p, labels, _ = draw()
    omitted = (3, 5)
    got = metrics.omission(log_p, labels, omitted)
    share = float(torch.isin(labels, torch.tensor(omitted)).double().mean())
    both = share * got["omitted_accuracy"] + (1 - share) * got["kept_accuracy"]
    assert both == pytest.approx(metrics.measure(log_p, labels)["accuracy"], abs=1e-12)
    never = log_p.clone()
    never[:, list(omitted)] = -1e9
    assert metrics.omission(never, labels, omitted)["omitted_accuracy"] == 0
    assert metrics.omission(log_p, labels, range(10)).keys() == {"omitted_accuracy"}


def test_confusion_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix

    log_p, labels, _ = draw()
    expected = confusion_matrix(labels.numpy(), log_p.argmax(1).numpy(), labels=range(10))
    assert (count(log_p, labels) == expected).all()
