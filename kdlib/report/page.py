"""The verbs of a page: its question and answer, figures, tables, tabs, and what is folded away. (No torch.)

`figure`, `table` and `say` display; `tabs` and `folded` take what is displayed and show it in one piece (in JupyterLab,
which knows no tabs, one below the other).
"""

from __future__ import annotations

import base64
import html
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd

from kdlib.base.errors import InputError
from kdlib.report.choice import leads
from kdlib.report.claims import tables
from kdlib.report.claims.answers import decided, of_page
from kdlib.report.claims.sentences import sentence
from kdlib.report.draw import files
from kdlib.report.sections import Part
from kdlib.report.theme import axis_of, name_of
from kdlib.report.words import counted, with_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = re.compile(r'href="([^":]+)\.(?:md|ipynb)')
HOW = '<p class="how"><a href="../reading.html">How to read a page</a></p>'
TILES = {"supported": ("#0b5d4a", "white"), "not supported": ("#f3b8a5", "black"), "inconclusive": ("#e9e9e9", "black")}
COVER = "Intervals cover initial weights, batch order and views, not the one training set."
_NUMBERS = itertools.count(1)


def show(text: str) -> None:
    """Display HTML as it is: what comes from outside must be escaped."""
    from IPython.display import HTML, display

    display(HTML(text))  # type: ignore[no-untyped-call]


def say(text: str) -> None:
    """Display Markdown."""
    from IPython.display import Markdown, display

    display(Markdown(text))  # type: ignore[no-untyped-call]


def opening(question: str, page: str = "", parts: Sequence[Part] = (), said: Sequence[str] = ()) -> None:
    """Show a page's question and its answer, by the study that decides.

    Args:
        question: one sentence.
        page: its name.
        parts: of the page; none where nothing has run.
        said: the answer of a page that decides no claim, or what comes first; not before the last planned seed.
    """
    column = decided(page, parts)
    answers = column.answers if column else ()
    waiting = parts[0].waiting if parts and all(answer.waiting for answer in answers) else ""
    lines = [*([] if waiting else said), *map(sentence, answers)]
    lines = lines or ([waiting] if waiting else [] if parts else ["No study has filled this page here yet."])
    body = "".join(_markdown(line) for line in lines)
    show(f'<div class="answer"><p class="question">{html.escape(question)}</p>{body}{HOW}</div>')


def best(
    rows: pd.DataFrame, measure: str, lowest: bool = True, by: str = "teacher_label", verb: str = "is best"
) -> str:
    """Say which group has the best mean of a measure, whether surely, and what the deterministic teacher has.

    Args:
        rows: one row a group and seed.
        measure: a column of them.
        lowest: whether lower is better.
        by: the column of groups.
        verb: what the first does.
    """
    first, surely = leads(rows, measure, by, lowest)
    plain = rows.loc[rows["teacher_label"] == "deterministic", by].drop_duplicates().tolist()[:1]
    shown = rows[rows[by].isin([first, *plain])]
    doubt = "" if surely else " on average, not surely"
    return f"**{name_of(first)[0].upper()}{name_of(first)[1:]} {verb}{doubt}.** {stated(shown, measure, by)}"


def stated(rows: pd.DataFrame, measure: str, by: str = "teacher_label") -> str:
    """Write each group's mean of a measure with half its interval, in a sentence; nothing of no rows."""
    if rows.empty:
        return ""
    text, factor = axis_of(measure)
    groups = rows.groupby(by, sort=False)
    each = [f"{name_of(name)} {with_interval(factor * one[measure])}" for name, one in groups]
    return f"{text[0].upper()}{text[1:]}: {', '.join(each)} ({counted(groups['seed'].nunique().tolist())})."


def verdicts(page: str, parts: Sequence[Part]) -> None:
    """Show the verdicts on a page's claims in numbers, of the study that decides, folded away."""
    column = decided(page, parts)
    if column is not None:
        with folded("The verdicts in numbers"):
            table(tables.verdicts(column.answers), f"{column.name}: treated minus baseline, paired over seeds")


def figure(drawn: Figure, name: str, caption: str, alt: str, rows: pd.DataFrame | None = None,
           photographs: bool = False) -> None:  # fmt: skip
    """Show a figure with its caption below, a description in its place, and the rows that were drawn as a CSV.

    The picture and the rows are inside the page, so it reads the same in the book, in JupyterLab and offline.
    What rests on one seed is folded away.

    Args:
        drawn: the figure.
        name: to link to, unique on the page.
        caption: one or two sentences: what to see.
        alt: what a reader who cannot see the picture should know.
        rows: exactly what was drawn; none for pictures of images.
        photographs: whether the figure is made of them, and needs all colours.

    Raises:
        InputError: no caption or no description.
    """
    if not caption.strip() or not alt.strip():
        raise InputError(f"the figure {name!r} lacks a caption or a description; both are required.")
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    shown = _inside(files.png(drawn, photographs), "image/png")
    width = round(96 * drawn.get_figwidth())
    # A dark page dims pictures, unless they say "dark-light", and lays a light card under every HTML output:
    # the caption must take the card's colour, not the theme's colour for captions.
    img = f"display: block; width: 100%; max-width: {width}px; height: auto; padding: 0; background: white"
    words = f"max-width: {width}px; margin: 0.5rem 0 0; color: inherit; font-weight: normal; text-align: left"
    link = ""
    if rows is not None:
        kept = _inside(rows.to_csv(index=False, float_format="%.5g").encode(), "text/csv")
        link = f' <a download="{key}.csv" href="{kept}">Rows (CSV)</a>'
    whole = (
        f'<figure id="{key}" style="margin: 0.5rem 0"><img class="dark-light" src="{shown}" '
        f'alt="{html.escape(alt)}" style="{img}"><figcaption style="{words}">{html.escape(caption)}{link}</figcaption>'
        "</figure>"
    )
    alone = rows is not None and "seed" in rows and rows["seed"].nunique() == 1
    show(_fold("One seed (n = 1): no interval, no verdict", whole) if alone else whole)


def _inside(data: bytes, media: str) -> str:
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def table(frame: pd.DataFrame, title: str, bold: pd.Series[bool] | None = None) -> None:
    """Show a table with a caption; it scrolls by itself where it is too wide, and some rows may be bold."""
    styled = frame.rename(columns=lambda name: str(name).replace("_", " ")).style.hide(axis="index")
    styled = styled.set_caption(html.escape(title)).format(precision=4, escape="html", na_rep="–")
    styled = styled.format_index(escape="html", axis=1)
    if bold is not None:
        styled = styled.apply(lambda row: ["font-weight: bold" * bool(bold[row.name])] * len(row), axis=1)
    show(f'<div class="wide-table" tabindex="0">{styled.set_table_attributes("class=table").to_html()}</div>')


def verdict_matrix(frame: pd.DataFrame) -> None:
    """Show which study says what of each claim, the cells coloured by verdict and different in grey."""
    colours = {one: f"background-color: {tile}; color: {ink}" for one, (tile, ink) in TILES.items()}
    styled = frame.style.hide(axis="index").map(lambda cell: colours.get(cell, "")).set_table_attributes("class=table")
    cells = styled.format(escape="html").format_index(escape="html", axis=1).to_html()
    show(f'<div class="wide-table" tabindex="0">{cells}</div>')


def means(rows: pd.DataFrame, measures: Sequence[str], by: str = "teacher_label") -> pd.DataFrame:
    """Return means with half their 95 % t intervals over seeds, as text: a row a group, a column a measure."""
    groups = rows.groupby(by, sort=False)
    cells = {"n": groups["seed"].nunique()}
    for name in measures:
        if name in rows and rows[name].notna().any():
            head, factor = axis_of(name)
            cells[head] = groups[name].apply(lambda one: with_interval(one * factor))  # noqa: B023
    out = pd.DataFrame(cells).reset_index()
    return out.assign(**{by: out[by].map(name_of)}).rename(columns={by: ""})


def crossed(rows: pd.DataFrame, measure: str, down: str, across: str = "teacher_label") -> pd.DataFrame:
    """Return a measure's means with half their intervals as text: a row a value of `down`, a column one of `across`."""
    factor = axis_of(measure)[1]
    cells = rows.dropna(subset=measure).groupby([down, across], sort=False)[measure]
    wide = cells.apply(lambda one: with_interval(factor * one)).unstack(sort=False)  # type: ignore[call-arg]
    return wide.rename(index=name_of, columns=name_of).reset_index()


@contextmanager
def folded(title: str) -> Iterator[None]:
    """Fold what is displayed inside away under a title."""
    with _taken() as outputs:
        yield
    show(_fold(title, "\n".join(outputs)))


def tabs(parts: Iterable[Part], body: Callable[[Part], Any], page: str = "") -> None:
    """Show each study's part of a page in a tab of its own, the first open: its figures, then the rest folded.

    Args:
        parts: a tab each.
        body: shows a part.
        page: its name, where studies that do not decide there say above their figure what they find of its claims.
    """
    shown = []
    for part in parts:
        with _taken() as outputs:
            body(part)
        if outputs:
            key = [text for text in outputs if "<figure" in text][:1]
            rest = [text for text in outputs if text not in key]
            about = f"<p>{_code(part.about)} {COVER}</p><p><em>{html.escape(part.origin())}</em></p>"
            numbers = _fold("Numbers, and where they come from", "".join(rest) + about)
            shown.append((part.title, _answered(page, part) + "".join(key) + numbers))
    if shown:
        show(_tab_set(shown) if len(shown) > 1 else shown[0][1])


def _answered(page: str, part: Part) -> str:
    """Return what a study finds of a page's claims; nothing of the one that decides, whose answer opens the page."""
    column = of_page(page, part) if page and not part.decides and not part.chosen else None
    found = [_markdown(sentence(one)) for one in column.answers if one.says] if column else []
    return f'<div class="answer">{"".join(found)}</div>' if found else ""


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _fold(title: str, body: str) -> str:
    """Return HTML folded away under a title; nothing of nothing."""
    summary = f"<summary>{html.escape(title)}</summary>"
    return f'<details class="fold">{summary}{body}</details>' if body else ""


def _tab_set(shown: Sequence[tuple[str, str]]) -> str:
    """Return titles and HTML as a set of tabs, in the form that sphinx-design's style sheet knows."""
    name, parts = f"tabs-{next(_NUMBERS)}", []
    for number, (title, body) in enumerate(shown):
        own, checked = f"{name}-{number}", ' checked="checked"' if number == 0 else ""
        parts.append(
            f'<input id="{own}" name="{name}" type="radio"{checked}>'
            f'<label class="sd-tab-label" for="{own}">{html.escape(title)}</label>'
            f'<div class="sd-tab-content docutils">{body}</div>'
        )
    return f'<div class="sd-tab-set docutils">{"".join(parts)}</div>'


@contextmanager
def _taken() -> Iterator[list[str]]:
    """Take what is displayed inside, as HTML."""
    from IPython.utils.capture import capture_output

    outputs: list[str] = []
    with capture_output(stdout=False, stderr=False) as said:
        yield outputs
    for output in said.outputs:
        media = next(media for media in AS_HTML if media in output.data)
        outputs.append(AS_HTML[media](str(output.data[media])))


def _markdown(text: str) -> str:
    """Return Markdown as HTML, with the links that the book would make of sources, which it does not see here."""
    from markdown_it import MarkdownIt

    return SOURCE.sub(r'href="\1.html', str(MarkdownIt("commonmark").enable("table").render(text)))


AS_HTML: dict[str, Callable[[str], str]] = {
    "text/html": str,
    "text/markdown": _markdown,
    "text/plain": lambda text: f"<pre>{html.escape(text)}</pre>",
}
"""What makes HTML of what was displayed, the best first, by media type."""
