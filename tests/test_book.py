"""The book builds without a warning, before and after a study has run, and reads well in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from browser import browser, chromium, needs_browser, open_every_page, served, settle
from built import build, executed_page, said

from kdlib.base import paths

PAGES = [page.stem for page in (paths.ROOT / "book").glob("*.md")]
REMOTE = re.compile(r"""<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=["'](?:https?:)?//[^"']*""")


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


def test_result_page_replaces_its_stub_and_back(filled: Path, tmp_path: Path) -> None:
    tree = tmp_path / "ran"
    shutil.copytree(filled, tree)
    page, index = tree / "book/results/claims.ipynb", tree / "_build/html/book/index.html"
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
