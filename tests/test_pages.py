"""Every result page from the records, as a reader meets it: it answers first, keeps its budgets, and links lead."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from accessible import findings
from browser import HEIGHT, PHONE, WIDE, needs_browser, open_every_page
from built import build, copied_book, said
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from kdlib.base import paths

PAGES = sorted(page.stem for page in (paths.ROOT / "notebooks" / "reports").glob("*.ipynb"))
EMPTY = {"replication"}
"""Pages of what a machine has made itself."""
Facts = dict[str, dict[int, dict[str, Any]]]
"""What is seen, by page and width."""
FIGURES, TABLES, PIXELS, WORDS, BYTES = 6, 1, 7_000, 700, 600_000

SEEN = """() => {
  const article = document.querySelector("article");
  const shown = name => [...article.querySelectorAll(name)].filter(e => e.checkVisibility());
  const top = name => shown(name).map(e => e.getBoundingClientRect());
  const room = article.getBoundingClientRect().right + 1;
  return {
    height: document.documentElement.scrollHeight, figures: shown("figure").length, tables: shown("table").length,
    words: article.innerText.split(/\\s+/).length, answer: top(".answer")[0]?.bottom, key: top("figure")[0]?.top,
    wide: shown("figure, .wide-table, table").filter(e => !e.closest(".wide-table > *"))
          .filter(e => e.getBoundingClientRect().right > room).map(e => e.id || e.className),
    rows: [...article.querySelectorAll("a[download]")].map(a => [a.download, a.href]),
    how: !!article.querySelector('a[href$="reading.html"]'),
  };
}"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every page on the records and an empty store; build the book of them as it is published; return its HTML."""
    tree = copied_book(tmp_path_factory.mktemp("pages") / "book")
    results = tree / "book" / "results"
    results.mkdir()

    # one kernel for all, emptied between pages: a kernel each takes longer than what it runs
    environment = {**os.environ, "KDLIB_RUNS": str(tree / "runs"), "OMP_NUM_THREADS": "1"}
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(paths.ROOT), env=environment)
    try:
        for page in PAGES:
            notebook = nbformat.read(paths.ROOT / f"notebooks/reports/{page}.ipynb", as_version=4)
            run = NotebookClient(notebook, km=manager, timeout=300)
            run.kc = client
            for number, cell in enumerate(notebook.cells):
                run.execute_cell(cell, number)
            nbformat.write(notebook, results / f"{page}.ipynb")
            client.execute("%reset -f", reply=True, timeout=60)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOOK_URL", "https://example.org/book ")
        done = build(tree)
    assert done.returncode == 0, said(done)
    return tree / "_build" / "html"


@pytest.fixture(scope="module")
def looked(book: Path) -> tuple[list[str], Facts]:
    """Open every page at the width of a desk and of a phone; return what is wrong, and what is seen of results."""
    found: Facts = {}

    def look(page: Any, name: str, width: int) -> None:
        if "/results/" in name:
            found.setdefault(Path(name).stem, {})[width] = page.evaluate(SEEN)

    return open_every_page(book, look=look), found


@pytest.fixture(scope="module")
def facts(looked: tuple[list[str], Facts]) -> Facts:
    """Return what is seen of every result page, by its width."""
    return looked[1]


@needs_browser
@pytest.mark.parametrize("page", PAGES)
def test_a_page_answers_first_and_keeps_its_budgets(page: str, book: Path, facts: Facts) -> None:
    seen, on_a_phone = facts[page][WIDE], facts[page][PHONE]
    assert seen["answer"] is not None and seen["answer"] < HEIGHT and seen["how"]
    assert seen["figures"] <= FIGURES and seen["tables"] <= TABLES
    assert seen["height"] <= PIXELS and seen["words"] <= WORDS
    assert (book / f"book/results/{page}.html").stat().st_size <= BYTES
    assert seen["wide"] == [] and on_a_phone["wide"] == []
    assert page in EMPTY or seen["key"] < HEIGHT


@needs_browser
@pytest.mark.parametrize("page", PAGES)
def test_rows_lie_behind_every_figure(page: str, facts: Facts) -> None:
    seen = facts[page][WIDE]
    assert page in EMPTY or len(seen["rows"]) > 0
    for name, link in seen["rows"]:
        assert name.endswith(".csv") and link.startswith("data:text/csv;base64,")
        rows = pd.read_csv(io.BytesIO(base64.b64decode(link.partition(",")[2])))
        assert len(rows) and rows.columns.is_unique, name


def test_no_page_waits_for_results(book: Path) -> None:
    for page in PAGES:
        text = (book / f"book/results/{page}.html").read_text(encoding="utf-8")
        assert "Not run here yet" not in text
        assert page in EMPTY or "No study has filled this page" not in text, page


def test_a_published_book_knows_its_address(book: Path) -> None:
    text = (book / "book/reading.html").read_text()
    assert '<meta property="og:url" content="https://example.org/book/book/reading.html"' in text
    assert '<link rel="canonical" href="https://example.org/book/book/reading.html"' in text


@needs_browser
def test_every_page_opens_and_every_link_leads(looked: tuple[list[str], Facts]) -> None:
    assert looked[0] == []


@needs_browser
def test_axe_finds_nothing_serious_on_pages_of_every_make(book: Path) -> None:
    assert findings(book, [f"book/results/{page}.html" for page in ("bcp", "claims", "zeroshot")]) == []
