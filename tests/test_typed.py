"""What people type that is nothing: names, values and files that make no plan are refused by one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small
from sandbox import sandbox, sentence

from kdlib.__main__ import main
from kdlib.base.errors import DamagedRun, InputError
from kdlib.base.files import write_json
from kdlib.base.paths import whole
from kdlib.runs.plans import plan
from kdlib.store.runs import Run
from kdlib.study.keeping import keep
from kdlib.study.rows import table

NESTED = "allowed are a text, a number, true or false, and a list of such"
BOMB = "title: t\nx: &a [x, x, x, x, x, x, x, x]\n".replace("x:", "parameters:\n  seed:") + "".join(
    f"  {name}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 8)}]\n"
    for i, name in enumerate(("epochs", "fraction", "momentum", "samples", "teacher", "precision", "threads", "device"))
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title: t\nteachers: {a: {seed: 2001-99-99}}\n", "a: seed = '2001-99-99' is refused: input should be a valid"),
        ("title: !!timestamp 2001-99-99\n", "is no YAML: month must be"),
        ("title: !!int ''\n", "is no YAML: "),
        ("title: !!bool x\n", "is no YAML: "),
        ("title: !!timestamp x\n", "is no YAML: "),
        ("title: !!int 0x_\n", "is no YAML: "),
        ("title: " + "9" * 5000 + "\n", "is no YAML: Exceeds the limit"),
        ("title: " + "[" * 3000 + "\n", "is no YAML: maximum recursion"),
        ("title: t\nteachers: {a: {seed: 0x" + "f" * 5000 + "}}\n", "fff… is refused: input should be a valid"),
        ("title: t\nteachers: {a: {seed: " + "9" * 4000 + "}}\n", f"a: seed is refused: {NESTED}"),
        ("title: t\nteachers: {a: {seed: [[0], [1]]}}\n", f"a: seed is refused: {NESTED}"),
        ("title: t\nteachers: {a: {seed: &a [*a]}}\n", f"a: seed is refused: {NESTED}"),
        (BOMB + "teachers: {a: {}}\n", f"a: epochs is refused: {NESTED}"),
        ("title: t\nteachers: {a: {}}\nmeasures: {m: {parent: []}}\n", "m: parent = [] is refused"),
        ("5\n", "what it holds is refused"),
    ],
    ids=lambda text: text[:30],
)
def test_study_files_that_are_none(text: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with sandbox() as box:
        (box.user / "mine.yaml").write_text(text)
        with box.watched():
            assert main(["plan", str(box.user / "mine.yaml")]) == 2
    assert says in sentence(capsys.readouterr().err.removeprefix("kdlib: mine.yaml: ").strip())


@pytest.mark.parametrize("members", ["a+b", "b+c"])
def test_an_ensemble_that_starts_from_itself(members: str, tmp_path: Path, store: Path) -> None:
    file = tmp_path / "mine.yaml"
    named = "+".join(f"{file}/{label}" for label in members.split("+"))
    file.write_text(
        "title: t\nparameters: {dataset: 'digits:tiny'}\n"
        f"teachers: {{a: {{kind: ensemble, members: {json.dumps(named)}}}, b: {{}}, c: {{kind: mcmi, parent: a}}}}\n"
    )
    for _ in range(2):  # what the first try left behind does not harm the second
        with pytest.raises(InputError, match=r"members = .*mine.yaml/[ac]\+?.* is refused: it is to start from itself"):
            plan(small.teacher(kind="ensemble", members=named, architecture=None))


@pytest.mark.parametrize("path", ["x" * 256, "/" + "x/" * 2100, "é" * 128 + ".yaml", "\ud800" * 100])
def test_paths_that_no_file_can_have(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="is refused: allowed are 255 bytes of each name in it, 4095 in all"):
        whole(path)
    assert main(["plan", f"{path}.yaml"]) == main(["study", "quick", "--profile", path]) == 2
    assert capsys.readouterr().err.count("\n") == 2
    assert whole("x" * 255).name == "x" * 255


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "is refused: maximum recursion"),
        ('{"run_type": {}}', "run_type = {} is refused: allowed are teacher"),
        ('{"run_type": ""}', "run_type = '' is refused: allowed are teacher"),
        ('{"a\\nb": 1}', "a\\nb is no parameter of teacher"),
    ],
)
def test_files_that_are_no_config(text: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with sandbox() as box:
        (box.user / "mine.json").write_text(text)
        with box.watched():
            assert main(["run", "mine.json"]) == 2
    assert says in sentence(capsys.readouterr().err.removeprefix("kdlib: ").strip())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"config": {"epochs": {"a": 1}}}, "says epochs = {'a': 1}, which is no single value"),
        ({"parents": {"teacher": 5}}, "names a parent or a class by what is no text"),
        ({"classes": False}, "has no 'classes' of type list"),
        ({"classes": [1]}, "names a parent or a class by what is no text"),
    ],
    ids=str,
)
def test_a_record_of_wrong_types_is_damage(change: dict[str, object], says: str, store: Path) -> None:
    run = small.pretend(plan(small.teacher()), test_accuracy=0.5)
    assert run.finished
    write_json(run.path / "config.json", {**run.record, **change})
    assert says in str(run.damage) and not run.finished
    with pytest.raises(DamagedRun):
        run.verify()


@pytest.mark.parametrize("odd", [{"lineage_seconds": {}}, {"training_seconds": []}], ids=str)
def test_records_name_the_run_that_does_not_fit(study: str, odd: dict[str, object]) -> None:
    name = next(str(name) for name in table()["run"] if str(name).startswith("teacher-"))
    run = Run(name)
    write_json(run.path / "provenance.json", {**run.provenance, **odd})
    with pytest.raises(InputError, match=f"{name} is refused by the records: its {next(iter(odd))} = "):
        keep(study)
