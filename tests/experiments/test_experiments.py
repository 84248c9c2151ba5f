"""Every experiment on real images: the smallest run of each goes from CIFAR to finished metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdlib.base.config import RunType
from kdlib.runs.execute import execute
from kdlib.runs.recipes import resolve

SMALL: dict[str, Any] = {
    "architecture": "cnn4", "epochs": 1, "fraction": 0.004, "match": "epochs", "batch_size": 32, "threads": 1,
    "image_size": 16,
}  # fmt: skip
STUDENT, TEACHER, EIGENCAM = RunType.STUDENT, RunType.TEACHER, RunType.EIGENCAM


@pytest.fixture
def cifar(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a store of its own beside the real images."""
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / "runs"))
    return data_root


def made(run_type: RunType, root: Path, **given: Any) -> dict[str, float]:
    """Make a run and return its metrics."""
    return execute(resolve(run_type, {"data_root": str(root), **given})).metrics


def test_students_of_every_experiment(cifar: Path) -> None:
    teachers = {
        kind: execute(resolve(TEACHER, {**SMALL, "data_root": str(cifar), "dataset": "cifar10", "kind": kind})).name
        for kind in ("deterministic", "variational")
    }
    parent = {"parent": teachers["deterministic"], "cmi_weight": 0.2}
    fine = {**SMALL, "data_root": str(cifar), "dataset": "cifar10", "kind": "mcmi", **parent}
    teachers["mcmi"] = execute(resolve(TEACHER, {**fine, "architecture": None})).name
    experiments: dict[str, dict[str, Any]] = {
        "samples": {"teacher": teachers["variational"], "samples": 2},
        "fewshot": {"teacher": teachers["mcmi"], "fraction": 0.002},
        "zeroshot": {"teacher": teachers["deterministic"], "omit_classes": "cat+3+5", "temperature": 4.0},
        "frameworks": {"teacher": teachers["mcmi"], "framework": "at"},
        "tempered": {"teacher": teachers["mcmi"], "temperature": 6.0, "student_temperature": 6.0},
        "people": {"teacher": "exact_bcp", "dataset": "cifar10h"},
        "of a cifar10 teacher": {"teacher": teachers["deterministic"], "dataset": "cifar10h"},
    }
    for name, given in experiments.items():
        metrics = made(STUDENT, cifar, **{**SMALL, "dataset": "cifar10", **given})
        assert 0 <= metrics["test_accuracy"] <= 1, name
        assert ("test_omitted_accuracy" in metrics) == (name == "zeroshot")
        assert "test_kl_to_bcp" in metrics  # the answers of people
    for kind in ("mcmi", "variational"):
        metrics = made(EIGENCAM, cifar, dataset="cifar10", image_size=16, parent=teachers[kind], images=10)
        assert 0 < metrics["cam_area"] <= 1
        assert "cam_overlap" not in metrics  # nobody knows which pixels carry the class
