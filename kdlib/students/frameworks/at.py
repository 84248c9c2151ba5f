"""AT: the student attends to the same places as its teacher. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.base import Auxiliary, Both, Features


def loss(mine: Features, theirs: Features) -> Tensor:
    """Return Σ over stages of the mean over images and places of (a_s - a_t)².

    a is the mean over channels of the squared stage, flattened to `(n, h w)` and scaled to norm 1. The loss is
    torchdistill's, in the form of the authors' code. Source: Zagoruyko and Komodakis (2017), section 3.1.
    """
    from torchdistill.losses.mid_level import ATLoss

    from kdlib.students.frameworks.base import outputs, paired, pairs_of

    pairs = paired(mine.stages, theirs.stages)
    students = outputs(**{f"s{i}": s for i, (s, _) in enumerate(pairs)})
    teachers = outputs(**{f"t{i}": t for i, (_, t) in enumerate(pairs)})
    total: Tensor = ATLoss(**pairs_of(len(pairs), "at_pairs"), mode="code")(students, teachers)
    return total


class AT(Framework):
    """Where each stage attends to (Zagoruyko and Komodakis, 2017)."""

    name = "at"
    meaning = "Where each stage attends to (Zagoruyko and Komodakis, 2017)."
    title = "AT"
    weight = 1000.0
    weights = {"digits": 10.0}
    by_stage = True

    def build(self, both: Both) -> Auxiliary:
        """Return the loss of both networks' features."""
        from kdlib.students.frameworks.base import Relational

        return Relational(both.teacher, loss)
