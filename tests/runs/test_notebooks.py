"""The run notebooks: their parameters are the schema's, and on a kernel they do what a person expects."""

from __future__ import annotations

import ast
import itertools
import re
import types
import typing
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner
from kernel import Kernel, code_cells, started, with_values
from papermill.cli import papermill

from kdlib.base import paths, progress
from kdlib.base.config import RunType
from kdlib.base.tensors import digest, read_tensors
from kdlib.runs import notebook
from kdlib.runs.recipes import fields, resolve
from kdlib.runs.sweeps import expand
from kdlib.teachers.kinds import KINDS

NAMES = sorted(path.stem for path in paths.NOTEBOOKS.glob("*.ipynb"))
SMALL: dict[str, Any] = {"dataset": "digits:tiny", "architecture": "cnn4", "epochs": 3, "threads": 1}
NOTEBOOKS = sorted(paths.NOTEBOOKS.rglob("*.ipynb"))


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_valid_and_kept_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
    assert "parameters" in code[0].metadata.tags
    assert [cell.metadata.get("tags", []) for cell in code[1:] if "parameters" in cell.metadata.get("tags", [])] == []
    # papermill's help drops a line with two of them
    assert not [line for line in code[0].source.splitlines() if line.count("=") > 1]
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_short_and_has_a_sentence_before_it(name: str) -> None:
    cells = read(paths.NOTEBOOKS / f"{name}.ipynb").cells
    for before, cell in itertools.pairwise(cells):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown" and before.source.rstrip().endswith(".")
            assert "parameters" in cell.metadata.get("tags", []) or len(cell.source.splitlines()) <= 7


def written(annotation: Any) -> str:
    """Write a type of the schema as papermill's help can read it."""
    if typing.get_origin(annotation) is typing.Annotated:
        return written(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        (some,) = [part for part in typing.get_args(annotation) if part is not type(None)]
        return f"Optional[{written(some)}]"
    return "str" if issubclass(annotation, StrEnum) else str(annotation.__name__)


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_cell_is_the_schema(name: str) -> None:
    schema = {**(fields(RunType.MEASURE) if name == "teacher" else {}), **fields(name)}
    expected = {}
    for parameter, field in schema.items():
        meaning = str(field.description)
        if (name, parameter) == ("teacher", "kind"):
            meaning += "; measure: only measure the parent"
        expected[parameter] = (written(field.annotation), field.default, meaning)
    source = code_cells(name)[0]
    found = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign):
            assert isinstance(statement.target, ast.Name) and statement.value is not None
            comment = source.splitlines()[statement.lineno - 1].partition("  # ")[2]
            found[statement.target.id] = (
                ast.unparse(statement.annotation), ast.literal_eval(statement.value), comment,
            )  # fmt: skip
        else:
            assert isinstance(statement, ast.ImportFrom), "a parameters cell holds parameters alone"
    assert found == expected
    assert set(found) == set(notebook.parameters(name))


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_notebook_means_what_no_parameter_means(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(code_cells(name)[0], namespace)
    for kind in KINDS if name == "teacher" else ("",):
        given = {n: namespace[n] for n in notebook.parameters(name) if namespace[n] is not None}
        asked = {"kind": kind} if kind else {}
        assert expand(name, {**given, **asked}) == [resolve(name, asked)]


@pytest.mark.parametrize("name", NAMES)
def test_papermill_shows_every_parameter(name: str) -> None:
    shown = CliRunner().invoke(papermill, ["--help-notebook", str(paths.NOTEBOOKS / f"{name}.ipynb")])
    assert shown.exit_code == 0
    words = " ".join(shown.output.split())
    schema = {**fields(RunType.MEASURE), **fields(name)} if name == "teacher" else fields(name)
    for parameter, field in schema.items():
        line = rf"\b{parameter}: {re.escape(written(field.annotation))} \(default .*?\) {re.escape(field.description)}"
        assert re.search(line, words), parameter


@pytest.fixture(scope="module")
def shared() -> Iterator[Kernel]:
    with started() as kernel:
        yield kernel


@pytest.fixture
def kernel(shared: Kernel, tmp_path: Path) -> Kernel:
    """Give the test a kernel that remembers nothing, with a store of its own."""
    shared.start_over(tmp_path)
    return shared


def run_all(kernel: Kernel, name: str, **values: Any) -> list[Any]:
    """Type values into the parameters cell and run all cells; return what each left behind."""
    first, *rest = code_cells(name)
    done = []
    for source in (with_values(first, **values), *rest):
        done.append(kernel.run(source))
        assert not done[-1].error, done[-1].error
    return done


def test_run_all_change_a_parameter_and_run_all_again(kernel: Kernel, tmp_path: Path) -> None:
    cells = run_all(kernel, "student", **SMALL)
    assert "test_accuracy" in cells[3].shown["text/html"]
    assert "<img" in cells[4].shown["text/html"]
    (teacher,) = tmp_path.glob("teacher-*/metrics.json")
    assert kernel.value("run.name") == next(tmp_path.glob("student-*")).name
    assert kernel.value("teacher.name") == teacher.parent.name
    before = teacher.stat().st_mtime_ns
    # what stays is there to play with
    assert kernel.value("['epoch' in history, len(history) > 0, student.network.name]") == [True, True, "cnn4"]
    kernel.run("import torch\nfrom kdlib import data\nimages = data.load('digits:tiny').test.images[:5]")
    for who in ("teacher", "student"):
        assert kernel.value(f"{who}.probs(images, temperature=2.0).sum(1).tolist()") == pytest.approx([1.0] * 5)
    # the parameters cell is not executed again: `teacher` is the object now, and means the same teacher
    kernel.run(code_cells("student")[1])
    assert kernel.value("[str(one.config.teacher) for one in plans]") == [teacher.parent.name]
    run_all(kernel, "student", **SMALL, temperature=2.0)
    assert len(list(tmp_path.glob("student-*/metrics.json"))) == 2
    assert teacher.stat().st_mtime_ns == before
    assert len(list(tmp_path.glob("teacher-*"))) == 1


def test_lists_sweep(kernel: Kernel, tmp_path: Path) -> None:
    # `-p temperature 1,4` arrives as text, a person types a list
    cells = run_all(kernel, "student", **SMALL, teacher="exact_bcp", seed=[0, 1], temperature="1,4")
    assert len(list(tmp_path.glob("*/metrics.json"))) == 4
    assert kernel.value("len({run.name for run in done})") == 4
    assert cells[3].shown["text/html"].count("<tr") == 2 + 4  # two rows of a heading
    assert "temperature" in cells[3].shown["text/html"] and "learning_rate" not in cells[3].shown["text/html"]
    # labels alone leave no teacher, and no teacher is no supervision
    assert kernel.value("teacher is None") is True
    refused = kernel.run(code_cells("student")[1])
    assert refused.error.startswith("InputError: teacher = None is refused: the parameters cell")


def content(folder: Path) -> tuple[Any, ...]:
    """Return all that must be bit-identical in two runs of one config."""
    tensors = [digest(read_tensors(folder / f"{name}.safetensors")[0], "") for name in ("weights", "predictions")]
    return *tensors, (folder / "history.parquet").read_bytes(), (folder / "metrics.json").read_text()


def training(text: str) -> bool:
    """Say whether a progress bar has counted a step."""
    return re.search(r" [1-9]\d*/\d+ \[", text) is not None


def test_interrupt_and_go_on(kernel: Kernel, tmp_path: Path) -> None:
    first, check, train, *rest = code_cells("student")
    long = {**SMALL, "teacher": "exact_bcp", "epochs": 300}
    kernel.run(with_values(first, **long))
    kernel.run(check)
    stopped = kernel.run(train, watch=training)
    assert stopped.error.startswith("KeyboardInterrupt")
    (run,) = tmp_path.glob("student-*")
    (checkpoint,) = run.glob("checkpoints/*")
    step = int(checkpoint.stem.removeprefix("step-"))
    assert step > 0 and not (run / "metrics.json").exists()
    going = kernel.run(train)
    assert not going.error
    counted = [int(number) for number in re.findall(r" (\d+)/\d+ \[", going.text)]
    assert counted[0] == step, "it must go on from the checkpoint, not begin again"
    for source in rest:
        assert not kernel.run(source).error
    assert kernel.value("len(run.provenance['sessions'])") == 2
    steps = kernel.value("len(history)")
    assert step < steps
    # the same, never interrupted; the old run lies aside
    run_all(kernel, "student", **long, retrain=True)
    (aside,) = tmp_path.glob("aside/*")
    assert content(run) == content(aside)
    assert kernel.value("len(run.provenance['sessions'])") == 1


def test_unknown_names_are_refused_until_they_are_mended(kernel: Kernel, tmp_path: Path) -> None:
    first, check, *_ = code_cells("student")
    kernel.run(with_values(first, **SMALL, teacher="one_hot"))
    kernel.run("# Parameters\ntemprature = 4\nseed = 3\n")  # as papermill puts it
    refused = kernel.run(check)
    assert refused.error == "InputError: temprature is no parameter of student: did you mean temperature?"
    assert refused.traceback == refused.error, "the sentence alone, not the way through the library"
    kernel.run("# Parameters\nfraction = 0.5\n")
    assert not kernel.run(check).error
    kernel.run(with_values(first, **SMALL) + "\nlearning_rat = 0.1")
    assert "did you mean learning_rate?" in kernel.run(check).error
    kernel.run(with_values(first, **{**SMALL, "epochs": -1}))
    assert "epochs = -1 is refused" in kernel.run(check).error
    # of a sweep, the last element is checked before the first is run
    kernel.run(with_values(first, **SMALL, omit_classes=["3", "33"]))
    assert "'33'" in kernel.run(check).error
    assert not list(tmp_path.iterdir())


def test_a_teacher_and_only_measuring_it(kernel: Kernel, tmp_path: Path) -> None:
    run_all(kernel, "teacher", **SMALL)
    name = kernel.value("teacher.name")
    assert kernel.value("len(history) > 0")
    cells = run_all(kernel, "teacher", dataset="digits:tiny", kind="measure", parent=name, threads=1)
    assert "test_accuracy" in cells[3].shown["text/html"]
    assert not cells[4].shown
    assert len(list(tmp_path.glob("measure-*/metrics.json"))) == 1
    kernel.run(with_values(code_cells("teacher")[0], kind="measure", parent=name, learning_rate=0.1))
    assert "learning_rate = 0.1 is refused: a measurement" in kernel.run(code_cells("teacher")[1]).error


@pytest.mark.parametrize(
    ("command", "batch"),
    [
        ("/home/papermill/.venv/bin/jupyter-lab notebooks", False),
        ("/usr/bin/python -m ipykernel_launcher", False),
        ("/usr/bin/python /x/bin/papermill in.ipynb out.ipynb", True),
        ("/usr/bin/python -m papermill in.ipynb out.ipynb", True),
        ("/usr/bin/python /x/bin/jupyter-nbconvert --execute in.ipynb", True),
    ],
)
def test_a_bar_is_for_those_who_watch(command: str, batch: bool) -> None:
    assert progress.is_batch(command.split()) is batch


@pytest.mark.parametrize(("value", "wanted"), [("0", False), ("", False), ("1", True)])
def test_a_bar_can_be_asked_for(monkeypatch: pytest.MonkeyPatch, value: str, wanted: bool) -> None:
    monkeypatch.setenv("KDLIB_PROGRESS", value)
    assert progress.wanted() is wanted
