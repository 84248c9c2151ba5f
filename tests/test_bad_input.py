"""Bad input, as a user gives it: one clear sentence before any work, an exit status that is not 0, and no run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kdlib.__main__ import main
from kdlib.base import paths
from kdlib.store import runs

SMALL: dict[str, Any] = {"dataset": "digits:tiny", "architecture": "cnn4", "epochs": 1, "threads": 1}


def user_runs(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the root of the clone, as a user would."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=paths.ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def sentence(said: str) -> str:
    """Return what the command line said, which must be one sentence."""
    assert said.startswith("kdlib: ") and said.endswith((".\n", "?\n")) and said.count("\n") == 1, said
    return said.removeprefix("kdlib: ").strip()


def refused(folder: Path, capsys: pytest.CaptureFixture[str], **given: Any) -> str:
    """Give `python -m kdlib run` parameters that it must refuse; return the sentence."""
    (folder / "mine.json").write_text(json.dumps({**SMALL, **given}))
    before = runs.names()
    assert main(["run", str(folder / "mine.json")]) == 2
    assert runs.names() == before
    said = capsys.readouterr()
    assert said.out == ""
    return sentence(said.err)


def test_an_unknown_parameter_of_papermill(tmp_path: Path) -> None:
    """Papermill itself only warns of it."""
    out = str(tmp_path / "out.ipynb")
    given = ["-p", "dataset", "digits:tiny", "-p", "epochs", "1", "-p", "temprature", "4"]
    done = user_runs(
        "papermill", str(paths.NOTEBOOKS / "student.ipynb"), out, *given, KDLIB_RUNS=str(tmp_path / "runs")
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "InputError: temprature is no parameter of student: did you mean temperature?"
    )
    assert not (tmp_path / "runs").exists()


def test_an_unknown_parameter_of_a_report(tmp_path: Path) -> None:
    given = ["-p", "study", "smoke"]
    report, out = str(paths.REPORTS / "teachers.ipynb"), str(tmp_path / "out.ipynb")
    done = user_runs("papermill", report, out, *given, KDLIB_RUNS=str(tmp_path / "runs"))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "InputError: study is no parameter of this report: allowed are runs, studies."
    )


def test_the_command_line_ends_with_a_sentence_and_a_status(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps({**SMALL, "architecture": "resnet21"}))
    done = user_runs("kdlib", "run", str(tmp_path / "mine.json"), KDLIB_RUNS=str(tmp_path / "runs"))
    assert done.returncode == 2 and done.stdout == ""
    assert "architecture = 'resnet21' is refused: allowed are cnn4, " in sentence(done.stderr)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"temprature": 4, "teacher": "one_hot"}, "temprature is no parameter of student: did you mean temperature?"),
        ({"architecture": "resnet21"}, "architecture = 'resnet21'"),
        ({"dataset": "mnist"}, "'mnist'"),
        ({"dataset": "digits:vast"}, "'digits:vast'"),
        ({"dataset": "folder:/nowhere"}, "'/nowhere' is not a folder"),
        ({"dataset": "cifar10", "image_size": 20}, "image_size is 20, but the images of cifar10 have 32 or 16 or 8"),
        ({"dataset": "cifar10", "image_size": 4}, "image_size = 4 is refused"),
        ({"epochs": -1}, "epochs = -1"),
        ({"epochs": "many"}, "epochs = 'many'"),
        ({"epochs": 1.5}, "epochs = 1.5"),
        ({"fraction": 0}, "fraction = 0"),
        ({"fraction": 1.01}, "fraction = 1.01"),
        ({"learning_rate": {}}, "learning_rate = {}"),
        ({"seed": []}, "seed = []"),
        ({"seed": [0, "a"]}, "seed = 'a'"),
        ({"omit_classes": "3+12"}, "'12'"),
        ({"omit_classes": ["3", "12"]}, "'12'"),  # the first of the two could be run
        ({"omit_classes": "3,5"}, '"3+5"'),
        ({"augmentation": "reflect_crop_flip"}, "augmentation = 'reflect_crop_flip'"),
        ({"teacher": "nobody"}, "teacher = 'nobody'"),
        ({"teacher": "smoke/nobody"}, "teacher = 'nobody'"),
        ({"teacher": "weights:nowhere.safetensors", "teacher_architecture": "cnn4"}, "/nowhere.safetensors' is"),
        ({"device": "abacus"}, "device = 'abacus' is refused: this machine offers cpu"),
        ({"run_type": "pupil"}, "run_type = 'pupil' is refused: allowed are teacher, student, measure"),
        ({"run_type": ["teacher"]}, "run_type = ['teacher'] is refused"),
    ],
    ids=str,
)
def test_parameters(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[str, Any], says: str
) -> None:
    assert says in refused(tmp_path, capsys, **given)
    assert not store.exists()


def drawn(folder: Path) -> Path:
    """Make a folder of small colour images of two classes."""
    for split in ("train", "val", "test"):
        for label in ("cat", "dog"):
            (folder / split / label).mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (32, 32), (40 * i, 9, 80)).save(folder / split / label / f"{i}.png")
    return folder


def test_teachers_that_do_not_fit(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KDLIB_DATASETS", str(tmp_path / "datasets"))
    teacher, other = (name for name in runs.names() if name.startswith("teacher-"))
    assert "begins 2 runs" in refused(tmp_path, capsys, teacher="teacher-digits", seed=7)
    assert "is a student, not a teacher" in refused(
        tmp_path, capsys, teacher=next(name for name in runs.names() if name.startswith("student-")), seed=7
    )
    (runs.Run(other).path / "metrics.json").unlink()
    assert "is not finished" in refused(tmp_path, capsys, teacher=other, seed=7)
    # other classes, and another shape of image
    folder = drawn(tmp_path / "images")
    said = refused(tmp_path, capsys, teacher=teacher, dataset=f"folder:{folder}", image_size=32)
    assert teacher in said and "was trained on digits:tiny, whose classes are not those of" in said


def test_a_corrupt_image(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KDLIB_DATASETS", str(tmp_path / "datasets"))
    folder = drawn(tmp_path / "images")
    torn = folder / "train" / "cat" / "1.png"
    torn.write_bytes(torn.read_bytes()[:60])
    assert str(torn) in refused(tmp_path, capsys, dataset=f"folder:{folder}", image_size=32)
    assert not store.exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is refused: "),
        ("[1]", "one JSON object of parameters"),
        (None, "No such file"),
        (b"\xff", "'utf-8' codec"),
    ],
)
def test_files_that_are_no_config(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | bytes | None, says: str
) -> None:
    if text is not None:
        (tmp_path / "mine.json").write_bytes(text.encode() if isinstance(text, str) else text)
    assert main(["run", str(tmp_path / "mine.json")]) == 2
    said = sentence(capsys.readouterr().err)
    assert says in said and "mine.json" in said
    assert not store.exists()


def test_a_store_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / "file" / "runs"))
    assert "KDLIB_RUNS = " in refused(tmp_path, capsys)


@pytest.mark.parametrize("command", ["plan", "study", "records"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "study = 'nowhere' is refused: allowed are "),
        ("nowhere.yaml", "nowhere.yaml' is refused: allowed are "),
        ("", "study = '' is refused"),
        ("bad.yaml", "bad.yaml: distilled: teacher = 'plian' is refused: allowed in study bad are plain, "),
    ],
)
def test_studies(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str, says: str
) -> None:
    (tmp_path / "bad.yaml").write_text("title: b\nteachers: {plain: {}}\nstudents: {distilled: {teacher: plian}}\n")
    given = str(tmp_path / name) if name.endswith(".yaml") else name
    assert main([command, given]) == 2
    assert says in sentence(capsys.readouterr().err)
    assert not store.exists()


def test_a_study_needs_a_profile_that_exists(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "quick", "--profile", "moon"]) == 2
    assert "profile = 'moon' is refused: allowed are " in sentence(capsys.readouterr().err)
    assert not store.exists()
