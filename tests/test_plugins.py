"""A kind of teacher and a framework from a file outside the package go wherever the package's own go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kdlib.base import paths

PLUGIN = Path(__file__).parent / "plugins" / "uniform.py"
STUDY = """
title: Plugged
about: A kind and a framework from outside.
parameters: {dataset: "digits:tiny", epochs: 1, threads: 1, seed: [0, 1]}
reports: [teachers]
teachers:
  flat: {kind: uniform}
  leaning: {kind: uniform, lean: 2}
  plain: {architecture: cnn4}
students:
  brier: {teacher: [flat, plain], framework: brier, architecture: cnn4}
"""
LOOK = """
import json, math
import torch
from kdlib import data, teachers
from kdlib.report.choice import gains
from kdlib.report.draw import dots
from kdlib.report.theme import marks_of, name_of
from kdlib.study import table
from kdlib.study.keeping import keep

frame = table("{study}")
flat = frame[frame["label"] == "flat"].iloc[0]
images = data.load("digits:tiny").test.images[:5]
leaning = teachers.load(str(frame[frame["label"] == "leaning"].iloc[0]["run"]))
kept, count = keep("{study}")
print(json.dumps({{
    "rows": frame[["label", "teacher", "run_type", "source"]].drop_duplicates().to_dict("records"),
    "lean": sorted(frame["lean"].dropna().unique().tolist()),
    "nll": flat["test_nll"],
    "flat": teachers.load(str(flat["run"])).probs(images)[0].tolist(),
    "first": float(leaning.probs(images)[0, 0]),
    "mark": marks_of(["flat", "uniform"])["uniform"].color, "name": name_of("brier"),
    "figure": len(dots(gains(frame[frame["run_type"] == "teacher"], baseline="flat"), "test_accuracy").axes),
    "kept": count,
}}))
"""


def called(folder: Path, *words: str, plugins: str | None = str(PLUGIN)) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder with a store of its own and, unless it is none, the plugin."""
    own = {"KDLIB_RUNS": str(folder / "runs"), "PYTHONPATH": str(paths.ROOT), "PYTHONWARNINGS": "ignore"}
    given = {**os.environ, **own, **({"KDLIB_PLUGINS": plugins} if plugins else {})}
    return subprocess.run([sys.executable, *words], cwd=folder, env=given, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the study, all of whose runs were made."""
    place = tmp_path_factory.mktemp("plugged")
    (place / "plugged.yaml").write_text(STUDY)
    code = (
        "from kdlib.runs import studies\nfrom kdlib.runs.execute import execute\n"
        f"for entry in studies.load({str(place / 'plugged.yaml')!r}).entries:\n"
        "    for config in entry.configs():\n        execute(config)\n"
    )
    done = called(place, "-c", code)
    assert done.returncode == 0, done.stderr
    return place


def test_a_kind_and_a_framework_go_through_study_store_table_and_figure(folder: Path) -> None:
    code = LOOK.format(study=folder / "plugged.yaml")
    done = called(folder, "-c", "from kdlib.base import paths; from pathlib import Path; "
                  f"paths.RECORDS = Path({str(folder / 'records')!r})\n{code}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    assert {(row["label"], row["teacher"]) for row in seen["rows"]} == {
        ("flat", "uniform"), ("leaning", "uniform"), ("plain", "deterministic"), ("brier", "uniform"),
        ("brier", "deterministic"),
    }  # fmt: skip
    assert seen["lean"] == [0.0, 2.0]
    assert seen["flat"] == pytest.approx([0.1] * 10) and seen["nll"] == pytest.approx(2.302585, abs=1e-3)
    assert seen["first"] == pytest.approx(7.389056 / (9 + 7.389056), abs=1e-4)
    assert (seen["mark"], seen["name"], seen["kept"]) == ("#4d4d4d", "Brier", 10) and seen["figure"]


def test_a_kind_goes_through_papermill(folder: Path) -> None:
    notebook = str(paths.NOTEBOOKS / "teacher.ipynb")
    given = ["-p", "kind", "uniform", "-p", "dataset", "digits:tiny", "-p", "lean", "1.5", "-k", "python3"]
    done = called(folder, "-m", "papermill", notebook, str(folder / "out.ipynb"), *given)
    assert done.returncode == 0, done.stderr
    assert "uniform" in (folder / "out.ipynb").read_text()
    (run,) = [path for path in (folder / "runs").glob("teacher-*/config.json") if '"lean": 1.5' in path.read_text()]
    assert (run.parent / "metrics.json").is_file()


def test_without_the_plugin_its_runs_are_one_sentence(folder: Path) -> None:
    run = next(path.name for path in (folder / "runs").glob("teacher-*uniform*"))
    done = called(folder, "-c", f"from kdlib import teachers; teachers.load({run!r})", plugins=None)
    last = done.stderr.strip().splitlines()[-1]
    assert "kind = 'uniform' is refused: allowed are deterministic" in last
    listed = called(folder, "-m", "kdlib", "list", plugins=None)
    assert listed.returncode == 0 and run in listed.stdout


@pytest.mark.parametrize("path", ["plugins/uniform.py", "/nowhere/kind.py", "/etc/hostname"])
def test_only_absolute_paths_of_python_files_are_executed(tmp_path: Path, path: str) -> None:
    (tmp_path / "run.json").write_text('{"dataset": "digits:tiny"}')
    done = called(tmp_path, "-m", "kdlib", "run", "run.json", plugins=path)
    assert done.returncode == 2 and f"KDLIB_PLUGINS = {path!r} is refused" in done.stderr


def test_a_parameter_cannot_have_two_meanings(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(PLUGIN.read_text().replace("lean", "smoothing").replace('"uniform"', '"other"'))
    done = called(tmp_path, "-c", "from kdlib.teachers.kinds import schema; schema()", plugins=str(other))
    assert "parameter 'smoothing' of kind other is refused: kind label_smoothing has it." in done.stderr


def test_a_file_that_fails_fails_each_time_and_two_may_have_one_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(
            PLUGIN.read_text()
            .replace('"uniform"', f'"uniform_{folder}"')
            .replace("lean", f"lean_{folder}")
            .replace('"brier"', f'"b_{folder}"')
        )
    both = os.pathsep.join(str(tmp_path / folder / "mine.py") for folder in "ab")
    ask = "from kdlib.teachers.kinds import KINDS; print(*KINDS)"
    assert {"uniform_a", "uniform_b"} <= set(called(tmp_path, "-c", ask, plugins=both).stdout.split())
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('torn')\n")
    twice = (
        "from kdlib.teachers.kinds import KINDS\nfor _ in range(2):\n    try:\n        len(KINDS)\n"
        "    except RuntimeError as error:\n        print(error)\n"
    )
    assert called(tmp_path, "-c", twice, plugins=str(broken)).stdout.split() == ["torn", "torn"]
