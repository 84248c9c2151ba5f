"""What people find who use, cite or carry on the project: licences, a citation, hooks, templates, a workflow."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdlib.base import paths

ROOT = paths.ROOT


def read(name: str) -> Any:
    """Return what a YAML file holds."""
    return yaml.safe_load((ROOT / name).read_text())


def test_readme_is_one_screen() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 60
    (picture,) = re.findall(r"^!\[.+\]\((.+)\)$", text, re.M)
    assert (ROOT / picture).is_file()
    for said in ("make book", "make test", "make lab", "make pdf", "papermill", "GitHub Pages", "Linux", "TORCH=cpu"):
        assert said in text
    for file in re.findall(r"`([A-Z][A-Za-z-]+\.?\w*)`", text):
        assert (ROOT / file).exists() or file == "GitHub", file


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", "book/commands.md", "book/reproducing.md"])
def test_make_knows_each_command_that_is_named(file: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / file).read_text(), re.M))
    assert named <= targets, named - targets


def test_every_study_stands_on_the_page_of_commands() -> None:
    text = (ROOT / "book/commands.md").read_text()
    assert all(f"`{path.stem}`" in text for path in (ROOT / "data/studies").glob("*.yaml") if path.stem != "smoke")


def test_citation_and_licences() -> None:
    citation = read("CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["cff-version"] == "1.2.0" and citation["version"] == project["version"]
    assert citation["license"] == "MIT" == project["license"]
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    bib = (ROOT / "book/references.bib").read_text()
    for paper in citation["references"]:
        (arxiv,) = paper["identifiers"]
        assert f"{{{arxiv['value'].removeprefix('arXiv:')}}}" in bib
    text = (ROOT / "LICENSE-TEXT.md").read_text()
    assert "CC BY 4.0" in text and "CC BY-NC-SA 4.0" in text
    for place in re.findall(r"\| `([\w/]+)` \|", text):
        assert (ROOT / place).is_dir(), place


def test_issue_templates_are_forms() -> None:
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) >= 3
    for form in forms:
        held = yaml.safe_load(form.read_text())
        if form.stem == "config":
            continue
        assert held["name"] and held["description"]
        for field in held["body"]:
            assert field["id"] and field["attributes"]["label"]
            assert all(isinstance(option, str) for option in field["attributes"].get("options", []))


def test_workflow_publishes_what_make_builds() -> None:
    (job,) = read(".github/workflows/book.yml")["jobs"].values()
    runs = [step.get("run", "") for step in job["steps"]]
    uses = [step.get("uses", "").partition("@")[0] for step in job["steps"]]
    assert any(run.startswith("make book") for run in runs) and any("make pdf" in run for run in runs)
    assert uses.index("actions/upload-pages-artifact") < uses.index("actions/deploy-pages")
    assert any("BOOK_URL" in step.get("env", {}) for step in job["steps"])


def test_hooks_are_tools_of_the_lock() -> None:
    locked = {line.split("=")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    (local,) = read(".pre-commit-config.yaml")["repos"]
    tools = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in local["hooks"]}
    assert tools == {"ruff", "mypy", "nbstripout"} <= locked and "pre-commit" in locked


def test_stripped_notebooks_keep_their_tags(tmp_path: Path) -> None:
    (local,) = read(".pre-commit-config.yaml")["repos"]
    (entry,) = [hook["entry"] for hook in local["hooks"] if hook["id"] == "notebooks"]
    given = sorted((ROOT / "notebooks").rglob("*.ipynb"))
    copies = [Path(shutil.copy(path, tmp_path / f"{n}.ipynb")) for n, path in enumerate(given)]
    command = [sys.executable, "-m", *Path(entry).name.split(), *map(str, copies)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path, copy in zip(given, copies, strict=True):
        assert copy.read_bytes() == path.read_bytes(), f"{path} was committed with outputs, or loses something"
        assert b'"tags"' in copy.read_bytes()
