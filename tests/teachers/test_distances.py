"""The distance of tempered answers to the exact Bayes class probabilities, against closed forms and the metrics."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import small
import torch
from torch import Tensor

from kdlib import teachers
from kdlib.data.digits.mixture import bcp
from kdlib.runs.execute import execute
from kdlib.teachers.contract import Teacher
from kdlib.teachers.evaluation import TEMPERATURES, distances


class Knowing(Teacher):
    """Answer with the exact Bayes class probabilities to the power of `sharpness`, renormalised."""

    sharpness = 1.0

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        return self.sharpness * bcp(x).clamp_min(1e-30).log()[None]


@pytest.mark.parametrize("sharpness", TEMPERATURES)
def test_the_truth_sharpened_is_mended_by_its_temperature_alone(sharpness: int) -> None:
    teacher = Knowing(small.network(), small.settings(), "knowing")
    teacher.sharpness = float(sharpness)
    found = distances(teacher, small.DATASET, 1, 0)
    for part in ("train", "test"):
        values = {t: found[f"{part}_kl_to_bcp_t{t}"] for t in TEMPERATURES}
        assert values[sharpness] == pytest.approx(0, abs=1e-6)
        assert all(value > 1e-3 for t, value in values.items() if t != sharpness)


def test_a_hot_teacher_is_as_far_as_one_that_knows_nothing() -> None:
    """As T grows the answers become uniform: KL(p ‖ 1/c) = ln c − H(p)."""
    found = distances(small.untrained_teacher(), small.DATASET, 1, 0)
    split = small.DATASET.test
    assert split.bcp is not None
    uniform = math.log(10) - float(torch.special.entr(split.bcp.double()).sum(1).mean())
    gaps = [abs(found[f"test_kl_to_bcp_t{t}"] - uniform) for t in TEMPERATURES]
    assert gaps[-1] < 0.2 * gaps[0]


@pytest.mark.parametrize("kind", ["deterministic", "laplace", "variational"])
def test_at_one_it_is_the_teacher_s_own_metric(store: Path, kind: str) -> None:
    run = execute(small.teacher(kind=kind, kl_weight=0.1))
    assert run.metrics["test_kl_to_bcp_t1"] == pytest.approx(run.metrics["test_kl_to_bcp"], rel=1e-5)
    again = distances(teachers.load(run), small.DATASET, run.provenance["eval_samples"], 0)
    assert again == {name: run.metrics[name] for name in again}
