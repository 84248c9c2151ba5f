"""The tables and sentences of the page on the distance to the Bayes class probabilities (BCPs). (No torch.)

Differences are paired by seed, teacher − deterministic teacher: below zero is closer to the BCPs.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kdlib.measures.bcp_errors import PARTS
from kdlib.report.claims import ALPHA, CLAIMS, MINIMUM_PAIRS, Effect, bootstrap, judge, paired
from kdlib.report.claims.choice import against_control, entering
from kdlib.report.claims.inference import gains, holm
from kdlib.report.plots.bcp import TREATMENTS
from kdlib.report.plots.style import name_of
from kdlib.report.sections import NAMED, Section, named, with_interval
from kdlib.report.words import DUE, markdown, p_value, signed, table_of

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown

    from kdlib.report.truths import Floats

PLAIN, SCALED = TREATMENTS.values()


def baseline_of(frame: pd.DataFrame) -> str | None:
    """Return the group of the teacher with which all others are compared, or None."""
    plain = plain_of(frame)["group"]
    return None if plain.empty else str(plain.iloc[0])


def plain_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the teachers labelled `deterministic`; without any, those of the kind, for tables that decide nothing."""
    own: pd.DataFrame = frame[frame["teacher_label"] == "deterministic"] if "teacher_label" in frame else frame.iloc[:0]
    return own if len(own) else frame[frame["teacher"] == "deterministic"]


def has(frame: pd.DataFrame, column: str) -> bool:
    """Say whether a table has numbers in a column; kept records have no tempered ones."""
    return column in frame and bool(frame[column].notna().any())


def differences(frame: pd.DataFrame, baseline: str) -> HTML:
    """Return a table of paired differences from the baseline, with Holm's correction over its rows."""
    columns = [(name, column) for name, column in TREATMENTS.items() if has(frame, column)]
    tables = {name: _gains(frame, column, baseline).set_index("group") for name, column in columns}
    heads = "".join(f"<th>{name} (nats)</th><th>p, corrected</th>" for name in tables)
    rows = []
    for group in next(iter(tables.values())).index:
        cells = [f"<th>{html.escape(name_of(group))}</th><td>{tables['as trained'].loc[group, 'n']}</td>"]
        for table in tables.values():
            row = table.loc[group] if group in table.index else None
            cells.append(
                "<td>–</td><td>–</td>" if row is None else f"<td>{_signed(row)}</td><td>{p_value(row.p_holm)}</td>"
            )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return table_of(f"<th>minus {html.escape(name_of(baseline))}</th><th>n</th>{heads}", rows)


def closer(frame: pd.DataFrame, baseline: str) -> Markdown:
    """Say which teachers are closer to the BCPs than the baseline, which are farther, and what is left open."""
    lines = []
    for name, column in TREATMENTS.items():
        if not has(frame, column):
            continue
        table = _gains(frame, column, baseline)
        few = table["n"] < MINIMUM_PAIRS
        sure = table["p_holm"] <= ALPHA
        groups = {
            "closer": table.loc[sure & (table["mean"] < 0), "group"],
            "farther": table.loc[sure & (table["mean"] > 0), "group"],
            "not told apart from it": table.loc[~sure & ~few, "group"],
            f"left open, with fewer than {MINIMUM_PAIRS} pairs,": table.loc[few, "group"],
        }
        said = [f"{word} are {', '.join(map(name_of, found))}" for word, found in groups.items() if len(found)]
        alike = name if column == PLAIN else "each at its best temperature"
        lines.append(f"- Against {name_of(baseline)}, {alike}: {'; '.join(said)}.")
    lines.append(f"\nPaired t tests over seeds with Holm's correction over the teachers, level {ALPHA:g}.")
    return markdown("\n".join(lines))


def claims(frame: pd.DataFrame) -> HTML | None:
    """Return the table of claims C3 and C14 on this dataset: effect, n, corrected p and verdict, and what is beside.

    None where the labels that claims compare are not among the teachers: those of another network decide nothing.

    "Against scaled" compares the teacher as trained with the deterministic one at its best temperature. C14's best
    temperatures are those of temperature-scaled teachers.
    """
    table, control, frame = {claim.id: claim for claim in CLAIMS}, against_control(frame), entering(frame)
    if (baseline := baseline_of(frame)) is None:
        return None
    if SCALED not in frame:
        frame = frame.assign(**{SCALED: float("nan")})
    of = {kind: _chosen(frame, kind) for kind in ("variational", "laplace")}
    of["mcmi"] = _chosen(of_parent(frame, "mcmi", baseline), "mcmi")  # of the teacher it is compared with
    pairs = {"as trained": (PLAIN, PLAIN), "against scaled": (PLAIN, SCALED), "best temperature": (SCALED, SCALED)}
    third, last = (
        {
            (kind, how): _effect(frame, of[kind], own, baseline, theirs)
            for kind in kinds
            for how, (own, theirs) in pairs.items()
        }
        for kinds in (("variational", "laplace"), ("mcmi",))
    )
    last["mcmi", "best temperature"] = _at_best_temperatures(frame, of["mcmi"], baseline, PLAIN)
    judged = judge(table["C3"], {kind: third[kind, "as trained"] for kind in ("variational", "laplace")})
    verdicts = {(one.member, "as trained"): one for one in judged}
    family = {how: last["mcmi", how] for how in ("as trained", "best temperature")}
    verdicts |= {("mcmi", one.member): one for one in judge(table["C14"], family)}
    rows = []
    for claim, measured in (("C3", third), ("C14", last)):
        for (kind, how), effect in measured.items():
            one = verdicts.get((kind, how))
            if one is None and effect is None:
                continue
            cells = [
                "–" if effect is None else _signed(pd.Series(vars(effect))),
                "–" if effect is None else str(effect.n),
            ]
            cells += [p_value(one.p), str(one.verdict)] if one else ["–", "beside"]
            texts = "".join(f"<td>{cell}</td>" for cell in [name_of(kind), how, *cells])
            rows.append(f"<tr><th>{claim}</th>{texts}</tr>")
    due = effects(control)["C14"]["as trained"] if len(control) else None
    if due is not None:
        cells = [DUE, "as trained", _signed(pd.Series(vars(due))), str(due.n), "–", "beside"]
        rows.append(f"<tr><th>C14</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return table_of(
        "<th></th><th>teacher</th><th>minus deterministic</th><th>KL (nats)</th><th>n</th><th>p</th><th>verdict</th>",
        rows,
    )


def of_one_network(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the teachers that have the network of the deterministic one, with their groups; maybe none."""
    rows = frame[frame["run_type"] == "teacher"] if len(frame) else frame
    plain = plain_of(rows)["architecture"]
    if plain.empty:
        return rows.iloc[:0].assign(group="")
    alike: pd.DataFrame = rows[rows["architecture"] == plain.iloc[0]]
    return alike.assign(group=named(alike.reindex(columns=["teacher_label", *NAMED]))["group"])  # far fewer columns


def of_parent(rows: pd.DataFrame, kind: str, group: str) -> pd.DataFrame:
    """Return the rows of a kind whose parent is a group; no parent means the first deterministic teacher.

    What has another parent differs from the group in that too: MCMI of an early-stopped network is early-stopped.
    """
    label = rows.drop_duplicates("group").set_index("group")["teacher_label"]
    given = rows.reindex(columns=["parent"])["parent"].fillna(label[str(baseline_of(rows))]).astype(str)
    found: pd.DataFrame = rows[(rows["teacher"] == kind) & (given.str.rpartition("/")[2] == label[group])]
    return found


def effects(frame: pd.DataFrame, measured: str = PLAIN) -> dict[str, dict[str, Effect | None]]:
    """Return the effects of C3 and C14 by claim and member, among the teachers of one network.

    The best temperatures are those of the teachers labelled `temperature_scaled` and `temperature_scaled_mcmi`.

    Args:
        frame: a study's rows on one dataset.
        measured: the column to compare.
    """
    rows = of_one_network(entering(frame))
    if (baseline := baseline_of(rows)) is None or not has(rows, measured):
        return {"C3": {"variational": None, "laplace": None}, "C14": {"as trained": None, "best temperature": None}}
    mcmi = _chosen(of_parent(rows, "mcmi", baseline), "mcmi")
    groups = {kind: _chosen(rows, kind) for kind in ("variational", "laplace")}
    return {
        "C3": {kind: _effect(rows, group, measured, baseline, measured) for kind, group in groups.items()},
        "C14": {
            "as trained": _effect(rows, mcmi, measured, baseline, measured),
            "best temperature": _at_best_temperatures(rows, mcmi, baseline, measured),
        },
    }


def bootstrapped(answers: Mapping[str, Floats], draws: int = 1000) -> HTML:
    """Return a table of the parts of one network's divergence a group, with 95 % bootstrap intervals over images.

    Args:
        answers: the parts of every test image, `(n, 4)` in nats, by group.
        draws: how many resamples.
    """
    rows = []
    for group, parts in answers.items():
        cells = [f"<th>{html.escape(name_of(group))}</th>"]
        for values in [*parts.T, parts.sum(axis=1)]:
            middle, low, high = bootstrap(values, lambda drawn: float(drawn.mean()), draws=draws)
            cells.append(f"<td>{middle:.2f} [{low:.2f}, {high:.2f}]</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{part}</th>" for part in [*PARTS, "all"])
    return table_of(f"<th></th>{heads}", rows)


def nearest(part: Section, name: str, frame: pd.DataFrame) -> Markdown:
    """Say in one line which teacher is nearest to the BCPs, as trained and at the best temperatures."""
    said = []
    baseline = baseline_of(frame)
    for treatment, column in TREATMENTS.items():
        if column not in frame or not frame[column].notna().any():
            continue
        best = str(frame.groupby("group")[column].mean().idxmin())
        shown = [best] if baseline in (None, best) else [best, str(baseline)]
        values = [
            f"{name_of(group)} {with_interval(frame.loc[frame['group'] == group, column].dropna().tolist())}"
            for group in shown
        ]
        said.append(f"{treatment}, {values[0]} is nearest" + (f" ({values[1]})" if len(values) > 1 else ""))
    n = _number_of(frame.groupby("group")["seed"].nunique())
    return markdown(f"**{part.title}** ({name}; test KL(BCP ‖ teacher) in nats, n = {n}): {'; '.join(said)}.")


def widest(table: pd.DataFrame) -> str:
    """Say how wide the intervals over seeds are that a figure of means by class cannot show."""
    spread = table.groupby(["group", "class"])["kl"].agg(["sem", "count"])
    n = _number_of(spread["count"])
    if spread["count"].min() < 2:
        return "One seed, so no interval."
    from scipy.special import stdtrit

    half = stdtrit(spread["count"] - 1, 0.975) * spread["sem"]
    return f"Half-widths of 95 % t intervals over n = {n} seeds: median {half.median():.2f}, widest {half.max():.2f}."


def _gains(frame: pd.DataFrame, column: str, baseline: str) -> pd.DataFrame:
    """Return paired differences; p values only of those with enough pairs, and Holm's correction over these."""
    table = gains(frame, column, baseline, "group")
    table.loc[table["n"] < MINIMUM_PAIRS, "p"] = math.nan
    return table.assign(p_holm=holm(table["p"].to_numpy(np.float64)))


def _number_of(counts: pd.Series[Any]) -> str:
    """Write how many seeds the rows of a page have."""
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _chosen(frame: pd.DataFrame, label: str) -> str | None:
    """Return the group of a label with the lowest validation NLL: settings are never chosen by the distance."""
    rows = frame[frame["teacher_label"] == label]
    return None if rows.empty else str(rows.groupby("group")["val_nll"].mean().idxmin())


def _effect(frame: pd.DataFrame, group: str | None, own: str, baseline: str, theirs: str) -> Effect | None:
    """Return the paired difference of a group's column from a column of the baseline, or None without a pair."""
    if group is None:
        return None
    sides = [
        frame[frame["group"] == name].set_index("seed")[column] for name, column in ((group, own), (baseline, theirs))
    ]
    both = pd.concat(sides, axis=1, keys=["own", "theirs"]).dropna()
    return paired(both["own"], both["theirs"]) if len(both) else None


def _at_best_temperatures(rows: pd.DataFrame, group: str | None, baseline: str, measured: str) -> Effect | None:
    """Return the paired difference of two temperature-scaled teachers: a group's, and the baseline's."""
    if group is None:
        return None
    own, plain = (of_parent(rows, "temperature_scaled", name)["group"] for name in (group, baseline))
    return _effect(rows, str(own.iloc[0]), measured, str(plain.iloc[0]), measured) if len(own) and len(plain) else None


def _signed(row: pd.Series[Any]) -> str:
    """Write a difference with half its interval."""
    middle = signed(row["mean"], 3)
    return middle if math.isnan(row["high"]) else f"{middle} ± {(row['high'] - row['low']) / 2:.3f}"
