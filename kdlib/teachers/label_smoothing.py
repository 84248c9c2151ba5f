"""Label smoothing: cross-entropy against labels of which a share is spread over all classes. (No torch.)"""

from __future__ import annotations

from functools import partial
from typing import Any

from kdlib.base.config import parameter
from kdlib.teachers.kind import DASHDOTDOT, Mark, TeacherConfig
from kdlib.teachers.labels import Loss, OnLabels


class SmoothingConfig(TeacherConfig):
    """How much is spread."""

    smoothing: float | None = parameter(
        None, "label_smoothing: share of each label spread over all classes", gt=0, lt=1
    )


class LabelSmoothing(OnLabels):
    """Source: Szegedy et al., CVPR 2016, section 7."""

    name = "label_smoothing"
    meaning = "Cross-entropy with `smoothing` of each label spread over all classes."
    title = "label smoothing"
    mark = Mark("#8a5a00", "h", DASHDOTDOT, "oo")
    config_type = SmoothingConfig

    def settings(self, given: TeacherConfig, epochs: int) -> dict[str, Any]:
        """Return the usual smoothing, or that of the lowest validation NLL on digits (seeds 900 to 902)."""
        on_digits = given.dataset.startswith("digits") and given.preset is None
        return {"smoothing": 0.01 if on_digits else 0.1}

    def loss(self, config: SmoothingConfig) -> Loss:
        """Return the smoothed cross-entropy."""
        from torch.nn import functional as F

        return partial(F.cross_entropy, label_smoothing=float(config.smoothing or 0))
