"""How a page answers first: what opens it, what stands in tabs, and what is folded away. (No torch.)

`folded` and `in_tabs` take what code displays and show it in one piece; in JupyterLab, which knows no tabs, one below
the other.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdlib.report.words import raw

if TYPE_CHECKING:
    from kdlib.report.sections import Section

SOURCE = re.compile(r'href="([^":]+)\.(?:md|ipynb)')
_NUMBERS = itertools.count(1)


def main_first(parts: Sequence[Section], page: str) -> list[Section]:
    """Return a page's sections, the study that decides on it first, then in the order they came."""
    from kdlib.runs import studies

    def decides(part: Section) -> bool:
        known = part.name in studies.names() or part.name.endswith(".yaml")
        return known and studies.load(part.name, check=False).role.get(page) == "main"

    return sorted(parts, key=lambda part: not decides(part))


def as_html(output: Any) -> str:
    """Return what was displayed as HTML: HTML as it is, Markdown rendered, anything else as text."""
    from markdown_it import MarkdownIt

    data = output.data
    if "text/html" in data:
        return str(data["text/html"])
    if "text/markdown" in data:
        text = str(MarkdownIt("commonmark").enable("table").render(str(data["text/markdown"])))
        return SOURCE.sub(r'href="\1.html', text)  # what the book makes of a source, which it does not see here
    return f"<pre>{html.escape(str(data.get('text/plain', '')))}</pre>"


def show(what: Any) -> None:
    """Display something."""
    from IPython.display import display

    display(what)  # type: ignore[no-untyped-call]


@contextmanager
def _taken() -> Iterator[list[Any]]:
    """Take what is displayed inside."""
    from IPython.utils.capture import capture_output

    outputs: list[Any] = []
    with capture_output(stdout=False, stderr=False) as said:
        yield outputs
    outputs += said.outputs


def fold(title: str, body: str) -> str:
    """Return HTML folded away under a title; nothing of nothing."""
    summary = f"<summary>{html.escape(title)}</summary>"
    return f'<details class="fold">{summary}{body}</details>' if body else ""


@contextmanager
def folded(title: str) -> Iterator[None]:
    """Fold what is displayed inside away under a title."""
    with _taken() as outputs:
        yield
    if outputs:
        show(raw(fold(title, "\n".join(map(as_html, outputs)))))


def in_tabs(parts: Iterable[Section], body: Callable[[Section], Any], figures: int = 1) -> None:
    """Show each study's part of a page in a tab of its own, the first open: its first figures, the rest folded.

    Args:
        parts: the page's sections, in order.
        body: displays one.
        figures: how many of a part's figures stand open.
    """
    tabs = []
    for part in parts:
        with _taken() as outputs:
            body(part)
        if outputs:
            texts = [as_html(output) for output in outputs]
            key = [text for text in texts if "<figure" in text][:figures]
            rest = [text for text in texts if text not in key]
            tabs.append((part.title, "".join(key) + fold(f"{part.title}: tables and further figures", "".join(rest))))
    if tabs:
        show(raw(tab_set(tabs) if len(tabs) > 1 else tabs[0][1]))


def tab_set(tabs: Sequence[tuple[str, str]]) -> str:
    """Return titles and HTML as a set of tabs, in the form that sphinx-design's style sheet knows."""
    name = f"tabs-{next(_NUMBERS)}"
    parts = []
    for number, (title, body) in enumerate(tabs):
        own = f"{name}-{number}"
        checked = ' checked="checked"' if number == 0 else ""
        parts.append(
            f'<input id="{own}" name="{name}" type="radio"{checked}>'
            f'<label class="sd-tab-label" for="{own}">{html.escape(title)}</label>'
            f'<div class="sd-tab-content docutils">{body}</div>'
        )
    return f'<div class="sd-tab-set docutils">{"".join(parts)}</div>'


def answer(question: str, said: Sequence[Any]) -> Any:
    """Return a page's question and its answer, one to three sentences, as the reader sees them first.

    Args:
        said: sentences, as text or as Markdown that was to be displayed.
    """
    parts = [
        as_html(_Shown({"text/markdown": one.data})) if hasattr(one, "data") else f"<p>{html.escape(one)}</p>"
        for one in said
        if one
    ]
    return raw(f'<div class="answer"><p class="question">{html.escape(question)}</p>{"".join(parts)}</div>')


@dataclass(frozen=True)
class _Shown:
    """What a cell displays."""

    data: dict[str, str]
