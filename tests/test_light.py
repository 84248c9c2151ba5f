"""Declared without torch, and each config planned once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kdlib import data
from kdlib.base import config as base
from kdlib.base import paths
from kdlib.runs import execute, notebook, plans, recipes
from kdlib.runs.recipes import RECIPES
from kdlib.store.runs import Run
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.teachers.kinds import KINDS

WITHOUT = """
import importlib, pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, Block())
import kdlib
from kdlib.base.errors import InputError
from kdlib.runs.plans import plan
from kdlib.runs.recipes import RECIPES, resolve
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.study import table
from kdlib.teachers.kinds import KINDS

ALONE = ("kdlib.runs.execute", "kdlib.runs.networks")  # they make runs
for room in ("report", "study", "runs"):
    for module in pkgutil.walk_packages(importlib.import_module(f"kdlib.{room}").__path__, f"kdlib.{room}."):
        if module.name not in ALONE:
            importlib.import_module(module.name)
for recipe in RECIPES.values():
    print(plan(resolve(recipe.name, {"parent": "deterministic"} if recipe.name == "measure" else {})).name)
for kind in KINDS:
    print(plan(resolve("teacher", {"dataset": "cifar10", "kind": kind})).name)
for framework in FRAMEWORKS:
    print(plan(resolve("student", {"dataset": "cifar100", "framework": framework})).name)
for wrong in ({"architecture": "resnet7"}, {"kind": "laplace", "predictive": "nn"}, {"smoothing": 3}):
    try:
        plan(resolve("teacher", wrong))
    except InputError as error:
        print(error)
from kdlib.__main__ import main

print([main(words.split()) for words in ("run bad.json", "study nowhere", "plan nowhere", "records nowhere", "list")])
print(len(table()), "torch" in sys.modules)
"""


def test_everything_is_declared_without_torch(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"dataset": "digits:tiny", "epochs": -3}')
    own = {"KDLIB_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(paths.ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, env={**os.environ, **own},
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *lines, statuses, last = done.stdout.splitlines()
    assert statuses == "[2, 2, 2, 2, 0]" and "epochs = -3 is refused" in done.stderr
    names = [line for line in lines if "refused" not in line and not line.startswith("no runs in")]
    assert len(names) == len(set(names)) == len(RECIPES) + len(KINDS) + len(FRAMEWORKS)
    assert len([line for line in lines if "is refused" in line]) == 3 and last.endswith("False")


def counted(patch: pytest.MonkeyPatch, counts: Counter[str], module: Any, name: str) -> None:
    """Count the calls of a function."""
    before = getattr(module, name)

    def counting(*given: Any, **named: Any) -> Any:
        counts[name] += 1
        return before(*given, **named)

    patch.setattr(module, name, counting)


def test_each_config_goes_down_the_rooms_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()
    execute._loaded.cache_clear()
    counted(monkeypatch, counts, recipes, "validated")
    counted(monkeypatch, counts, plans, "name_of")
    counted(monkeypatch, counts, data, "load")
    counted(monkeypatch, counts, data, "fingerprint")
    given = {"dataset": "digits:tiny", "architecture": "cnn4", "epochs": 1, "threads": 1, "teacher": "deterministic"}
    planned = notebook.validate("student", {**given, "temperature": [1, 4], "seed": [0, 1]})
    made = execute.make(planned)
    teachers = {one.name for student in planned for one in student.parents.values()}
    assert len(made) == 4 and len(teachers) == 2 and all(Run(name).finished for name in teachers)
    # what is given and what is filled in are validated, each once a config: four students, two teachers
    assert counts == {"validated": 2 * 6, "name_of": 6, "load": 1, "fingerprint": 1}


def test_no_parameter_has_two_meanings() -> None:
    for recipe in recipes.RECIPES.values():
        for name, field in recipe.schema().model_fields.items():
            assert base.constant_of(field) == field.default or field.default is None, name
