"""Early stopping: the deterministic teacher at the epoch of its lowest validation NLL. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.teachers.kind import DASH, Kind, Mark

if TYPE_CHECKING:
    from kdlib.teachers.making import Made, Making


class EarlyStopped(Kind):
    """The weights that a deterministic teacher's run keeps beside the last ones."""

    name = "early_stopped"
    meaning = "Control: the deterministic network at the epoch of its lowest validation NLL."
    title = "early stopped"
    mark = Mark("#4c7a1a", ">", DASH, "**")
    trains = False
    starts_with = "parent"

    def accepts(self, parent: Kind) -> bool:
        """Start from a teacher that keeps its best epoch."""
        return parent.keeps_best

    def fit(self, making: Making) -> Made:
        """Take the parent's weights of its best epoch."""
        from kdlib.store.runs import Run
        from kdlib.teachers.making import Made

        run = Run(making.parents[0].name)
        tensors = run.weights("best.safetensors")
        return Made(self.restore(making, tensors), tensors, notes={"best_epoch": run.provenance["best_epoch"]})
