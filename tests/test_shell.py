"""Nothing that a user types reaches a shell, and folders may be called what they like."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdlib.__main__ import main
from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.runs import studies
from kdlib.study import jobs

TINY: dict[str, Any] = {
    "title": "Tiny $(touch PWNED) {x}",
    "parameters": {"dataset": "digits:tiny", "architecture": "cnn4", "epochs": 1, "threads": 1},
    "teachers": {"plain": {"kind": "deterministic"}},
}
BAD_LABELS = [
    "$(touch PWNED)",
    "T=4 (warm)",
    "a&b",
    "it's",
    "{x}",
    "a/b",
    "a" * 300,
    "",
    "..",
    "-n",
    "a\nb",
    "größe",
    "x\n",
]


def written(path: Path, **changed: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**TINY, **changed}, allow_unicode=True, sort_keys=False))
    return path


@pytest.mark.parametrize("label", BAD_LABELS)
@pytest.mark.parametrize("section", ["teachers", "students"])
def test_a_label_that_is_no_part_of_a_file_name_is_refused_in_plan(
    label: str, section: str, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"teachers": {"kind": "deterministic"}, "students": {"teacher": "one_hot"}}[section]
    file = written(tmp_path / "mine.yaml", **{section: {label: given}})
    assert main(["plan", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"kdlib: mine.yaml: {section}.{label!r} is refused: a label is 1 to 64 ")
    assert said.count("\n") == 1 and not store.exists()


def test_labels_of_letters_digits_and_marks_are_kept(tmp_path: Path, store: Path) -> None:
    labels = ["a" * 64, "T4_warm", "t-4.5", "0"]
    study = studies.load(str(written(tmp_path / "mine.yaml", teachers={label: {} for label in labels})))
    assert [entry.label for entry in study.entries] == labels


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("title: t\ntitle: u\n", "title"),
        ("title: t\nteachers: {a: {}}\nteachers: {b: {}}\n", "teachers"),
        ("title: t\nteachers:\n  a: {seed: 0}\n  b: {}\n  'a': {seed: 1}\n", "a"),
        ("title: t\nteachers:\n  a: {epochs: 1, seed: 0, epochs: 2}\n", "epochs"),
        ("title: t\nteachers:\n  a: &a {seed: 0}\n  b: &b {epochs: 1}\n  c: {<<: *a, <<: *b}\n", "<<"),
    ],
)
def test_what_is_there_twice_is_refused(text: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text(text)
    with pytest.raises(InputError) as refused:
        studies.load(str(tmp_path / "twice.yaml"))
    line = max(i for i, line in enumerate(text.splitlines(), 1) if f"{key}:" in line.replace("'", ""))
    assert str(refused.value) == (
        f"twice.yaml: {key!r} in line {line} is refused: it is there already, and allowed once."
    )


def test_merged_keys_are_overridden(tmp_path: Path, store: Path) -> None:
    (tmp_path / "merged.yaml").write_text(
        "title: t\nteachers:\n  a: &a {dataset: 'digits:tiny', epochs: 1}\n  b: &b {<<: *a, epochs: 2}\n"
        "  c: {<<: *b, epochs: 3}\n  d: {<<: [*a, *b]}\n"
    )
    entries = studies.load(str(tmp_path / "merged.yaml")).entries
    assert [entry.given["epochs"] for entry in entries] == [1, 2, 3, 1]
    assert {entry.given["dataset"] for entry in entries} == {"digits:tiny"}


@pytest.mark.parametrize("name", ["my tiny", "{x}", "$(touch PWNED)", "it's", "a & b #1", "T: 4", "grün", "a" * 250])
def test_a_study_file_may_be_called_anything(name: str, tmp_path: Path, store: Path) -> None:
    file = written(tmp_path / f"{name}.yaml")
    study = studies.load(str(file))
    assert study.name == name
    (job,) = jobs.jobs_of(study, 1)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", job)


def test_a_plus_in_a_study_s_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"C\+\+/mine.yaml' is refused: allowed are paths without \+"):
        studies.load(str(written(tmp_path / "C++" / "mine.yaml")))


@pytest.mark.parametrize("variable", ["KDLIB_JOBS", "KDLIB_PAGES"])
@pytest.mark.parametrize("folder", ["{x}", "$(touch PWNED)", "`touch PWNED`", 'a"b', "a\\b", "a\nb"])
@pytest.mark.parametrize("command", ["plan", "study"])
def test_a_folder_that_no_rule_can_name_is_refused(
    command: str, folder: str, variable: str, tmp_path: Path, store: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, str(tmp_path / folder))
    assert main([command, str(written(tmp_path / "mine.yaml"))]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"kdlib: {variable} = {str(tmp_path / folder)!r} is refused: ") and said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml"]


@pytest.mark.skipif(shlex.quote(str(paths.ROOT)) != str(paths.ROOT), reason="this clone's own path is refused there")
@pytest.mark.parametrize("options", [["--profile", "slurm"], ["--executor", "slurm"]])
def test_a_cluster_gets_plain_paths_only(
    options: list[str], tmp_path: Path, store: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = str(written(tmp_path / "mine.yaml"))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "v env" / "bin" / "python"))
        assert main(["study", file, *options]) == 2
        assert "v env/bin/python' is refused on a cluster" in capsys.readouterr().err
    monkeypatch.setenv("KDLIB_JOBS", str(tmp_path / "it's"))
    assert main(["study", file, *options]) == 2
    assert f"KDLIB_JOBS = {os.environ['KDLIB_JOBS']!r} is refused on a cluster" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize(
    "value", ["my $(shell touch PWNED).yaml", "a; touch PWNED", "`touch PWNED`", 'it\'s "x"', "$$1"]
)
def test_make_hands_on_what_is_typed(value: str, tmp_path: Path) -> None:
    folder = tmp_path / "my clöne & it's"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(paths.ROOT / "Makefile", folder)
    python = folder / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> called\n')
    python.chmod(0o755)
    for given in ([f"STUDY={value}"], []):  # on make's command line, and in the environment
        subprocess.run(
            ["make", "-s", "-o", ".venv/installed", "study", *given],
            cwd=folder, env={**os.environ, "STUDY": value}, check=True,
        )  # fmt: skip
    assert (folder / "called").read_text().splitlines() == [f"-m kdlib study {value}", "-m kdlib book"] * 2
    assert not list(tmp_path.rglob("PWNED"))


def copied(folder: Path) -> Path:
    """Return a copy of the clone without what git ignores, with an environment of its own in `v env`."""
    for name in ("Snakefile", "kdlib", "notebooks", "profiles", "pyproject.toml"):
        source = paths.ROOT / name
        if source.is_file():
            shutil.copy(source, folder / name)
        else:
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (folder / "data" / "studies").mkdir(parents=True)
    (folder / "v env").symlink_to(sys.prefix, target_is_directory=True)
    return folder


def test_a_study_runs_whatever_things_are_called(tmp_path: Path) -> None:
    odd = tmp_path / "my stüdy & it's; touch PWNED #1"
    (odd / "my clone").mkdir(parents=True)
    clone = copied(odd / "my clone")
    file = written(odd / "my {tiny}: $(touch PWNED).yaml", reports=["teachers"])
    env = {**os.environ, "PYTHONPATH": str(clone), "KDLIB_DATASETS": str(paths.datasets()), "OMP_NUM_THREADS": "1"}
    env |= {f"KDLIB_{name.upper()}": str(odd / name) for name in ("jobs", "pages")}
    env["KDLIB_RUNS"] = str(odd / "{runs} $(touch PWNED)")  # read by Python alone
    command = [str(clone / "v env" / "bin" / "python"), "-m", "kdlib", "study", str(file)]
    done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((odd / "{runs} $(touch PWNED)").glob("*/metrics.json"))) == 1
    assert len(list((odd / "jobs").glob("my__tiny_*-teacher-plain-*.ipynb"))) == 1
    assert "Tiny $(touch PWNED) {x}" in (odd / "pages" / "teachers.ipynb").read_text()
    assert not list(tmp_path.rglob("PWNED"))
