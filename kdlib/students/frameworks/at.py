"""AT: the student attends to the same places as its teacher. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.features import Features
    from kdlib.training.loop import Batch


class AT(Framework):
    """Where each stage attends to (Zagoruyko and Komodakis, 2017)."""

    name = "at"
    title = "AT"
    weight = 1000.0
    weights = {"digits": 10.0}
    by_stage = True

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return Σ over stages of the mean over images and places of (a_s - a_t)².

        a is the mean over channels of the squared stage, flattened to `(n, h w)` and scaled to norm 1. The loss is
        torchdistill's, in the form of the authors' code. Source: Zagoruyko and Komodakis (2017), section 3.1.
        """
        from torchdistill.losses.mid_level import ATLoss

        one_stage = ATLoss({}).compute_at_loss
        return sum((one_stage(s, t) for s, t in mine.paired(theirs)), mine.logits.new_zeros(()))
