"""What the pages on Eigen-CAM show: pictures out of runs or records, and differences between teachers. (No torch.)"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdlib import data
from kdlib.report.bcp_tables import baseline_of
from kdlib.report.claims import CLAIMS, Verdict, judge
from kdlib.report.claims.choice import entering
from kdlib.report.inference import Effect, gains
from kdlib.report.pages import caption
from kdlib.report.plots.cam import map_grid
from kdlib.report.plots.style import axis_of, name_of
from kdlib.report.sections import Section, named, not_yet, with_interval
from kdlib.report.words import markdown, table_of
from kdlib.store.runs import Run
from kdlib.study.records import Arrays
from kdlib.study.rows import arrays_of, table

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown

IMAGES = 6
"""Rows of a grid."""
FIRST = ("deterministic", "mcmi", "variational", "ensemble")
"""Kinds of teacher in the order of their columns; the others follow."""
MEASURES = ("cam_entropy", "cam_network_entropy", "cam_area", "cam_variation", "cam_spread", "cam_overlap",
            "cam_overlap_chance")  # fmt: skip
CLAIM = next(claim for claim in CLAIMS if claim.id == "C10")


def stages(frame: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield the rows of each stage, the last stage first: one run a teacher and seed, that of the most images."""
    for stage, rows in frame.groupby("stage"):
        once = rows.sort_values("images", kind="stable").drop_duplicates(["group", "seed"], keep="last")
        yield round(float(str(stage))), once.sort_index()


def pictures(arrays: Arrays, count: int = IMAGES) -> NDArray[np.float64]:
    """Return the first images as matplotlib shows them: `(k, height, width)`, or `(k, height, width, 3)` in [0, 1]."""
    stored = arrays["pictures"][:count]
    images = stored.astype(np.float64) / (255 if stored.dtype == np.uint8 else 1)
    return images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)


def grid(rows: pd.DataFrame, key: str, where: str, classes: Sequence[str], by: str = "group") -> HTML | None:
    """Return a figure of the same images under each teacher, of the first seed; None where no maps are kept.

    Args:
        rows: runs of one dataset, network and stage.
        key: a name for the figure, unique on its page.
        where: the dataset, the network and the stage, in words.
        classes: names of the classes.
        by: the column that heads the columns of the figure.
    """
    rank = {kind: k for k, kind in enumerate(FIRST)}
    ordered = rows.assign(rank=rows["teacher"].map(rank).fillna(len(rank))).sort_values(["rank", "seed"], kind="stable")
    found = [(str(row[by]), arrays_of(str(row["run"]))) for _, row in ordered.drop_duplicates(by).iterrows()]
    columns: dict[str, NDArray[np.float64]] = {}
    first: Arrays | None = None
    for label, arrays in found:
        if not arrays or (first is not None and (arrays["index"][:IMAGES] != first["index"][:IMAGES]).any()):
            continue
        if first is None and "pixels" in arrays:
            columns["class pixels"] = arrays["pixels"][:IMAGES].astype(np.float64)
        first = first or arrays
        columns[label] = arrays["maps"][:IMAGES].astype(np.float64)
        if "spread" in arrays:
            columns[f"{label} spread"] = 2 * arrays["spread"][:IMAGES].astype(np.float64)
    if first is None:
        return None
    spread = any(label.endswith(" spread") for label in columns)
    titles = [classes[label] for label in first["labels"][:IMAGES]]
    return caption(
        map_grid(pictures(first), titles, columns),
        f"maps-{key}",
        f"Eigen-CAM maps on {where}: the same test images under each teacher (first seed). The stronger the colour, "
        "the larger the map."
        + " Class pixels tell the image's class from the others." * ("pixels" in first)
        + " A spread is twice the standard deviation over the networks whose mean map is left of it." * spread,
        f"A grid of test images on {where}: a row an image, a column a teacher, its map in colour over the image.",
        vector=False,
    )


def shown(done: Sequence[Run]) -> HTML | None:
    """Return the maps of runs, a column a run, for those on the first one's dataset and images."""
    frame = table(only=[run.name for run in done])
    frame = frame[frame["dataset"] == frame["dataset"].iloc[0]]
    differing = [name for name in ("architecture", "stage", "seed") if frame[name].nunique() > 1]
    labels = [" ".join([str(row["teacher"]), *(f"{n} {row[n]}" for n in differing)]) for _, row in frame.iterrows()]
    frame = frame.assign(column=labels)
    return grid(frame, "run", str(frame["dataset"].iloc[0]), list(done[0].record["classes"]), "column")


def classes_of(rows: pd.DataFrame) -> list[str]:
    """Return the names of the classes, of a finished run if there is one, else from the dataset."""
    for _, row in rows[rows["source"] == "run"].iterrows():
        return list(Run(str(row["run"])).record["classes"])
    return list(data.classes_of(str(rows["dataset"].iloc[0])))


def differences(rows: pd.DataFrame, baseline: str) -> HTML:
    """Return a table of paired differences from the baseline, a row a teacher, a column a measure."""
    measures = [name for name in MEASURES if name in rows and rows[name].notna().any()]
    measures = [name for name in measures if rows.loc[rows["group"] == baseline, name].notna().any()]
    tables = {name: gains(rows, name, baseline, "group").set_index("group") for name in measures}
    body = []
    for group in tables["cam_entropy"].index:
        cells = [f"<th>{html.escape(name_of(group))}</th><td>{tables['cam_entropy'].loc[group, 'n']}</td>"]
        for name in measures:
            factor, one = axis_of(name)[1], tables[name].loc[group]
            half = (one["high"] - one["low"]) / 2 * factor
            middle = f"{one['mean'] * factor:+.3f}".replace("-", "−")
            cells.append(f"<td>{middle}{f' ± {half:.3f}' if half == half else ''}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{html.escape(axis_of(name)[0].replace('(%', '(points'))}</th>" for name in measures)
    return table_of(f"<th>minus {html.escape(name_of(baseline))}</th><th>n</th>{heads}", body)


def effect(rows: pd.DataFrame) -> Effect | None:
    """Return C10's effect, the entropy of the maps (nats), MCMI minus deterministic, paired; None without pairs."""
    rows = entering(rows)
    baseline = baseline_of(rows)
    treated = rows.loc[rows["teacher"] == "mcmi", "group"]
    if baseline is None or treated.empty:
        return None
    both = rows[rows["group"].isin([baseline, str(treated.iloc[0])])]
    found = gains(both, CLAIM.column, baseline, "group")
    if found.empty:
        return None
    one = found.iloc[0]
    mean, low, high, sd, p = (float(one[name]) for name in ("mean", "low", "high", "sd", "p"))
    return Effect(mean, low, high, int(one["n"]), sd, p)


def effects(frame: pd.DataFrame) -> dict[str, dict[str, Effect | None]]:
    """Return the effect of C10: at the last stage, of the network of the first deterministic teacher.

    Args:
        frame: a study's rows on one dataset.
    """
    rows = entering(frame[frame["run_type"] == "eigencam"])
    plain = rows.loc[rows["teacher"] == "deterministic", "architecture"]
    found = None
    if len(plain):
        _, last = next(stages(named(rows[rows["architecture"] == plain.iloc[0]])))
        found = effect(last)
    return {CLAIM.id: {"mcmi": found}}


def finding(part: Section, where: str, rows: pd.DataFrame) -> Markdown | None:
    """Say in one line what MCMI does to the maps, with C10's verdict; None where it is not measured."""
    found = effect(rows)
    if found is None:
        return None
    if part.waiting:
        return not_yet(part, where, CLAIM)
    said = judge(CLAIM, {"mcmi": found})[0].verdict
    own = entering(rows)
    values = {kind: own.loc[own["teacher"] == kind, CLAIM.column].tolist() for kind in ("deterministic", "mcmi")}
    half = (found.high - found.low) / 2
    change = f"{found.mean:+.4f}".replace("-", "−") + (f" ± {half:.4f}" if half == half else "")
    few = " (fewer than five pairs)" if said is Verdict.INCONCLUSIVE and found.n < 5 else ""
    text = (
        f"**{part.title}** ({where}; {axis_of(CLAIM.column)[0]}, n = {found.n}): deterministic "
        f"{with_interval(values['deterministic'])}, MCMI {with_interval(values['mcmi'])}, difference {change}, where "
        f"{CLAIM.smallest:g} would matter; C10: {said}{few}."
    )
    return markdown(text)
