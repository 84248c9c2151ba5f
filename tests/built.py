"""Build the book in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from kdlib.base import paths


def copied_book(folder: Path) -> Path:
    """Copy what a build reads, without results, so that no test touches the clone's own pages."""
    folder.mkdir()
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(paths.ROOT / name, folder / name)
    leave = shutil.ignore_patterns("results", "__pycache__", "_build", ".*")
    shutil.copytree(paths.ROOT / "book", folder / "book", ignore=leave)
    return folder


def build(tree: Path) -> subprocess.CompletedProcess[str]:
    """Build the book in a tree, warnings taken as errors."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", ".", "-W", "--keep-going"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=300, check=False)


def said(result: subprocess.CompletedProcess[str]) -> str:
    """Return the end of what a build said, for a failing test."""
    return (result.stdout + result.stderr)[-3000:]
