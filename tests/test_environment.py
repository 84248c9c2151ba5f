"""`pyproject.toml`, `requirements.lock` and `environment.yml` say the same."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from kdlib.base import paths

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
WANTED = [Requirement(text) for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])]
LOCK = [Requirement(line) for line in (paths.ROOT / "requirements.lock").read_text().splitlines()]
HERE = {r.name.lower(): r for r in LOCK if r.marker is None or r.marker.evaluate()}


@pytest.mark.parametrize("wanted", WANTED, ids=lambda r: r.name)
def test_lock_satisfies_project(wanted: Requirement) -> None:
    locked = [r for r in LOCK if r.name.lower() == wanted.name.lower()]
    assert locked, f"{wanted.name} is not in requirements.lock"
    for one in locked:
        (pin,) = one.specifier
        assert pin.operator == "==" and pin.version in wanted.specifier


def test_lock_is_exact_and_names_no_place() -> None:
    text = (paths.ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?:|@|--", text)
    assert all(len(r.specifier) == 1 and next(iter(r.specifier)).operator == "==" for r in LOCK)


def test_installed_is_locked() -> None:
    for name in ("torch", "torchvision", "pandas", "papermill", "snakemake", "jupyter-book", "pydantic"):
        assert version(name).split("+")[0] == next(iter(HERE[name].specifier)).version


def test_conda_environment_installs_the_lock() -> None:
    environment = yaml.safe_load((paths.ROOT / "environment.yml").read_text())
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert pip == ["-r requirements.lock", "-e ."]
    (python,) = [d for d in environment["dependencies"] if isinstance(d, str) and d.startswith("python=")]
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])


FOR_CUDA = re.compile(r"(cuda|nvidia)-|triton$")
HAS_MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


def made(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call make in a tree whose programs only write down how they were called."""
    for program in (tree / ".venv/uv/bin/uv", tree / ".venv/bin/python"):
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(f'#!/bin/sh\necho "$@" >>{tree}/called\n')
            program.chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(paths.ROOT / name, tree)
    return subprocess.run(["make", *words], cwd=tree, capture_output=True, text=True, timeout=60, check=False)


@HAS_MAKE
def test_an_environment_for_a_cpu_has_no_cuda(tmp_path: Path) -> None:
    assert made(tmp_path, ".venv/installed", "TORCH=cpu").returncode == 0
    called = (tmp_path / "called").read_text()
    assert "--torch-backend cpu -r .venv/cpu.lock -e . --no-deps" in called
    names = {line.split("=")[0] for line in (tmp_path / ".venv/cpu.lock").read_text().splitlines()}
    left_out = {r.name for r in LOCK} - names
    assert left_out == {r.name for r in LOCK if FOR_CUDA.match(r.name)} and "nvidia-cublas" in left_out
    # It stays what it is when it is made again, and no other word is taken.
    assert made(tmp_path, ".venv/installed").returncode == 0
    assert (tmp_path / "called").read_text() == called * 2
    refused = made(tmp_path, ".venv/installed", "TORCH=rocm")
    assert refused.returncode == 2 and "TORCH = rocm is refused: it is cpu or nothing." in refused.stdout


@HAS_MAKE
def test_by_default_the_whole_lock_is_installed(tmp_path: Path) -> None:
    assert made(tmp_path, ".venv/installed").returncode == 0
    assert (tmp_path / "called").read_text().endswith("bin/python -r requirements.lock -e . --no-deps\n")


def test_nothing_but_pytorch_asks_for_cuda() -> None:
    asking = set()
    for one in distributions():
        for need in map(Requirement, one.requires or ()):
            here = need.marker is None or need.marker.evaluate({"extra": ""})
            if here and FOR_CUDA.match(need.name.lower()):
                asking.add(one.name.lower())
    assert all(name == "torch" or FOR_CUDA.match(name) for name in asking), asking


@HAS_MAKE
def test_lab_starts_for_a_containers_root(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho ${USER_ID}\n")
    (tmp_path / "id").chmod(0o755)
    for user, allowed in (("0", "--allow-root "), ("1000", "")):
        assert made(tmp_path, "lab", f"PATH={tmp_path}:/usr/bin:/bin", f"USER_ID={user}", "LAB=--ip *").returncode == 0
        last = (tmp_path / "called").read_text().splitlines()[-1]
        assert last == f"-m jupyterlab notebooks {allowed}--ip *"
