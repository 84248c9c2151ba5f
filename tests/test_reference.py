"""The book's reference: every parameter with a command that works, and the library from its docstrings."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kdlib.base import paths
from kdlib.runs.notebook import parameters
from kdlib.runs.plans import plan
from kdlib.runs.sweeps import expand

sys.path.insert(0, str(paths.ROOT / "book" / "_ext"))
import parameter_tables

NOTEBOOKS = ("teacher", "student", "eigencam", "synthetic")


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_parameter_stands_once_in_its_table(notebook: str) -> None:
    names = [row.name for _, rows in parameter_tables.groups(notebook) for row in rows]
    assert sorted(names) == sorted(parameters(notebook))
    for _, rows in parameter_tables.groups(notebook):
        for row in rows:
            assert row.meaning and row.default and f"-p {row.name} " in row.words


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_example_is_accepted(notebook: str) -> None:
    for _, rows in parameter_tables.groups(notebook):
        for row in rows:
            words = shlex.split(row.words)
            assert set(words[::3]) == {"-p"}
            given = dict(zip(words[1::3], words[2::3], strict=True))
            values = {name: value == "True" if value in ("True", "False") else value for name, value in given.items()}
            (first, *_) = expand(notebook, values)
            wanted, got = given[row.name].partition(",")[0], getattr(first, row.name)
            if not re.search("~|FILE", wanted):  # those become whole paths
                assert got in (wanted, yaml.safe_load(wanted)), row  # else it means nothing beside the others
            if not re.search("RUN|FILE", row.words):
                assert plan(first).name


def test_tables_need_no_torch() -> None:
    code = "import sys; sys.path.insert(0, 'book/_ext'); import parameter_tables; parameter_tables.table('teacher')"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"],
        cwd=paths.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_command_of_the_table_is_whole() -> None:
    table = parameter_tables.table("student")
    (command,) = re.findall(r"<pre[^>]*>(.*?-p framework kd,crd)\n</pre>", table)
    text = html.unescape(re.sub(r"<[^>]+>", "", command))
    assert text == ".venv/bin/papermill notebooks/student.ipynb data/jobs/student.ipynb -p framework kd,crd"
    assert (paths.ROOT / shlex.split(text)[1]).is_file()


def test_the_library_is_described(fresh: Path) -> None:
    page = (fresh / "_build/html/book/library.html").read_text()
    for name in (
        "kdlib.study.table", "kdlib.teachers.load", "kdlib.teachers.contract.Teacher.probs", "kdlib.data.load",
        "kdlib.data.fingerprint", "kdlib.models.build", "kdlib.teachers.kind.Kind.fit",
        "kdlib.students.frameworks.framework.Framework.answer", "kdlib.base.config.parameter",
    ):  # fmt: skip
        assert f'id="{name}"' in page, name
    assert "wrn_40_2" in page
