"""`pyproject.toml`, `requirements.lock` and `environment.yml` say the same."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

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
