"""Build the book in a folder of its own."""

from __future__ import annotations

import base64
import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdlib.base import paths

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20"/></svg>'


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


def built_once(tree: Path, make: Callable[[Path], object]) -> Path:
    """Make and build a tree, unless another process of pytest-xdist has; tests copy it before they change it.

    Args:
        tree: where, in a folder that the processes share.
        make: makes it.
    """
    with tree.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = tree.with_suffix(".built")
        if not done.exists():
            shutil.rmtree(tree, ignore_errors=True)
            make(tree)
            result = build(tree)
            assert result.returncode == 0, said(result)
            done.touch()
    return tree


def executed_page(stream: str | None = None) -> dict[str, Any]:
    """Return a result page as papermill leaves it: a figure with caption and text, a wide table, a finding."""
    figure = {
        "image": {"alt": "A black bar."},
        "figure": {"caption": "A bar of height $h$.", "name": "fig-bar"},
    }
    encoded = base64.b64encode(SVG.encode()).decode()
    drawn = (
        f'<figure><img alt="A bar" src="data:image/svg+xml;base64,{encoded}"><figcaption>A bar</figcaption></figure>'
    )
    columns = "".join(f"<th>a_long_column_{i}</th>" for i in range(30))
    table = f'<table class="dataframe"><thead><tr>{columns}</tr></thead></table>'

    def cell(outputs: list[dict[str, Any]], tags: list[str], **metadata: Any) -> dict[str, Any]:
        return {
            "cell_type": "code",
            "execution_count": 1,
            "id": f"c{len(cells)}",
            "metadata": {"tags": tags, **metadata},
            "source": "1 + 1",
            "outputs": outputs,
        }

    def display(**data: str) -> list[dict[str, Any]]:
        mime = {key.replace("__", "+").replace("_", "/", 1): value for key, value in data.items()}
        return [{"output_type": "display_data", "metadata": {}, "data": mime}]

    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Teachers\n\nSee {numref}`fig-bar`."}
    ]
    cells.append(cell(display(image_svg__xml=SVG), ["remove-input"], mystnb=figure))
    cells.append(cell(display(text_html=drawn), ["remove-input"]))
    cells.append(cell(display(text_html=table), ["hide-input"]))
    answer = "**quick**: a measured difference of $d = 1.5$ points ([claims](/book/claims.md))."
    cells.append(cell(display(text_markdown=answer), ["remove-cell", "front"]))
    cells.append(cell(display(text_html="<figure id='study'>drawn</figure>"), ["remove-cell", "front"]))
    if stream:
        cells.append(cell([{"output_type": "stream", "name": "stderr", "text": stream}], []))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
