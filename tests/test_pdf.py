"""The book as one PDF: every page of it once, formulas set, links that lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from browser import browser, chromium, served, settle
from built import executed_page

from kdlib.base import paths

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium installed: nothing is printed")


@pytest.fixture(scope="module")
def pdf() -> ModuleType:
    """Return `book/pdf.py`."""
    spec = importlib.util.spec_from_file_location("book_pdf", paths.ROOT / "book" / "pdf.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_book_is_one_pdf(
    pdf: ModuleType, fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "book"
    shutil.copytree(fresh, tree)
    (tree / "book/results/teachers.ipynb").write_text(json.dumps(executed_page()))
    assert pdf.main([str(tree)]) == 0
    file = tree / "_build" / "distilling-bayes.pdf"
    assert capsys.readouterr().out.endswith(f"the book: {file}\n")
    data = file.read_bytes()
    assert data.startswith(b"%PDF-") and b"/Outlines" in data and b"/StructTreeRoot" in data
    assert b"127.0.0.1" not in data, "a link leads to the machine that printed it"
    marks = re.findall(rb"/Title\s*\(([^)]*)\)", data)
    assert len(marks) > 40 and b"Errata of the published code" in marks  # each once, as it reads
    pages = len(list((fresh / "_build/html/book").rglob("*.html")))
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", data)) > pages

    with served(tree / "_build/singlehtml") as address, browser() as chrome:
        tab = chrome.new_page()
        tab.goto(f"{address}/whole.html", wait_until="load")
        settle(tab)
        assert tab.evaluate(pdf.PREPARE, "about") == pages - 1  # the first begins without an anchor
        wrong = """() => [...document.querySelectorAll("a[href^='#']")].map(a => decodeURIComponent(a.hash.slice(1)))
            .filter(id => !document.getElementById(id))"""
        assert tab.evaluate(wrong) == []
        assert tab.locator(".print-contents li").count() == pages - 1
        assert tab.locator(".math").count() <= tab.locator("mjx-container").count() > 50
        assert tab.locator("mjx-merror").count() == 0
    # Without a Chromium there is one sentence.
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pdf.main([str(tree)]) == 1
    assert "nothing is printed, for there is no Chromium here" in capsys.readouterr().out
