"""The tutorials of the book, run as a reader runs them: each block of the page, in order, in a folder of its own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from kdlib.base import paths

BLOCK = re.compile(r"^```(?:\{code-block\} \w+\n:caption: (?P<file>\S+)\n\n|bash\n)(?P<text>.*?)^```$", re.M | re.S)
ANY = re.compile(r"^```\S.*?^```$", re.M | re.S)


def script(page: str) -> str:
    """Return what a page tells its reader to write and to type, as one script."""
    text = (paths.ROOT / "book" / f"{page}.md").read_text()
    found = list(BLOCK.finditer(text))
    assert len(found) == len(ANY.findall(text)), "a block is neither a file nor a command"
    lines = ["set -euo pipefail"]
    for block in found:
        if block["file"]:
            file = shlex.quote(block["file"])
            lines += [f"mkdir -p $(dirname {file})", f"cat > {file} <<'END OF FILE'\n{block['text']}END OF FILE"]
        else:
            lines.append(block["text"])
    return "\n".join(lines)


def followed(page: str, folder: Path) -> str:
    """Follow a page in an empty folder that has a clone's environment and notebooks; return what was printed."""
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "notebooks").symlink_to(paths.NOTEBOOKS)
    given = {name: value for name, value in os.environ.items() if not name.startswith("KDLIB_")}
    given |= {"PYTHONPATH": str(paths.ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    given |= {f"KDLIB_{name.upper()}": str(folder / "data" / name) for name in ("runs", "jobs", "pages", "datasets")}
    done = subprocess.run(
        ["bash", "-c", script(page)], cwd=folder, env=given, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def shown(notebook: Path) -> str:
    """Return all HTML that an executed notebook shows."""
    outputs = [o for cell in nbformat.read(notebook, as_version=4).cells for o in cell.get("outputs", [])]
    return "\n".join(output.get("data", {}).get("text/html", "") for output in outputs)


def test_a_teacher_of_your_own(tmp_path: Path) -> None:
    said = followed("own_teacher", tmp_path)
    assert re.search(r"teacher +focal +focal +[\d.]+ +[\d.]+ +[\d.]+", said), said
    assert re.search(r"student +distilled +deterministic .*\n +focal ", said), said
    assert len(re.findall(r"^teacher-digits-small-focal-\S+  test accuracy 0\.\d+", said, re.M)) == 2, said
    page = shown(tmp_path / "data" / "pages" / "teachers.ipynb")
    assert "A teacher of the focal loss beside one of cross-entropy" in page and "focal loss</td>" in page
    assert len(list((tmp_path / "data" / "runs").glob("teacher-*/metrics.json"))) == 3  # step 3 made one of the study


def test_your_own_images(tmp_path: Path) -> None:
    said = followed("own_images", tmp_path)
    assert len(re.findall(r"^(?:china|flower) \[[01]\.\d+, [01]\.\d+\]$", said, re.M)) == 5, said
    maps = shown(tmp_path / "mine" / "maps.ipynb")
    assert "cam_area" in maps and "<img" in maps
    for sort in ("teacher", "student"):
        assert "test_accuracy" in shown(tmp_path / "mine" / f"{sort}.ipynb")
        assert len(list((tmp_path / "data" / "runs").glob(f"{sort}-folder*/metrics.json"))) == 1


@pytest.mark.parametrize("page", ["own_teacher", "own_images"])
def test_files_that_a_reader_writes_are_in_order(page: str, tmp_path: Path) -> None:
    text = (paths.ROOT / "book" / f"{page}.md").read_text()
    for block in BLOCK.finditer(text):
        if block["file"] and block["file"].endswith(".py"):
            (tmp_path / Path(block["file"]).name).write_text(block["text"])
    for words in (["check"], ["format", "--check", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--config", str(paths.ROOT / "pyproject.toml"), str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
