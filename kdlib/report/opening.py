"""What opens a result page: its question, and the answer that the study makes which decides. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdlib.report import layout
from kdlib.report.claims import MINIMUM_PAIRS, Verdict
from kdlib.report.claims.words import QUESTIONS, WORDS, claims_of
from kdlib.report.plots.style import name_of
from kdlib.report.verdict_tables import interval
from kdlib.report.verdicts import decided

if TYPE_CHECKING:
    from IPython.display import HTML

    from kdlib.report.verdicts import Answer, Column

SO: Mapping[Verdict, str] = {
    Verdict.SUPPORTED: "The claim holds here.",
    Verdict.NOT_SUPPORTED: "The claim does not hold here.",
    Verdict.INCONCLUSIVE: "The data leave it open.",
    Verdict.UNFINISHED: "No verdict before the last planned seed is there.",
    Verdict.NOT_RUN: "No run here measures it.",
}
"""A verdict as a practitioner would say it."""
MOST = 3
"""Members of a family that are written out; of more, the ends of their range stand for them."""


def sentence(answer: Answer) -> str:
    """Say what was measured of a claim, what follows, what limits it and what the paper reports.

    A failed guard, an interval across zero and too few pairs are in the verdict; the sentence names the last two.
    """
    claim, words = answer.claim, WORDS[answer.claim.id]
    if answer.verdict in (Verdict.NOT_RUN, Verdict.UNFINISHED):
        return f"{claim.id}: {words.short}? {answer.waiting or SO[answer.verdict]}"
    found = {member: effect for member, effect in answer.measured.items() if effect is not None}
    if len(found) > MOST:
        ends = sorted(found.items(), key=lambda item: item[1].mean)
        said = " to ".join(
            f"{interval(effect, claim.unit)} ({name_of(member)})" for member, effect in (ends[0], ends[-1])
        )
    else:
        named = len(found) > 1
        said = "; ".join(
            f"{name_of(member)} {interval(effect, claim.unit)}" if named else interval(effect, claim.unit)
            for member, effect in found.items()
        )
    pairs = sorted({effect.n for effect in found.values()})
    n = f"n = {pairs[0]}" + (f" to {pairs[-1]}" if len(pairs) > 1 else "")
    open_ends = [name_of(one) for one, effect in found.items() if effect.low <= 0 <= effect.high]
    limits = []
    if open_ends:
        limits.append("an interval that holds zero leaves open whether there is any effect")
    if pairs[0] < MINIMUM_PAIRS:
        limits.append(f"fewer than {MINIMUM_PAIRS} pairs of seeds allow no verdict")
    if claim.guard is not None and answer.verdict is not Verdict.SUPPORTED and _fails(answer):
        limits.append(f"{claim.guard.measure} may have fallen too far")
    because = f" Note: {'; '.join(limits)}." if limits else ""
    due = {member: effect for member, effect in answer.due.items() if member in found}
    cmi = "; ".join(interval(effect, claim.unit) for effect in due.values()) if 0 < len(due) <= MOST else ""
    apart = f" Of it, due to CMI: {cmi}." if cmi else ""
    return f"{claim.id}: {words.lead}: {said}, {n}. {SO[answer.verdict]}{because}{apart} {words.published}"


def _fails(answer: Answer) -> bool:
    worst = answer.claim.guard.worst if answer.claim.guard is not None else 0.0
    return any(effect.low < worst for effect in answer.guards.values())


def said_of(claims: Sequence[str], column: Column | None) -> list[str]:
    """Return a sentence a claim, of the study that decides; one line where there is none."""
    if column is None:
        return ["No study that decides this page has runs or records here yet."]
    answers = {answer.claim.id: answer for answer in column.answers}
    return [sentence(answers[name]) for name in claims]


def opening(page: str, only: str = "") -> HTML:
    """Return the question of a page and its answer, by the study that decides.

    Args:
        page: its name.
        only: studies joined by `+` that decide instead.
    """
    shown: HTML = layout.answer(QUESTIONS[page], said_of(claims_of(page), decided(page, only)))
    return shown
