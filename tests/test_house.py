"""The house: what is true of one thing stands in its own files, and what it declares needs no torch."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdlib.base import paths
from kdlib.data.families import FAMILIES
from kdlib.runs.recipes import RECIPES
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.teachers.kinds import KINDS

ROOT = paths.ROOT / "kdlib"
THINGS = {"kind": KINDS, "framework": FRAMEWORKS, "dataset": FAMILIES}
LISTS = {"kind": "teachers/kinds.py", "framework": "students/frameworks/__init__.py", "dataset": "data/families.py"}
CLAIMS = ("report/",)
"""Pages and claims are about certain teachers, frameworks and datasets: they say of which."""


def own_files(thing: object) -> Path:
    """Return the file, or the folder, that is a thing's own."""
    file = Path(inspect.getfile(type(thing)))
    return file.parent if file.name == "__init__.py" else file


def written_in(thing: object) -> list[Path]:
    """Return the files of a thing and of the bases that it shares with others of its sort."""
    return [Path(inspect.getfile(base)) for base in type(thing).__mro__[:-2] if base.__module__.startswith("kdlib")]


def is_in(file: Path, place: Path) -> bool:
    return file == place or place in file.parents


def prose(tree: ast.Module) -> set[int]:
    """Return the docstrings, and the texts that stand alone, of a file."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def declared(tree: ast.Module) -> set[int]:
    """Return the constants that are the default of a parameter, or name a preset."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "parameter"]
    presets = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "Preset"]
    return {id(inner) for outer in (*calls, *presets) for inner in ast.walk(outer)}


def files() -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(ROOT.rglob("*.py")):
        if not str(file.relative_to(ROOT)).startswith(CLAIMS):
            yield file, ast.parse(file.read_text())


def named(sort: str) -> Iterator[str]:
    """Say where generic code names a thing: its name as a constant, an import of its module."""
    things = {name: own_files(thing) for name, thing in THINGS[sort].items()}
    others = [
        place for other in THINGS if other != sort for thing in THINGS[other].values() for place in written_in(thing)
    ]
    modules = {name: inspect.getmodule(type(thing)).__name__ for name, thing in THINGS[sort].items()}  # type: ignore[union-attr]
    for file, tree in files():
        place = str(file.relative_to(ROOT))
        if place == LISTS[sort] or any(is_in(file, other) for other in others):
            continue  # a kind's own table of datasets
        allowed = prose(tree) | declared(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in allowed:
                if node.value in things and not is_in(file, things[node.value]):
                    yield f"{place}:{node.lineno}: {node.value!r}"
            elif isinstance(node, ast.ImportFrom) and node.module:
                full = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                for name, module in modules.items():
                    if any(one == module or one.startswith(module + ".") for one in full) and not is_in(
                        file, things[name]
                    ):
                        yield f"{place}:{node.lineno}: imports {module}"


@pytest.mark.parametrize("sort", THINGS)
def test_generic_code_asks_the_thing_and_never_names_it(sort: str) -> None:
    assert list(named(sort)) == []


def test_nothing_compares_kinds_frameworks_or_run_types() -> None:
    found = []
    for file, tree in files():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                if any(isinstance(s, ast.Attribute) and s.attr in ("kind", "framework", "run_type") for s in sides):
                    found.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_only_a_run_types_own_files_look_at_the_class_of_a_config() -> None:
    own = [own_files(recipe) for recipe in RECIPES.values()]
    rooms = [ROOT / room for room in ("teachers", "students", "experiments")]
    found = []
    for file, tree in files():
        if any(is_in(file, place) for place in (*own, *rooms)):
            continue
        for node in ast.walk(tree):
            asks = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
            if asks and "Config" in ast.unparse(node.args[1]):
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_rooms_import_only_rooms_below_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=paths.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "0 broken" in done.stdout, done.stdout


def test_every_room_says_what_it_is() -> None:
    for room in sorted({file.parent for file, _ in files()} - {ROOT}):
        text = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
        assert text and "TODO" not in text, room
    rooms = [path for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert all("May import" in (path / "__init__.py").read_text() for path in rooms if path.name != "base")


def test_no_file_is_long() -> None:
    long = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file, _ in files()}
    assert max(long.values()) <= 300, max(long, key=long.__getitem__)
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}
