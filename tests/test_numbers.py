"""Numbers that mean nothing are refused before they reach a table, or said: weights, subsets, searches, ratios."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small
import torch
from torch import Tensor

from kdlib import teachers
from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.base.tensors import write_tensors
from kdlib.experiments.measure import MeasureConfig
from kdlib.experiments.synthetic.config import MEMORY, SyntheticConfig, memory
from kdlib.experiments.synthetic.problem import dirichlet
from kdlib.report import cost
from kdlib.report.choice import effect
from kdlib.report.draw.curves import training
from kdlib.report.inference import mean_interval, paired_relative
from kdlib.runs.execute import check, execute
from kdlib.runs.recipes import resolve
from kdlib.teachers.laplace import prior

NORM = "blocks.0.1.running_var"
HARMS: dict[str, tuple[str, Any, str]] = {
    "nan": ("head.weight", math.nan, "head.weight holds NaN or an infinity"),
    "infinity": ("blocks.0.0.weight", -math.inf, "blocks.0.0.weight holds NaN or an infinity"),
    "no variation": ("std", 0.0, "std holds the standard deviation 0, allowed is what is above 0"),
    "negative deviation": ("std", -0.3, "std holds the standard deviation -0.3"),
    "negative variance": (NORM, -1.0, f"{NORM} holds -1, allowed is 0 or above"),
}


def harmed(harm: str) -> tuple[dict[str, Tensor], str]:
    """Return the weights of a network in which one number means nothing, and what is said of it."""
    key, value, says = HARMS[harm]
    tensors = {name: tensor.clone() for name, tensor in small.network().state_dict().items()}
    tensors[key].flatten()[0] = value
    return tensors, says


def refusal(config: Any) -> str:
    """Return the one sentence by which a config is refused, before it is run and when it is."""
    with pytest.raises(InputError) as before:
        check([config])
    with pytest.raises(InputError) as told:
        execute(config)
    assert str(before.value) == str(told.value) and "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("harm", HARMS)
def test_weights_of_a_file(store: Path, tmp_path: Path, harm: str) -> None:
    tensors, says = harmed(harm)
    path = tmp_path / "net.safetensors"
    write_tensors(path, tensors)
    said = refusal(small.student(teacher=f"weights:{path}", teacher_architecture="cnn4"))
    assert said.startswith(f"The weights of {path} are refused: {says}")
    given = {"dataset": "digits:tiny", "parent": f"weights:{path}", "architecture": "cnn4", "threads": 1}
    measured = resolve(RunType.MEASURE, given)
    assert isinstance(measured, MeasureConfig)
    assert says in refusal(measured)
    assert not store.exists() or not list(store.iterdir())


@pytest.mark.parametrize(
    ("key", "dtype", "says"),
    [
        ("head.weight", torch.float16, "head.weight is of type float16, allowed is float32"),
        ("head.bias", torch.int64, "head.bias is of type int64, allowed is float32"),
        ("std", torch.float64, "std is of type float64, allowed is float32"),
    ],
)
def test_weights_of_another_type(store: Path, tmp_path: Path, key: str, dtype: torch.dtype, says: str) -> None:
    tensors = dict(small.network().state_dict())
    write_tensors(tmp_path / "net.safetensors", {**tensors, key: tensors[key].to(dtype)})
    assert says in refusal(small.student(teacher=f"weights:{tmp_path}/net.safetensors", teacher_architecture="cnn4"))
    run = execute(small.teacher())
    write_tensors(run.path / "weights.safetensors", {**tensors, key: tensors[key].to(dtype)})
    assert f"{run.name} are refused: {says}" in refusal(small.student(teacher=run.name))


@pytest.mark.parametrize("harm", HARMS)
def test_weights_of_a_run(store: Path, harm: str) -> None:
    teacher = execute(small.teacher())
    through = execute(small.teacher(kind="temperature_scaled"))
    tensors, says = harmed(harm)
    write_tensors(teacher.path / "weights.safetensors", tensors)
    for config in (
        small.student(teacher=teacher.name),
        small.teacher(kind="mcmi", parent=teacher.name),
        small.teacher(kind="laplace"),
        small.student(teacher=through.name),
    ):
        assert refusal(config).startswith(f"The weights of {teacher.name} are refused: {says}")
    with pytest.raises(InputError, match="are refused"):
        teachers.load(teacher)
    assert {path.name for path in store.glob("[!.]*")} == {teacher.name, through.name}


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -2.0])
def test_a_kept_temperature_that_is_none(store: Path, value: float) -> None:
    run = execute(small.teacher(kind="temperature_scaled"))
    write_tensors(run.path / "weights.safetensors", {"temperature": torch.tensor(value, dtype=torch.float64)})
    with pytest.raises(InputError, match=f"{run.name} is refused: allowed is a finite one above 0"):
        teachers.load(run)


def test_a_subset_of_one_image(store: Path) -> None:
    alone = {"fraction": 0.001, "omit_classes": "0+1+2+3+4+5+6+7+8"}
    for config in (small.student(**alone), small.teacher(**alone)):
        said = refusal(config)
        for name in ("fraction = 0.001", "omit_classes = '0+1+2+3+4+5+6+7+8'", "batch_size is 128", "2 or more"):
            assert name in said
    assert not store.exists() or not list(store.iterdir())
    two = small.student(fraction=0.001, omit_classes="0+1+2+3+4+5+6+7", epochs=1)
    assert math.isfinite(execute(two).metrics["test_nll"])  # two images have a variance


@pytest.mark.parametrize(
    ("best", "at_limit"), [(1e-2, True), (1e-1, False), (1.0, False), (1e2, True)], ids=["first", "2nd", "3rd", "last"]
)
def test_a_grid_says_whether_its_best_point_is_an_end(best: float, at_limit: bool) -> None:
    found, ends = prior.gridsearch(lambda precision: abs(math.log(precision / best)), 1e-2, 1e2, 5)
    assert found == pytest.approx(best) and ends is at_limit


def test_infinite_losses_are_no_minimum() -> None:
    found, ends = prior.gridsearch(lambda precision: math.inf if precision < 0.5 else precision, 1e-2, 1e2, 5)
    assert found == pytest.approx(1.0) and ends  # lower ones have no answer, so it is not between two worse ones


def test_provenance_says_where_a_search_ended(store: Path) -> None:
    run = execute(small.teacher(kind="laplace", prior_precision="gridsearch"))
    precision = run.provenance["prior_precision"]
    assert run.provenance["prior_precision_at_limit"] is (precision in (pytest.approx(1e-4), pytest.approx(1e4)))
    assert execute(small.teacher(kind="laplace")).provenance["prior_precision_at_limit"] is False
    scaled = execute(small.teacher(kind="temperature_scaled", epochs=1, learning_rate=1e-30))
    fitted = scaled.provenance["fitted_temperature"]
    assert scaled.provenance["temperature_at_limit"] is (fitted < 0.0501 or fitted > 19.9)


def test_ratios_to_zero_are_left_out() -> None:
    rows = pd.DataFrame({
        "seed": [0, 1, 2, 0, 1, 2], "group": ["a"] * 3 + ["b"] * 3, "noise": [0.0, 1.0, 2.0, 1.0, 2.0, 0.0]
    })  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = effect(rows, "a", "b", "noise", by="group", relative=True)
        assert found is not None and found.n == 1 and found.mean == pytest.approx(-0.5)
        assert effect(rows[rows["seed"] != 1], "a", "b", "noise", by="group", relative=True) is None
        named = rows.assign(architecture="cnn4", group=rows["group"].replace("b", cost.BASELINE))
        named = named.assign(teacher_label=named["group"], **dict.fromkeys(cost.TIMES.values(), rows["noise"]))
        for name in cost.TIMES:
            assert cost.multiples(named).set_index("seed")[name].dropna().to_dict() == {1: -1.0}
            assert cost.dearest(named, name) == "a, 0.5 times what deterministic takes (n = 1)"
            assert cost.dearest(named[named["seed"] == 0], name) == ""


def test_ratios_beyond_all_numbers_are_infinite() -> None:
    """exp of a wide interval's end overflows: the change is then unbounded, and one to nothing is −100 %."""
    wide = paired_relative([1e-300, 1.0], [1.0, 1e-300])
    assert (wide.mean, wide.low, wide.high) == (0.0, -1.0, math.inf)
    assert paired_relative([1e-300, 1e-300], [1.0, 1.0]).in_units(0.1).p_equals(1) == 0
    by_units = wide.in_units(-0.1)  # a fall by all of it is infinitely many falls by a tenth
    assert (by_units.mean, by_units.low, by_units.high) == (0.0, -math.inf, math.inf)


def test_an_infinite_validation_is_a_gap_in_the_curve() -> None:
    curve = pd.DataFrame({
        "run": "a", "kind": "one_hot", "seed": 0, "step": [1, 2, 3], "epoch": [1.0, 2.0, 3.0],
        "train_loss": [1.0, 0.9, 0.8], "val_nll": [1.0, math.inf, 0.5], "val_accuracy": [0.5, 0.6, 0.7],
    })  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        middle = training(curve, "kind").axes[1]
    line = max(middle.get_lines(), key=lambda one: len(np.asarray(one.get_xdata())))
    assert list(np.asarray(line.get_xdata())) == [1.0, 3.0] and np.isfinite(middle.get_ylim()).all()


def test_noise_too_strong_for_numbers_is_its_limit() -> None:
    """As c falls to 0 Dirichlet(c p) goes to one-hot vectors drawn from p."""
    bcp = np.tile([0.7, 0.3, 0.0], (20_000, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = dirichlet(bcp, 1e-5, 0)
    assert np.allclose(drawn.sum(1), 1) and (drawn.max(1) > 0.999).mean() > 0.99
    assert drawn.mean(0) == pytest.approx([0.7, 0.3, 0.0], abs=0.015)


def test_memory_grows_as_the_points_and_is_little_by_default() -> None:
    plain = resolve("synthetic", {})
    assert isinstance(plain, SyntheticConfig)
    assert sum(memory(plain, 10, 4).values()) < MEMORY / 8
    vast = plain.model_copy(update={"points": 10_000_000, "dimensions": 10_000})
    one = memory(vast, 1, 1)["points", "dimensions", "classes"]
    assert one > 745 * 2**30
    assert memory(vast, 3, 1)["points", "dimensions", "classes"] > 2 * one * 0.9


def test_equal_numbers_have_no_spread_whatever_they_are() -> None:
    """A mean of three 0.1 is not 0.1 in floating point, and so their standard deviation not 0."""
    assert np.full(3, 0.1).std(ddof=1) > 0
    found = mean_interval(np.full(3, 0.1))
    assert (found.mean, found.low, found.high, found.sd, found.p_equals(0.1)) == (0.1, 0.1, 0.1, 0.0, 1.0)
