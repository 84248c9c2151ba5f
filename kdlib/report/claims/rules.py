"""How effects become verdicts. (No torch.)

The rules, fixed before any study ran. An effect is a mean over pairs of seeds with a 95 % Student t interval, counted
in smallest effects of interest on the side that is claimed, so that every claim says "above zero". A claim about
several teachers (or frameworks) is one family: p values are corrected over it by Holm's procedure, for "the effect is
zero" and for "the effect is the smallest of interest" alike; the intervals shown are those of each effect alone. Then,
in this order:

1. not run: there is no effect;
2. inconclusive: fewer than five pairs;
3. supported: the corrected p value of "zero" is at most 0.05, the whole interval lies above zero, and the
   mean reaches the smallest effect of interest;
4. not supported: the whole interval lies below the smallest effect of interest and the corrected p value of
   "it is the smallest effect of interest" is at most 0.05;
5. inconclusive.

So a family without any true effect is called supported somewhere with a probability of at most 5 %, and one
whose effects all reach the smallest of interest is called not supported somewhere with at most 5 %.
A claim "at little cost" has a guard too: it is supported only where the guard's interval lies above the
worst that is acceptable, and not supported where it lies below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from kdlib.report.claims.claim import Claim, Effects
from kdlib.report.inference import Effect, holm, seeds_needed

ALPHA = 0.05
MINIMUM_PAIRS = 5


class Verdict(StrEnum):
    """What the data say of a claim."""

    SUPPORTED = "supported"
    """The effect is there and at least as large as what would matter."""
    NOT_SUPPORTED = "not supported"
    """The effect, if any, is smaller than what would matter."""
    INCONCLUSIVE = "inconclusive"
    """Too few seeds to say either."""
    UNFINISHED = "not yet"
    """Not all of the seeds that the study has planned are there: nothing is judged before the last."""
    NOT_RUN = "not run"
    """No run measures it on this dataset."""


@dataclass(frozen=True)
class Judgement:
    """Hold the verdict on one member of a claim's family, with what it rests on."""

    member: str
    """The teacher (or framework) compared with its baseline."""
    effect: Effect | None
    """In smallest effects of interest, above zero where the claim says it is."""
    p: float
    """Corrected p value of "the effect is zero"; NaN where there was no test."""
    verdict: Verdict


def verdict(effect: Effect | None, p: float, p_smallest: float | None = None) -> Verdict:
    """Return what one effect says, by the rules above.

    Args:
        effect: in smallest effects of interest, or None where nothing was run.
        p: corrected p value of "the effect is zero".
        p_smallest: corrected p value of "it is the smallest of interest"; None for an effect on its own, where the
            interval says the same.
    """
    if effect is None:
        return Verdict.NOT_RUN
    if effect.n < MINIMUM_PAIRS:
        return Verdict.INCONCLUSIVE
    if p <= ALPHA and effect.low > 0 and effect.mean >= 1:
        return Verdict.SUPPORTED
    if effect.high < 1 and (p_smallest is None or p_smallest <= ALPHA):
        return Verdict.NOT_SUPPORTED
    return Verdict.INCONCLUSIVE


def judge(claim: Claim, effects: Effects, guards: Effects | None = None) -> list[Judgement]:
    """Return the verdict on each member of a claim's family on one dataset, corrected over the family.

    Args:
        claim: a row of `CLAIMS`.
        effects: what was measured, treated − baseline, as it is, for each member; None where it was not run.
        guards: the effect on the guarded measure (treated − baseline, higher is better) for each member, where
            the claim has a guard.
    """
    scaled = {member: effect and effect.in_units(claim.smallest) for member, effect in effects.items()}
    tested = [e if e and e.n >= MINIMUM_PAIRS else None for e in scaled.values()]
    zero = holm([e.p if e else math.nan for e in tested])
    smallest = holm([e.p_equals(1) if e else math.nan for e in tested])
    judgements = []
    for (member, effect), p, p_smallest in zip(scaled.items(), zero, smallest, strict=True):
        said = verdict(effect, float(p), float(p_smallest))
        if claim.guard is not None and effect is not None:
            said = _guarded(said, (guards or {}).get(member), claim.guard.worst)
        judgements.append(Judgement(member, effect, float(p), said))
    return judgements


def needed(claim: Claim, one: Judgement, family: int = 1, guard: Effect | None = None) -> int | None:
    """Return the seeds that a verdict on a member would need at the spread seen; None where nothing is open.

    With one seed there is no spread to plan with, and the fewest that allow a verdict are named.

    Args:
        claim: a row of `CLAIMS`.
        one: the judgement on the member.
        family: how many members were measured; they share the error rate.
        guard: the effect on the guarded measure, where the claim has one.
    """
    if one.verdict is not Verdict.INCONCLUSIVE or one.effect is None:
        return None
    plans = [(one.effect, family)]
    if claim.guard is not None and guard is not None:
        plans.append((guard.in_units(claim.guard.worst), 1))
    return max(seeds_needed(e, 1, comparisons=n) if e.n > 1 else MINIMUM_PAIRS for e, n in plans)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Return one answer for a family: a claim in the plural is a claim about every member.

    Supported where every member is; not supported where one is not; not run where none was run;
    inconclusive otherwise.
    """
    said = set(verdicts) or {Verdict.NOT_RUN}
    if len(said) == 1:
        return said.pop()
    return Verdict.NOT_SUPPORTED if Verdict.NOT_SUPPORTED in said else Verdict.INCONCLUSIVE


def _guarded(said: Verdict, guard: Effect | None, worst: float) -> Verdict:
    """Return a verdict that also asks whether the cost stays within `worst` (a negative number)."""
    if guard is None or guard.n < MINIMUM_PAIRS:
        return Verdict.INCONCLUSIVE if said is Verdict.SUPPORTED else said
    if guard.high < worst:
        return Verdict.NOT_SUPPORTED
    return Verdict.INCONCLUSIVE if said is Verdict.SUPPORTED and guard.low <= worst else said
