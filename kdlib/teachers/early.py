"""Early stopping: the deterministic teacher at the epoch of its lowest validation NLL."""

from __future__ import annotations

from kdlib.teachers.contract import Made, Making
from kdlib.teachers.likelihood import restore

__all__ = ["fit", "restore"]


def fit(making: Making) -> Made:
    """Take the parent's weights of its best epoch, which its run keeps beside the last."""
    (parent,) = making.parent_runs
    tensors = parent.weights("best.safetensors")
    return Made(restore(making, tensors), tensors, notes={"best_epoch": parent.provenance["best_epoch"]})
