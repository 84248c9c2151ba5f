"""The prepared command for a GPU: its budget, the runs that it chooses, and how it stops them."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch

from kdlib.base import paths
from kdlib.runs import studies
from kdlib.runs.plans import plan

STUDY = """
title: Tiny
about: A pair of networks.
parameters: {dataset: "digits:tiny", threads: 1, device: cpu, epochs: 1, kd_weight: 0.9, temperature: 4, seed: [0, 1]}
teachers:
  deterministic: {architecture: cnn8}
  other: {architecture: cnn16}
  mcmi: {kind: mcmi, parent: deterministic}
  smoothed: {kind: label_smoothing, architecture: cnn8}
students:
  floor: {teacher: one_hot, architecture: [cnn4, cnn8]}
  pair: {teacher: [deterministic, mcmi, smoothed], architecture: cnn4}
  apart: {teacher: other, architecture: cnn4}
  tempered: {teacher: [deterministic], architecture: cnn4, temperature: [1, 4]}
  few: {teacher: [deterministic, mcmi], architecture: cnn4, fraction: [0.05, 0.5]}
"""


def loaded(name: str) -> ModuleType:
    """Return a script of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location(name, paths.ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gpu, speed = loaded("gpu"), loaded("gpu_speed")


@pytest.mark.parametrize("seconds", [100.0, 550.0, 700.0, 7000.0])
def test_the_budget_is_spent_once(seconds: float) -> None:
    spans = gpu.budget(seconds)
    assert list(spans) == ["tests", "speed", "runs", "pack"]
    assert sum(spans.values()) == pytest.approx(seconds)
    assert min(spans.values()) > 0
    if seconds > 1000:  # the others have had enough
        assert spans["runs"] > 0.9 * seconds


def test_runs_come_seed_by_seed_after_their_parents(tmp_path: Path, store: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    planned = gpu.chosen(studies.load(str(tmp_path / "tiny.yaml")), "cnn8", "cnn4")
    configs = [(p.record["role"], p.config) for p in planned]
    found = [(c.seed, role, c.fraction, c.architecture) for role, c in configs]
    one = [("deterministic", 1.0, "cnn8"), ("from-deterministic", 0.05, "cnn4"), ("mcmi", 1.0, "cnn8"),
           ("from-mcmi", 0.05, "cnn4"), ("from-deterministic", 1.0, "cnn4"), ("from-mcmi", 1.0, "cnn4"),
           ("one_hot", 1.0, "cnn4")]  # fmt: skip
    assert found == [(seed, *rest) for seed in (0, 1) for rest in one]


def test_the_papers_pair_is_in_the_study() -> None:
    planned = gpu.chosen(studies.load("cifar100-paper-mcmi"), "resnet56", "resnet20")
    first = [p for p in planned if p.config.seed == 0]
    assert [p.config.architecture for p in first] == ["resnet56", "resnet20", "resnet56", *["resnet20"] * 5]
    assert [p.config.fraction for p in first if p.config.architecture == "resnet20"] == [0.05, 0.05, 1, 1, 0.05, 1]
    assert len(planned) == 8 * len({p.config.seed for p in planned})


def test_runs_are_made_side_by_side_and_stopped_with_a_checkpoint(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDLIB_SAVE_EVERY", "0")
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT))
    (tmp_path / "tiny.yaml").write_text(STUDY.replace("epochs: 1,", "epochs: 100000,"))
    study = studies.load(str(tmp_path / "tiny.yaml"))
    long, quick = study.teacher("deterministic", 0), study.teacher("deterministic", 1)
    planned = [plan(long), plan(quick.model_copy(update={"epochs": 1}))]
    until = time.monotonic() + 120

    def stop() -> bool:
        done = planned[1].run.finished and any(planned[0].run.checkpoints.glob("step-*"))
        return done or time.monotonic() > until

    assert gpu.carry_out(planned, 2, stop, False, tmp_path) == {}
    assert planned[1].run.finished and not planned[0].run.finished
    assert list(planned[0].run.checkpoints.glob("step-*"))


def test_a_run_that_fails_is_named_and_its_students_are_not_begun(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT))
    (tmp_path / "tiny.yaml").write_text(STUDY.replace("device: cpu", "device: 'cuda:77'"))
    planned = gpu.chosen(studies.load(str(tmp_path / "tiny.yaml")), "cnn8", "cnn4")[:2]
    failed = gpu.carry_out(planned, 2, lambda: False, False, tmp_path)
    assert list(failed) == [planned[0].name]
    assert "device = 'cuda:77' is refused" in failed[planned[0].name]


def test_as_many_at_once_as_pay() -> None:
    rates = [{"what": "teacher", "how": "plain", "processes": 1, "images_per_second": 9999.0}]
    rates += [
        {"what": what, "how": "together", "processes": n, "images_per_second": r}
        for n, of_teacher in ((1, 100.0), (2, 150.0), (4, 160.0))
        for what, r in (("teacher", of_teacher), ("student", 100.0 * n))
    ]
    assert gpu.as_many_as_pay(rates) == 2
    assert gpu.as_many_as_pay(rates, "student") == 4
    assert gpu.as_many_as_pay([]) == 1


@pytest.mark.parametrize("taught", [False, True])
def test_both_loops_are_measured(taught: bool, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "IMAGES", 3 * speed.BATCH)
    images = speed.random_images()
    for measure in (speed.plain, lambda *given: speed.library(*given, False)):
        began = time.perf_counter()
        rate = measure(speed.Clock(torch.device("cpu"), 0.2, 1, lambda: None), images, "cnn4", taught)
        assert speed.BATCH / (time.perf_counter() - began) < rate < 1e6


def test_the_dry_run_says_what_would_be_done_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT), "KDLIB_RUNS": str(tmp_path / "runs"),
                   "OUT": str(tmp_path / "out")}  # fmt: skip
    command = [
        sys.executable,
        str(paths.ROOT / "benchmarks" / "gpu.py"),
        "--dry",
        "--study",
        str(tmp_path / "tiny.yaml"),
    ]
    done = subprocess.run([*command, "--teacher", "cnn8", "--student", "cnn4", "--seconds", "700"], env=environment,
                          capture_output=True, text=True, check=True)  # fmt: skip
    said = done.stdout.splitlines()
    assert said[:4] == ["1. tests: 120 s", "2. speed: 200 s", "3. runs: 350 s", "4. pack: 30 s"]
    assert "14 runs of study" in said[4]
    assert said[-1].startswith("a tiny run, packed into") and said[-1].endswith("unpacked: finished")
    assert not (tmp_path / "runs").exists() and not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_all_of_it_but_the_card(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT))
    (tmp_path / "tiny.yaml").write_text(STUDY)
    study = str(tmp_path / "tiny.yaml")
    planned = gpu.chosen(studies.load(study), "cnn8", "cnn4")[:2]
    given = argparse.Namespace(seconds=1000.0, study=study, teacher="cnn8", student="cnn4", out=tmp_path / "out", mib=8,
                               after=tmp_path)  # fmt: skip
    (tmp_path / "runs.json").write_text('{"card": "another", "rates": [{"what": "teacher", "how": "library"}]}')
    assert gpu.on_the_card(given, planned, time.monotonic()) == 0
    said = json.loads((given.out / "runs.json").read_text())
    assert said["runs"] == {one.name: "finished" for one in planned}
    assert said["tests"]["status"] == 0 and "skipped" in said["tests"]["lines"][-1]
    assert (said["rates"], said["failed"], said["at_once"], said["graphs"]) == ([], {}, 1, False)
    assert torch.__version__.startswith(said["versions"]["torch"]) and said["at"] and said["processor"]
    assert sorted(path.name for path in given.out.iterdir()) == ["runs.json", "runs.zip.0"]
    assert gpu.measured_before(tmp_path, "another") and not gpu.measured_before(None, "another")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so() -> None:
    command = ["make", "-s", "gpu", f"GPU_PYTHON={sys.executable}", "SECONDS=5"]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"make gpu: nothing is done, for PyTorch {torch.__version__} finds no GPU here.\n"
