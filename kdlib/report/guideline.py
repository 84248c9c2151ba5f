"""What to do in practice: each sentence made from a result; where its verdict is another, it is gone. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report import front
from kdlib.report.claims import Effect, Verdict, paired
from kdlib.report.claims.choice import chosen
from kdlib.report.plots.style import name_of
from kdlib.report.verdict_tables import interval
from kdlib.report.words import markdown

if TYPE_CHECKING:
    from IPython.display import Markdown

    from kdlib.report.verdicts import Answer, Column

WORTH = 0.005
"""A gain in accuracy that pays for some trouble: half a point, as the claims have it."""


def advice(column: Column) -> Markdown:
    """Return the guideline by one study, as a list."""
    lines = [line for line in (*_teacher(column), _temperature(column), *_claims(column)) if line]
    return markdown("\n".join(f"- {line}" for line in lines))


def _gain(rows: pd.DataFrame, label: str, over: str) -> Effect | None:
    wide = rows.pivot(index="seed", columns="teacher_label", values="gain")
    if label not in wide or over not in wide:
        return None
    both = wide[[label, over]].dropna()
    return paired(both[label].to_numpy(), both[over].to_numpy()) if len(both) > 1 else None


def _teacher(column: Column) -> list[str]:
    """Say which teacher to take: the best one if it is surely better than the deterministic one, else that."""
    rows = front.rows_of(column)
    if rows.empty or front.BASELINE not in set(rows["teacher_label"]):
        return []
    means = rows.groupby("teacher_label")["gain"].mean()
    said, best = [], str(means.idxmax())
    found = _gain(rows, best, front.BASELINE)
    if best != front.BASELINE and found is not None:
        change = f"{interval(found, 'accuracy')} over the {name_of(front.BASELINE)} teacher's (n = {found.n})"
        if found.low > 0 and found.mean >= WORTH:
            said.append(f"**Take the {name_of(best)} teacher:** its students gain {change}.")
        else:
            said.append(
                f"**A well-trained {name_of(front.BASELINE)} teacher is enough:** the students of the best other one, "
                f"{name_of(best)}, gain {change}, and half a point would pay."
            )
    worst = _gain(rows, front.BASELINE, "overtrained")
    if worst is not None:
        do = "Stop the teacher in time" if worst.low > 0 else "Training the teacher too long costs little here"
        said.append(
            f"**{do}:** at its chosen length its students gain {interval(worst, 'accuracy')} over those of the same "
            f"teacher trained until it repeats its labels (n = {worst.n})."
        )
    return said


def _temperature(column: Column) -> str:
    """Say whether to choose the temperature on validation images."""
    frame = column.part.frame
    own = frame[(frame["dataset"] == column.dataset) & (frame["run_type"] == "student")]
    plain = own["label"].astype(str).str.startswith("distilled") & (own["teacher_label"] == front.BASELINE)
    rows = own[plain & (own["framework"] == "kd") & (own["samples"] == 1)].drop_duplicates("run")
    picked, one = chosen(rows), rows[rows["temperature"] == 1]
    if picked.empty or one.empty or (picked["temperature"] == 1).all():
        return ""
    both = picked.set_index("seed")["test_accuracy"].to_frame("high").join(one.set_index("seed")["test_accuracy"])
    both = both.dropna()
    if len(both) < 2:
        return ""
    found = paired(both["high"].to_numpy(), both["test_accuracy"].to_numpy())
    t = f"{picked['temperature'].iloc[0]:g}"
    do = "Choose T on validation images before anything else" if found.low > 0 else "T matters little here"
    return f"**{do}:** T = S = {t} against 1 gives students {interval(found, 'accuracy')} (n = {found.n})."


def _claims(column: Column) -> list[str]:
    """Say what follows from the verdicts for whoever distils."""
    answers = {answer.claim.id: answer for answer in column.answers}
    said = []
    for name, (yes, no) in ADVICE.items():
        answer = answers[name]
        text = {Verdict.SUPPORTED: yes, Verdict.NOT_SUPPORTED: no}.get(answer.verdict, "")
        if text:
            said.append(f"{text} ({name}: {_shown(answer)}.)")
    return said


ADVICE = {
    "C6": (
        "**With a stochastic teacher, draw several times a step:** more draws make better students.",
        "**With a stochastic teacher, one draw a step is enough.**",
    ),
    "C4": (
        "**A Bayesian teacher pays** in the students' accuracy.",
        "**Do not train a Bayesian teacher for the students' accuracy alone.**",
    ),
    "C9": (
        "**MCMI pays in every framework.**",
        "**Do not expect MCMI to pay in every framework.**",
    ),
    "C11": (
        "**With few images, take an MCMI teacher.**",
        "**With few images, MCMI does not pay by itself.**",
    ),
    "C12": (
        "**For a class without images, take an MCMI teacher.**",
        "**For a class without images, MCMI does not help by itself.**",
    ),
}
"""What to do where a claim is supported, and where it is not; nothing where the data leave it open."""


def _shown(answer: Answer) -> str:
    effects = [effect for effect in answer.measured.values() if effect is not None]
    low, high = min(effects, key=lambda one: one.mean), max(effects, key=lambda one: one.mean)
    unit = answer.claim.unit
    return interval(low, unit) if low is high else f"from {interval(low, unit)} to {interval(high, unit)}"
