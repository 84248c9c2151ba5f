"""Steps, passes, learning rates: pure functions of the config."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import small
import torch
from torch import Tensor, nn

from kdlib.base.errors import InputError
from kdlib.runs.plans import plan
from kdlib.training.config import check as check_training
from kdlib.training.schedule import SGD, Adam, learning_rate, optimizer_of, plan_steps, steps_of


@pytest.mark.parametrize(
    ("n", "batch", "steps"), [(10, 5, 2), (11, 5, 2), (12, 5, 3), (5, 5, 1), (4, 5, 1), (1, 5, 1), (6, 5, 1)]
)
def test_a_last_batch_of_one_is_left_out(n: int, batch: int, steps: int) -> None:
    assert steps_of(n, batch) == steps


def test_all_the_data_is_a_pass_an_epoch() -> None:
    steps = plan_steps(small.teacher(batch_size=64, epochs=3), small.DATASET)
    assert (steps.per_pass, steps.per_epoch, steps.total) == (4, 4, 12)  # 200 images
    assert torch.equal(steps.rows, torch.arange(200))


@pytest.mark.parametrize(("match", "per_epoch"), [("steps", 10), ("epochs", 3)])
def test_match_keeps_steps_or_epochs(match: str, per_epoch: int) -> None:
    config = small.teacher(batch_size=20, epochs=6, fraction=0.25, match=match)
    steps = plan_steps(config, small.DATASET)
    assert (steps.per_pass, steps.per_epoch, steps.total) == (3, per_epoch, 6 * per_epoch)
    share = {int(c): int(n) for c, n in zip(*small.DATASET.train.labels.unique(return_counts=True), strict=True)}
    kept = small.DATASET.train.labels[steps.rows].bincount().tolist()
    assert kept == [math.floor(share[c] * 0.25 + 0.5) for c in range(10)]


def test_omitted_classes_are_never_seen() -> None:
    steps = plan_steps(small.teacher(omit_classes="3+5"), small.DATASET)
    assert set(small.DATASET.train.labels[steps.rows].tolist()) == {0, 1, 2, 4, 6, 7, 8, 9}


def test_a_pass_is_a_permutation_fixed_by_seed_and_number() -> None:
    steps = plan_steps(small.teacher(fraction=0.5), small.DATASET)
    torch.manual_seed(1)
    first = steps.order(0)
    torch.manual_seed(2)
    assert torch.equal(steps.order(0), first)
    assert torch.equal(first.sort().values, steps.rows)
    assert not torch.equal(steps.order(1), first)
    assert not torch.equal(plan_steps(small.teacher(fraction=0.5, seed=1), small.DATASET).order(0), first)


def test_the_papers_rates() -> None:
    mcmi = small.student(**small.USUAL, preset="mcmi")
    rates = [learning_rate(mcmi, epoch) for epoch in (0, 149.99, 150, 179.99, 180, 210, 239.9)]
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005, 0.00005, 0.00005])
    bayesian = small.student(**small.USUAL, preset="bayesian_kd")
    assert [learning_rate(bayesian, e) for e in (99.99, 100, 199)] == pytest.approx([1e-3, 1e-4, 1e-4])


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 30, 240])
def test_marks_of_a_preset_lie_within_any_length(epochs: int) -> None:
    """At 150, 180 and 210 of 240 epochs; of fewer in proportion, as far as whole epochs allow."""
    config = small.student(**{**small.USUAL, "epochs": epochs}, preset="mcmi")
    marks = [int(mark) for mark in str(config.lr_decay_epochs).split("+") if mark]
    assert all(0 < mark < epochs for mark in marks)
    assert epochs == 1 or learning_rate(config, epochs - 0.01) <= 0.005 + 1e-12
    if epochs == 30:
        assert marks == [19, 22, 26]
    check_training(config)


def test_a_mark_or_a_warm_up_that_never_ends_is_refused() -> None:
    steps = {"schedule": "steps", "epochs": 30}
    for given, said in (
        ({"lr_decay_epochs": "10+100"}, "lr_decay_epochs = '10.100' is refused: epochs is 30"),
        ({"warmup_epochs": 30}, "warmup_epochs = 30 is refused: epochs is 30"),
    ):
        with pytest.raises(InputError, match=said):
            check_training(small.teacher(**steps, **given))
    with pytest.raises(InputError, match="ml_epochs = 5 is refused: epochs is 3"):
        plan(small.teacher(kind="variational", ml_epochs=5))


@pytest.mark.parametrize("schedule", ["cosine", "constant", "steps"])
def test_a_warm_up_rises_linearly_and_leaves_the_schedule_after_it(schedule: str) -> None:
    given = {"schedule": schedule, "learning_rate": 0.2, "lr_decay_epochs": "6", "lr_decay_rate": 0.1}
    warm, plain = (small.teacher(**given, epochs=e, warmup_epochs=w) for e, w in ((10, 2), (10, 0)))
    assert [learning_rate(warm, e) for e in (0, 0.5, 1.5, 2)] == pytest.approx([0, 0.05, 0.15, 0.2])
    rest = small.teacher(**given, epochs=8)
    for done in (2, 3.3, 7, 9.9):
        expected = learning_rate(rest, done - 2) if schedule == "cosine" else learning_rate(plain, done)
        assert learning_rate(warm, done) == pytest.approx(expected)


def test_cosine_and_constant() -> None:
    cosine = small.teacher(schedule="cosine", learning_rate=0.2, epochs=8)
    assert learning_rate(cosine, 0) == 0.2
    assert learning_rate(cosine, 2) == pytest.approx(0.1 * (1 + math.sqrt(0.5)))
    assert learning_rate(cosine, 4) == pytest.approx(0.1)
    assert learning_rate(cosine, 8) == pytest.approx(0)
    assert learning_rate(small.teacher(schedule="constant", learning_rate=0.2), 2.9) == 0.2


def test_optimizers_are_those_asked_for() -> None:
    parameters = nn.Linear(3, 2).parameters()
    adam = optimizer_of(small.teacher(optimizer="adam", weight_decay=0.1), parameters)
    assert isinstance(adam, torch.optim.Adam)
    assert (adam.defaults["betas"], adam.defaults["weight_decay"]) == ((0.9, 0.999), 0.1)
    sgd = optimizer_of(small.teacher(optimizer="sgd", momentum=0.7), nn.Linear(3, 2).parameters())
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.7, False)


@pytest.mark.parametrize(
    ("own", "theirs", "options"), [(SGD, torch.optim.SGD, {"momentum": 0.9}), (Adam, torch.optim.Adam, {})]
)
def test_steps_are_those_of_pytorch_to_the_bit(own: Any, theirs: Any, options: dict[str, float]) -> None:
    def walk(kind: Any) -> list[Tensor]:
        """Return the parameters after each of six steps, between which the state is put away and taken up again."""
        torch.manual_seed(0)
        layer, seen = nn.Linear(5, 3), []
        optimizer = kind(layer.parameters(), lr=0.1, weight_decay=0.01, fused=True, **options)
        for step in range(6):
            optimizer.zero_grad()
            layer(torch.randn(4, 5)).square().sum().backward()
            optimizer.step()
            seen.append(layer.weight.detach().clone())
            if step == 2:
                kept = optimizer.state_dict()
                optimizer = kind(layer.parameters(), lr=0.1, weight_decay=0.01, fused=True, **options)
                optimizer.load_state_dict(kept)
        return seen

    first, *_, last = walk(own)
    assert all(torch.equal(a, b) for a, b in zip(walk(own), walk(theirs), strict=True))
    assert not torch.equal(first, last)


def test_steps_do_not_import_the_compiler() -> None:
    code = (
        "import sys, torch; from kdlib.training.schedule import SGD, Adam\n"
        "for kind in (SGD, Adam):\n"
        "    layer = torch.nn.Linear(2, 1); optimizer = kind(layer.parameters(), lr=0.1, fused=True)\n"
        "    optimizer.zero_grad(); layer(torch.ones(1, 2)).sum().backward(); optimizer.step()\n"
        "    optimizer.load_state_dict(optimizer.state_dict())\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_frozen_parameters_are_left_alone() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    optimizer = optimizer_of(small.teacher(), layer.parameters())
    assert [p.shape for p in optimizer.param_groups[0]["params"]] == [layer.weight.shape]
