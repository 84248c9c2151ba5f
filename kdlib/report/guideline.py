"""What to do in practice: each sentence made from a result; where its verdict is another, it is gone. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kdlib.report import goes_with
from kdlib.report.choice import chosen, effect
from kdlib.report.claims.answers import Answer, Column
from kdlib.report.claims.rules import Verdict
from kdlib.report.claims.students import grid
from kdlib.report.front import BASELINE
from kdlib.report.inference import Effect
from kdlib.report.theme import name_of
from kdlib.report.words import interval, plain

WORTH = 0.005
"""A gain in accuracy that pays for some trouble: half a point, as the claims have it."""


def advice(columns: Sequence[Column]) -> str:
    """Return the guideline by the first of some studies, as a Markdown list; it names others whose verdict differs."""
    first, *others = columns
    lines = [*_teacher(first), _temperature(first)]
    for place, answer in enumerate(first.answers):
        if said := _claim(answer):
            apart = [_otherwise(one, one.answers[place]) for one in others if _differ(answer, one.answers[place])]
            lines.append(" ".join([said, *apart]))
    return "\n".join(f"- {line}" for line in lines if line)


def _teacher(column: Column) -> list[str]:
    """Say which teacher to take: the best one if it is surely better than the deterministic one, else that."""
    rows, said = goes_with.teachers_and_gains(column.frame), []
    if rows.empty or BASELINE not in set(rows["teacher_label"]):
        return []
    best = str(rows.groupby("teacher_label")["gain"].mean().idxmax())
    enough = f"**A well-trained {name_of(BASELINE)} teacher is enough:**"
    if best == BASELINE:
        said.append(f"{enough} no other teacher's students gain more.")
    elif found := effect(rows, best, BASELINE, "gain"):
        change = f"{interval(found, 'accuracy')} over the {name_of(BASELINE)} teacher's (n = {found.n})"
        if found.low > 0 and found.mean >= WORTH:
            said.append(f"**Take the {name_of(best)} teacher:** its students gain {change}.")
        elif found.high < WORTH:
            said.append(f"{enough} the students of the best other one, {name_of(best)}, gain {change}, and half a "
                        "point would pay.")  # fmt: skip
        else:
            said.append(f"**The {name_of(best)} teacher may pay:** its students gain {change}; half a point would pay, "
                        "and the data leave open whether it is that much.")  # fmt: skip
    worst = effect(rows, BASELINE, "overtrained", "gain")
    if worst is not None and (do := _does(worst, "Stop the teacher in time", "Training too long costs little here")):
        said.append(
            f"**{do}:** at its chosen length its students gain {interval(worst, 'accuracy')} over those of a teacher "
            f"that was trained until it repeats its labels{_other_network(column)} (n = {worst.n})."
        )
    return said


def _other_network(column: Column) -> str:
    """Say where the overtrained teacher has another network than the deterministic one."""
    teachers = goes_with.teachers_of(column.frame)
    networks = teachers.loc[teachers["teacher_label"].isin((BASELINE, "overtrained")), "architecture"]
    return ", with another network" if networks.nunique() > 1 else ""


def _does(found: Effect, helps: str, little: str) -> str:
    """Return what to say of an effect: it helps, it is surely too small to pay, or nothing where it may do either."""
    return helps if found.low > 0 else little if found.high < WORTH else ""


def _temperature(column: Column) -> str:
    """Say whether to choose the temperature on validation images."""
    own = column.frame[column.frame["run_type"] == "student"]
    rows = grid(own[own["teacher_label"] == BASELINE])
    plain = rows[(rows["temperature"] == 1) & (rows["student_temperature"] == 1)]
    picked, plain = chosen(rows), chosen(plain)
    sides = pd.concat([picked.assign(side="chosen"), plain.assign(side="one")])
    found = effect(sides, "chosen", "one", by="side")
    if found is None or found.n < 2 or (picked["temperature"] == 1).all():
        return ""
    do = _does(found, "Choose T on validation images before anything else", "T matters little here")
    t = f"{picked['temperature'].iloc[0]:g}"
    return (
        f"**{do}:** T = S = {t} against 1 gives students {interval(found, 'accuracy')} (n = {found.n})." if do else ""
    )


def _claim(answer: Answer) -> str:
    """Say what follows from a verdict for whoever distils; nothing where the data leave it open."""
    yes, no = answer.claim.advice
    text = {Verdict.SUPPORTED: yes, Verdict.NOT_SUPPORTED: no}.get(answer.verdict, "")
    ends = _ends(answer)
    but = f"; {answer.limit}" if answer.limit else ""
    return f"{text} ({answer.claim.id}: {ends}{but}.)" if text and ends else ""


def _differ(answer: Answer, other: Answer) -> bool:
    """Say whether two verdicts are the opposite of each other."""
    return {answer.verdict, other.verdict} == {Verdict.SUPPORTED, Verdict.NOT_SUPPORTED}


def _otherwise(column: Column, answer: Answer) -> str:
    """Say that a verdict is the opposite on another dataset."""
    return f"On {plain(column.name)} it is the other way: {_ends(answer)}."


def _ends(answer: Answer) -> str:
    """Write the effects of a claim, or the least and the greatest."""
    effects = sorted((effect for effect in answer.measured.values() if effect), key=lambda one: one.mean)
    ends = list(dict.fromkeys(interval(one, answer.claim.unit) for one in (*effects[:1], *effects[-1:])))
    return "from " * (len(ends) > 1) + " to ".join(ends)
