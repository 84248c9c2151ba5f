"""Eigen-CAM: where a teacher's networks look. (No torch to say so.)"""

from __future__ import annotations

from kdlib.base.config import RunType, parameter
from kdlib.experiments.measure import MeasureConfig


class EigencamConfig(MeasureConfig):
    """Eigen-CAM maps of a teacher that exists."""

    run_type = RunType.EIGENCAM
    parent: str | None = parameter(
        "deterministic", "the teacher: a kind, <study>/<label>, a run or weights:<file>", reference=True
    )
    images: int = parameter(1000, "test images, as many of each class", ge=1, le=1_000_000)
    stage: int = parameter(1, "stage whose activations are mapped, counted from the last", ge=1, le=100)
