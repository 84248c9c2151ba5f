"""The book builds without a warning, before and after a study has run, and reads well in a real browser."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from browser import browser, chromium, needs_browser, open_every_page, served, settle
from built import build, said

from kdlib.base import paths

PAGES = [page.stem for page in (paths.ROOT / "book").glob("*.md")]
REMOTE = re.compile(r"""<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=["'](?:https?:)?//[^"']*""")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20"/></svg>'


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


def toc_results() -> list[str]:
    """Return the result pages that the table of contents names."""
    parts = yaml.safe_load((paths.ROOT / "_toc.yml").read_text())["parts"]
    files = [chapter["file"] for part in parts for chapter in part["chapters"]]
    return [name for name in files if name.startswith("book/results/")]


def test_book_before_any_study(fresh: Path) -> None:
    assert toc_results()
    for name in toc_results():
        file = fresh / f"{name}.ipynb"
        assert json.loads(file.read_text())["metadata"]["kdlib"] == {"stub": True}
        assert file.stat().st_mtime == 1, "a stub must be older than everything, or a study would not replace it"
        assert "Not run here yet" in (fresh / "_build/html" / f"{name}.html").read_text()


def test_book_reads_nothing_from_the_network(fresh: Path) -> None:
    html = fresh / "_build/html"
    pages = [page for page in html.rglob("*.html") if "_static" not in page.parts]
    assert len(pages) >= len(PAGES)
    assert not [(page.name, found) for page in pages for found in REMOTE.findall(page.read_text())]
    sheets = html.rglob("*.css")
    assert not [s.name for s in sheets if re.search(r"(url\(|@import )[\"']?(https?:)?//", s.read_text())]
    assert (html / "_static/mathjax/LICENSE").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_short(page: str) -> None:
    text = (paths.ROOT / "book" / f"{page}.md").read_text()
    prose = re.sub(r"```.*?```|\$\$.*?\$\$", "", text, flags=re.DOTALL)
    assert len(prose.split()) <= 700


@needs_browser
def test_formulas_are_set_by_the_books_own_mathjax(fresh: Path) -> None:
    with served(fresh / "_build/html") as address, browser() as chrome:
        page = chrome.new_page()
        page.goto(f"{address}/book/background.html", wait_until="load")
        settle(page)
        assert page.locator("mjx-container").count() > 20
        assert page.evaluate("() => document.fonts.check('16px MJXTEX')")


@needs_browser
def test_faults_of_a_page_are_found(tmp_path: Path) -> None:
    (tmp_path / "searchindex.js").write_text("")
    (tmp_path / "bad.html").write_text(
        "<title>Bad</title><img src='gone.png'><a href='#nowhere'>a</a><a href='gone.html'>b</a>"
        "<p class='math'>x</p><div style='width: 600px'>wide</div>"
        "<script>console.error('oh')</script><script src='https://example.org/x.js'></script>"
    )
    problems = "\n".join(open_every_page(tmp_path))
    for fault in (
        "console: oh",
        "404: ",
        "missing image: gone.png",
        "image without alternative text",
        "#nowhere",
        "broken link http://127.0.0.1",
        "gone.html",
        "1 of 1 formulas are not set",
        "pixels wide on a screen of 390",
        "remote: https://example.org/x.js",
    ):
        assert fault in problems


def test_result_page_replaces_its_stub_and_back(fresh: Path, tmp_path: Path) -> None:
    tree = tmp_path / "ran"
    shutil.copytree(fresh, tree)
    page, index = tree / "book/results/claims.ipynb", tree / "_build/html/book/index.html"
    page.write_text(json.dumps(executed_page()))
    result = build(tree)
    assert result.returncode == 0, said(result)
    assert "a measured difference of" in index.read_text() and "<figure id='study'>drawn" in index.read_text()
    shown = (tree / "_build/html/book/results/claims.html").read_text()
    assert "a measured difference of" not in shown, "the opening page alone repeats it"
    assert 'alt="A black bar."' in shown
    assert "A bar of height" in shown
    if chromium():
        opened = ("book/index.html", "book/results/claims.html", "book/results/teachers.html")  # its stub, too
        assert open_every_page(tree / "_build/html", opened) == []
    # A real page is never overwritten, and one that is taken away leaves no old result behind.
    assert "stub" not in page.read_text()
    page.unlink()
    result = build(tree)
    assert result.returncode == 0, said(result)
    assert "a measured difference of" not in index.read_text()
    assert "Not run here yet" in (tree / "_build/html/book/results/claims.html").read_text()


def test_stray_warning_in_a_page_fails_the_build(fresh: Path, tmp_path: Path) -> None:
    tree = tmp_path / "stray"
    shutil.copytree(fresh, tree)
    page = tree / "book/results/teachers.ipynb"
    page.write_text(json.dumps(executed_page(stream="UserWarning: something")))
    os.utime(page)
    result = build(tree)
    assert result.returncode != 0
    assert "stderr was found" in result.stdout + result.stderr
