"""Print the book as one PDF, `_build/distilling-bayes.pdf`: Sphinx makes one page of all, headless Chromium prints it.

    python book/pdf.py [<folder with the book's sources>]

What a page of the book folds away is left out; what it shows in tabs stands one below the other. Links lead to pages of
the PDF, and headings are its bookmarks.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from kdlib.base import paths

sys.path.insert(0, str(paths.ROOT / "tests"))
STYLE = Path(__file__).parent / "_static" / "print.css"
FOOT = """<div style="width: 100%; font: 8px sans-serif; color: #555; text-align: center">
<span class="pageNumber"></span></div>"""
MARGIN = {"top": "18mm", "bottom": "20mm", "left": "18mm", "right": "18mm"}

PREPARE = """about => {
  const article = document.querySelector("article"), make = (tag, text) => {
    const one = document.createElement(tag); one.textContent = text; return one; };
  // The sources' pages begin at anchors that Sphinx leaves; the first is the one without.
  const starts = [...article.querySelectorAll("span[id^='document-']")];
  const list = make("ul", "");
  for (const start of starts) {
    const heading = start.parentElement.querySelector(`[id="${CSS.escape(start.id)}"] ~ section :is(h1, h2)`)
      || start.nextElementSibling?.querySelector("h1, h2");
    if (!heading) continue;
    heading.closest("section").classList.add("page-start");
    const link = make("a", heading.firstChild.textContent);
    link.href = "#" + start.id;
    const item = make("li", ""); item.append(link); list.append(item);
  }
  const contents = make("nav", ""); contents.className = "print-contents";
  const title = make("p", "Contents"); title.className = "print-contents-title";
  contents.append(make("p", about), title, list);
  const first = article.querySelector(".toctree-wrapper") || article.lastElementChild;
  first.before(contents);
  // Links to pages of the book lead to where they stand here; those that lead nowhere are text.
  for (const link of article.querySelectorAll("a[href]")) {
    const url = new URL(link.href);
    if (url.origin != location.origin) continue;
    const page = url.pathname.replace(/^.*?\\/book\\//, "book/").replace(/\\.html$/, "");
    const names = [decodeURIComponent(url.hash.slice(1)), "document-" + page, "document-book/" + page.split("/").pop()];
    const target = names.find(name => name && document.getElementById(name));
    if (target) link.href = "#" + target; else link.replaceWith(...link.childNodes);
  }
  document.body.replaceChildren(article);
  return starts.length;
}"""


def single_page(source: Path) -> Path:
    """Build the book's pages as one and return it."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "--quiet"]
    command += ["--builder", "custom", "--custom-builder", "singlehtml", str(source)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    page = source / "_build" / "singlehtml" / "book" / "index.html"
    if done.returncode or not page.is_file():
        raise SystemExit(f"{done.stdout[-3000:]}\nmake pdf: the book could not be built as one page.")
    # Its addresses are those of a page in the root, whatever the folder of the book's first page.
    return page.replace(page.parents[1] / "whole.html")


def printed(page: Path, file: Path, about: str) -> int:
    """Print a page of the whole book into a file; return how many of the book's pages follow the first."""
    from browser import browser, served, settle

    with served(page.parent) as address, browser() as chrome:
        tab: Any = chrome.new_page(color_scheme="light")
        tab.goto(f"{address}/{page.name}", wait_until="load")
        settle(tab)
        tab.add_style_tag(path=str(STYLE))
        count: int = tab.evaluate(PREPARE, about)
        tab.emulate_media(media="print", color_scheme="light")
        tab.pdf(
            path=str(file), format="A4", margin=MARGIN, print_background=True, outline=True, tagged=True,
            display_header_footer=True, header_template="<span></span>", footer_template=FOOT,
        )  # fmt: skip
    return count


def main(given: list[str]) -> int:
    """Build, print, and say where the file lies."""
    from browser import chromium

    from kdlib.store.runs import commit, now

    if chromium() is None:
        print("make pdf: nothing is printed, for there is no Chromium here (Debian: apt-get install chromium).")
        return 1
    source = Path(given[0]).resolve() if given else paths.ROOT
    file = source / "_build" / "distilling-bayes.pdf"
    about = f"Printed {now()[:10]} from commit {commit()[:12]}. What the pages fold away is left out."
    printed(single_page(source), file, about)
    print(f"the book: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
