"""Open a built book in headless Chromium, as a reader would, and say what is wrong with it.

`python tests/browser.py <html folder>` prints the problems of every page;
`python tests/browser.py <html folder> <picture folder>` also takes pictures, wide and narrow, light and dark.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

WIDE = 1400
PHONE = 390
HEIGHT = 900

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
"""No sandbox (a container's root has none), and no name resolves: a page that wants the network fails."""

INSPECT = """() => {
  const article = document.querySelector("article") || document.body;
  return {
    images: [...document.images].map(i => ({src: i.getAttribute("src").slice(0, 120), alt: i.getAttribute("alt"),
                                            shown: i.complete && i.naturalWidth > 0})),
    links: [...document.querySelectorAll("a[href]")].map(a => a.href),
    ids: [...document.querySelectorAll("[id], a[name]")].map(e => e.id || e.name),
    formulas: article.querySelectorAll(".math").length,
    rendered: article.querySelectorAll(".math mjx-container").length,
    wrong: [...article.querySelectorAll("mjx-merror")].map(e => e.textContent),
    title: document.title,
  };
}"""


def chromium() -> str | None:
    """Return the path of an installed Chromium, the one without windows first, or None."""
    for name in ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    return None


needs_browser = pytest.mark.skipif(chromium() is None, reason="no Chromium installed: the book is not opened in one")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serve files without a line on stderr for each."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on 127.0.0.1 at a free port; yield its address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def browser() -> Iterator[Any]:
    """Start headless Chromium; yield playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield started
        finally:
            started.close()


def is_redirect(page: Path) -> bool:
    """Tell whether a page only sends the reader on, as the book's index.html does."""
    return 'http-equiv="Refresh"' in page.read_text(encoding="utf-8")


def html_pages(html_dir: Path) -> list[Path]:
    """Return every page of a built book that is read, in order."""
    found = sorted(html_dir.rglob("*.html"))
    return [page for page in found if "_static" not in page.parts and not is_redirect(page)]


def settle(page: Any) -> None:
    """Wait until MathJax, where the page has it, has set every formula."""
    page.evaluate("() => window.MathJax?.startup ? MathJax.startup.promise : null")


def open_every_page(
    html_dir: Path, names: tuple[str, ...] = (), look: Callable[[Any, str, int], None] | None = None
) -> list[str]:
    """Open every page of a built book, or those named, and return its problems, a sentence each.

    A problem is an error on the console, a failed or a remote request, a missing image or one without
    alternative text, a formula that was not set, a page wider than a phone's screen, and an internal link whose
    file or anchor does not exist.

    Args:
        html_dir: the book.
        names: of pages; all by default.
        look: is given each page as it is open, its name and its width.
    """
    problems: list[str] = []
    seen: dict[str, dict[str, Any]] = {}
    found: list[str] = []  # of the page that is open
    with served(html_dir) as address, browser() as chrome:
        page = chrome.new_page(viewport={"width": WIDE, "height": HEIGHT})  # one for all: each takes half a second
        page.on("console", lambda m: found.append(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda e: found.append(f"script error: {e}"))
        page.on("requestfailed", lambda r: found.append(f"request failed: {r.url}"))
        page.on("response", lambda r: found.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        page.on(
            "request",
            lambda r: None if r.url.startswith((address, "data:", "blob:")) else found.append(f"remote: {r.url}"),
        )
        for path in html_pages(html_dir):
            name = path.relative_to(html_dir).as_posix()
            if names and name not in names:
                continue
            page.set_viewport_size({"width": WIDE, "height": HEIGHT})
            page.goto(f"{address}/{name}", wait_until="load")
            settle(page)
            seen[name] = facts = page.evaluate(INSPECT)
            found += page_problems(facts)
            for width in (WIDE, PHONE):
                page.set_viewport_size({"width": width, "height": HEIGHT})
                taken = page.evaluate("() => document.documentElement.scrollWidth")
                if taken > width:
                    found.append(f"{taken} pixels wide on a screen of {width}")
                if look is not None:
                    look(page, name, width)
            problems += [f"{name}: {problem}" for problem in found]
            found.clear()
        for name, facts in seen.items():
            inner = {link for link in facts["links"] if link.startswith(address)}
            problems += [f"{name}: broken link {link}" for link in sorted(inner) if not leads(link, html_dir, seen)]
    return problems


def page_problems(facts: dict[str, Any]) -> list[str]:
    """Return what is wrong with the images and formulas of one page."""
    found = [f"missing image: {image['src']}" for image in facts["images"] if not image["shown"]]
    for image in facts["images"]:
        # Sphinx falls back on the file's name, which tells a reader nothing.
        alt = image["alt"] or ""
        if not alt.strip() or alt.endswith((".png", ".svg", ".jpeg")):
            found.append(f"image without alternative text: {image['src']}")
    if facts["formulas"] > facts["rendered"]:
        found.append(f"{facts['formulas'] - facts['rendered']} of {facts['formulas']} formulas are not set")
    found += [f"formula with an error: {text}" for text in facts["wrong"]]
    if not facts["title"].strip():
        found.append("no title")
    return found


def leads(link: str, html_dir: Path, seen: dict[str, dict[str, Any]]) -> bool:
    """Tell whether an internal link's file exists and its anchor is on that page."""
    parts = urlsplit(link)
    name = unquote(parts.path).lstrip("/") or "index.html"
    file = html_dir / name
    if not file.is_file():
        return False
    anchor = unquote(parts.fragment)
    return not anchor or name not in seen or anchor in seen[name]["ids"]


def screenshot(page: Path, path: Path, width: int, dark: bool = False) -> None:
    """Take a picture of a whole page of a built book, at this width in pixels."""
    html_dir = next(folder for folder in page.resolve().parents if (folder / "searchindex.js").is_file())
    with served(html_dir) as address, browser() as chrome:
        opened = chrome.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme="dark" if dark else "light")
        opened.goto(f"{address}/{page.resolve().relative_to(html_dir).as_posix()}", wait_until="load")
        settle(opened)
        # The sidebars slide whenever the window changes size, as it does for a picture of the whole page.
        opened.add_style_tag(content="* { transition: none !important; animation: none !important; }")
        opened.screenshot(path=str(path), full_page=True)


def main(html_dir: Path, pictures: Path | None) -> int:
    """Print the problems of a built book and, where a folder is given, take pictures of its pages."""
    problems = open_every_page(html_dir)
    print("\n".join(problems) or f"{len(html_pages(html_dir))} pages, no problem")
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        for page in html_pages(html_dir):
            for width in (WIDE, PHONE):
                for dark in (False, True):
                    mode = "dark" if dark else "light"
                    screenshot(page, pictures / f"{page.stem}-{page.parent.name}-{width}-{mode}.png", width, dark)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
