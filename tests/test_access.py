"""Who sees little, hears the book read, or uses no mouse can read it and find things in it; so can who gets a link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accessible import findings, opened
from browser import PHONE, browser, html_pages, needs_browser, served

FOCUSED = """() => {
  const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
  const marked = (style.outlineStyle != "none" && style.outlineWidth != "0px") || !/^none|^rgba\\(0, 0, 0, 0\\)/.test(
    style.boxShadow);
  return {text: (e.textContent || e.ariaLabel || e.placeholder || "").trim(), tag: e.tagName, marked,
          seen: e.checkVisibility() && box.width > 0 && box.bottom > 0};
}"""


@pytest.fixture(scope="module")
def html(filled: Path) -> Path:
    """Return the built book with one page of results as a study leaves it."""
    return filled / "_build/html"


@pytest.fixture
def page(html: Path) -> Iterator[Any]:
    """Open the page of all parameters, which has everything: folds, tables, code to copy."""
    with served(html) as address, browser() as chrome, opened(chrome, f"{address}/book/parameters.html") as one:
        yield one


@needs_browser
def test_axe_finds_nothing_serious(html: Path) -> None:
    stubs = {page for page in (html / "book/results").glob("*.html") if "Not run here yet" in page.read_text()}
    pages = [page.relative_to(html).as_posix() for page in html_pages(html) if page not in set(sorted(stubs)[1:])]
    kinds = {f"book/{name}.html" for name in ("index", "results/claims", "parameters", "library", "own_images")}
    assert kinds < set(pages) and len(pages) > 15
    assert findings(html, pages, dark=kinds) == []


@needs_browser
def test_axe_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(
        "<html lang=en><title>Bad</title><main><h1>Bad</h1><style>@media (prefers-color-scheme: dark) {p {color: #eee}}"
        "</style><p>pale in the dark</p><details>a<img src='x.png'></details></main></html>"
    )
    light, dark = findings(tmp_path)
    assert light.startswith("bad.html, light: image-alt (critical, 1 times)")
    assert dark.startswith("bad.html, dark: color-contrast (serious, 1 times)")


@needs_browser
def test_a_keyboard_reaches_everything_and_is_seen_to(page: Any) -> None:
    page.add_style_tag(content="* { transition: none !important }")  # or what slides in is looked at on its way
    met = []
    for _ in range(60):
        page.keyboard.press("Tab")
        met.append(page.evaluate(FOCUSED))
    assert met[0]["text"] == "Skip to main content"
    assert [one for one in met if not (one["marked"] and one["seen"])] == []
    assert any(one["text"] == "Every parameter" for one in met)
    page.reload()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.querySelector('main').contains(document.activeElement)")


@needs_browser
def test_search_finds_a_page_without_a_mouse(page: Any) -> None:
    page.keyboard.press("Control+k")
    assert page.evaluate("() => document.activeElement.name") == "q"
    page.keyboard.type("photographs tiles")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    assert "Your own images" in page.locator("#search-results").inner_text()
    page.locator("#search-results li a", has_text="Your own images").first.click()
    assert page.title().startswith("Your own images")


@needs_browser
def test_the_contents_open_on_a_phone(html: Path) -> None:
    with (
        served(html) as address,
        browser() as chrome,
        opened(chrome, f"{address}/book/index.html", width=PHONE) as page,
    ):
        entry = page.locator(".bd-sidebar-primary a", has_text="Your own images").first
        assert not entry.is_visible() or entry.bounding_box()["x"] < 0
        page.locator("button.primary-toggle").first.click()
        entry.click()
        assert page.title().startswith("Your own images")


def test_a_shared_link_says_what_it_leads_to(html: Path) -> None:
    for file in html_pages(html):
        if file.parent == html:
            continue  # search and the like
        tags = dict(re.findall(r'<meta property="og:(\w+)" content="([^"]*)"', file.read_text()))
        assert tags["title"] and len(tags["description"]) > 20 and tags["site_name"] == "Distilling Bayes", file
        assert "image" not in tags and "http" not in tags["url"]
