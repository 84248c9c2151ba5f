"""Claim C8: how much MCMI raises its parent's conditional mutual information, and what that costs. (No torch.)

The claim is about MCMI of the deterministic teacher; MCMI of another parent is compared with that parent, beside it.
"""

from __future__ import annotations

import pandas as pd

from kdlib.report.bcp_tables import baseline_of, of_one_network, of_parent
from kdlib.report.claims import CLAIMS, Effect
from kdlib.report.claims.choice import effect, entering

CLAIM = next(claim for claim in CLAIMS if claim.id == "C8")
GUARD = CLAIM.guard
assert GUARD is not None
MCMI = CLAIM.treated[0]


def effects(frame: pd.DataFrame, measured: str = CLAIM.column) -> dict[str, dict[str, Effect | None]]:
    """Return the effect of C8.

    Args:
        frame: a study's rows on one dataset.
        measured: the column to compare.
    """
    rows = of_one_network(entering(frame))
    baseline = baseline_of(rows)
    own = of_parent(rows, MCMI, baseline) if baseline is not None else rows
    return {CLAIM.id: {MCMI: None if own.empty else effect(rows, _best(own), baseline, measured, "group")}}


def guards(frame: pd.DataFrame) -> dict[str, Effect]:
    """Return the effect on what MCMI may not cost, accuracy, by member; empty without pairs."""
    found = effects(frame, GUARD.column)[CLAIM.id] if GUARD is not None else {}
    return {member: one for member, one in found.items() if one is not None}


def others(frame: pd.DataFrame) -> dict[str, tuple[Effect | None, Effect | None]]:
    """Return the effects on CMI and accuracy of MCMI of other parents, by pair; no verdict rests on them."""
    rows = of_one_network(frame)
    found = {}
    for group in dict.fromkeys(rows["group"]) if len(rows) else ():
        own = of_parent(rows, MCMI, group) if group != baseline_of(rows) else rows.iloc[:0]
        if len(own) and GUARD is not None:
            best = _best(own)
            cmi, cost = (effect(rows, best, group, column, "group") for column in (CLAIM.column, GUARD.column))
            found[f"{best} − {group}"] = cmi, cost
    return found


def _best(rows: pd.DataFrame) -> str:
    """Return the group with the lowest validation NLL."""
    return str(rows.groupby("group", sort=False)["val_nll"].mean().idxmin())
