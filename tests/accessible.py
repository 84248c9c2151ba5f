"""Ask axe-core, in headless Chromium, what a built book keeps from people who see little, hear it read or use no mouse.

`python tests/accessible.py <html folder> [page ...]` prints the serious and the critical findings, light and dark.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
ASK = """async colours => {
  const rules = colours ? {runOnly: ["color-contrast"]} : {};
  return (await axe.run({resultTypes: ["violations"], ...rules})).violations;
}"""


def findings(html_dir: Path, names: list[str] | None = None, modes: tuple[str, ...] = ("light", "dark")) -> list[str]:
    """Return the serious and critical findings of each page (or those named), a sentence each.

    What is folded or in a tab is opened first. Everything is asked in the light, and of the dark its contrasts.
    """
    from axe_playwright_python.base import AXE_SCRIPT

    found: list[str] = []
    with served(html_dir) as address, browser() as chrome:
        asked = names or [page.relative_to(html_dir).as_posix() for page in html_pages(html_dir)]
        for mode in modes:
            with opened(chrome, "about:blank", mode) as page:  # one for all: each takes half a second
                for name in asked:
                    page.goto(f"{address}/{name}", wait_until="load")
                    settle(page)
                    page.evaluate(UNFOLD)
                    page.evaluate(AXE_SCRIPT)
                    found += [f"{name}, {mode}: {text}" for text in weighty(page.evaluate(ASK, mode == "dark"))]
    return found


@contextmanager
def opened(chrome: Any, address: str, mode: str = "light", width: int = WIDE) -> Iterator[Any]:
    """Open a page as someone who wants no motion, its formulas set."""
    page = chrome.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=mode, reduced_motion="reduce")
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
