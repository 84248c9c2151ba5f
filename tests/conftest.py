"""Fixtures that several test files use."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from built import built_once, copied_book, executed_page

from kdlib.base import paths
from kdlib.runs import studies
from kdlib.study import jobs

LONG = ("test_smoke", "test_pages", "test_tutorials", "test_gpu", "test_access", "test_shell", "test_pdf")


def pytest_xdist_auto_num_workers() -> int:
    """Use one process more than there are cores, at most four: many tests wait for kernels and browsers."""
    return min(4, len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(autouse=True)
def no_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test read the measured results that git keeps."""
    monkeypatch.setattr(paths, "RECORDS", tmp_path / "records")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder with the real CIFAR files, or skip where there is none."""
    root = paths.data_root()
    if not (root / "cifar100").is_dir() or not (root / "cifar10").is_dir():
        pytest.skip(f"no cifar10/ and cifar100/ in the data root {root}: the tests on real images need both")
    return root


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a run store of its own and return its folder."""
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return a folder that all processes of pytest-xdist have."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def fresh(shared: Path) -> Path:
    """Return a tree whose book was built before any study has run; tests copy it before they change it."""
    return built_once(shared / "fresh", copied_book)


@pytest.fixture(scope="session")
def filled(fresh: Path, shared: Path) -> Path:
    """Return such a tree built again after a study has left one page of results, `claims`."""

    def fill(tree: Path) -> None:
        shutil.copytree(fresh, tree)
        (tree / "book/results/claims.ipynb").write_text(json.dumps(executed_page()))

    return built_once(shared / "filled", fill)


STUDY = """
title: Studied
about: A small study of one epoch.
parameters: {dataset: "digits:tiny", architecture: cnn4, epochs: 1, threads: 1, seed: [0, 1], optimizer: adam,
             learning_rate: 1.0e-3, weight_decay: 0, schedule: constant, kd_weight: 1, student_temperature: 1}
reports: [teachers, distillation]
teachers:
  plain: {kind: deterministic}
students:
  floor: {teacher: one_hot}
  distilled: {teacher: plain, temperature: [1, 4]}
measures:
  again: {parent: plain}
"""


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `studied.yaml` and, in `runs`, all of its finished runs."""
    from kdlib.runs.execute import execute

    folder = tmp_path_factory.mktemp("study")
    (folder / "studied.yaml").write_text(STUDY)
    before = os.environ.get("KDLIB_RUNS")
    os.environ["KDLIB_RUNS"] = str(folder / "runs")
    for entry in studies.load(str(folder / "studied.yaml")).entries:
        for config in entry.configs():
            execute(config)
    os.environ.pop("KDLIB_RUNS")
    if before is not None:
        os.environ["KDLIB_RUNS"] = before
    return folder


@pytest.fixture
def study(finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the test a finished study, a store, records, jobs and pages of its own, and return the study's file."""
    shutil.copytree(finished_study / "runs", tmp_path / "runs")
    for name in ("runs", "jobs", "pages"):
        monkeypatch.setenv(f"KDLIB_{name.upper()}", str(tmp_path / name))
    monkeypatch.setattr(paths, "RECORDS", tmp_path / "records")
    jobs._seconds.cache_clear()
    return str(finished_study / "studied.yaml")
