"""Ask axe-core, in headless Chromium, what a built book keeps from people who see little, hear it read or use no mouse.

`python tests/accessible.py <html folder> [page ...]` prints the serious and the critical findings, light and dark.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser import HEIGHT, WIDE, browser, html_pages, served, settle

WEIGHTY = ("serious", "critical")
UNFOLD = """() => {
  document.querySelectorAll("details").forEach(e => e.open = true);
  const style = document.createElement("style");
  style.textContent = ".sd-tab-content { display: block !important }" +
    "* { transition: none !important; animation: none !important }";  // what fades in has no contrast yet
  document.head.append(style);
  // Rows of one template: the first stand for all, which take axe a minute.
  document.querySelectorAll("table.parameters tr:nth-child(n+4)").forEach(e => e.remove());
}"""
DARKENED = "() => [undefined, 'dark'].includes(document.documentElement.dataset.theme)"
"""Whether the theme, where a page has one, has followed what the reader asked for."""
ASK = """async colours => {
  const rules = colours ? {runOnly: ["color-contrast"]} : {};
  return (await axe.run({resultTypes: ["violations"], ...rules})).violations;
}"""


def findings(html_dir: Path, names: Collection[str] = (), dark: Collection[str] | None = None) -> list[str]:
    """Return the serious and critical findings of each page, a sentence each.

    What is folded or in a tab is opened first. Everything is asked in the light, and of the dark its contrasts.

    Args:
        html_dir: a built book.
        names: its pages to ask about; all by default.
        dark: those to ask about in the dark, too; all of them by default.
    """
    from axe_playwright_python.base import AXE_SCRIPT

    found: list[str] = []
    with served(html_dir) as address, browser() as chrome, opened(chrome, "about:blank") as page:  # one for all
        for name in names or [page.relative_to(html_dir).as_posix() for page in html_pages(html_dir)]:
            page.emulate_media(color_scheme="light")
            page.goto(f"{address}/{name}", wait_until="load")
            settle(page)
            page.evaluate(UNFOLD)
            page.evaluate(AXE_SCRIPT)
            found += [f"{name}, light: {text}" for text in weighty(page.evaluate(ASK, False))]
            if dark is None or name in dark:
                page.emulate_media(color_scheme="dark")
                page.wait_for_function(DARKENED)
                found += [f"{name}, dark: {text}" for text in weighty(page.evaluate(ASK, True))]
    return found


@contextmanager
def opened(chrome: Any, address: str, width: int = WIDE) -> Iterator[Any]:
    """Open a page as someone who wants no motion, its formulas set."""
    page = chrome.new_page(viewport={"width": width, "height": HEIGHT}, reduced_motion="reduce")
    page.goto(address, wait_until="load")
    settle(page)
    try:
        yield page
    finally:
        page.close()


def weighty(violations: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each serious or critical violation: its rule, how often, and the first element."""
    return [
        f"{one['id']} ({one['impact']}, {len(one['nodes'])} times): {one['help']}; {one['nodes'][0]['html'][:200]}"
        for one in violations
        if one["impact"] in WEIGHTY
    ]


if __name__ == "__main__":
    problems = findings(Path(sys.argv[1]), sys.argv[2:])
    print("\n".join(problems) or "no serious or critical finding")
    sys.exit(bool(problems))
