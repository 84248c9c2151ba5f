"""Measurements of a teacher that exists, with another number of samples. (No torch to plan one.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kdlib import data
from kdlib.base.config import Config, RunType, at_constants
from kdlib.experiments.measure import MeasureConfig
from kdlib.runs.recipe import Planning, Recipe, needed
from kdlib.students.config import WEIGHTS
from kdlib.teachers.kind import as_teacher
from kdlib.teachers.kinds import kind_of

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.runs.plans import Plan
    from kdlib.store.runs import Run
    from kdlib.training.hardware import Hardware


class MeasureRecipe(Recipe):
    """One measurement."""

    name = RunType.MEASURE
    meaning = "Metrics and predictions of a teacher that exists, with another number of samples."
    section = "measures"
    notebook = "teacher"
    meaning_as_kind = "only measure the parent"
    refers_by = "parent"

    def schema(self) -> type[MeasureConfig]:
        """Return the config of a measurement."""
        return MeasureConfig

    def settings(self, given: Config) -> dict[str, Any]:
        """Return the images of a forward pass."""
        return {"batch_size": 500}

    def normalised(self, config: Config) -> Config:
        """Return the config; only a file of weights needs an architecture."""
        assert isinstance(config, MeasureConfig)
        file = (config.parent or "").startswith(WEIGHTS)
        side = data.family_of(config.dataset).side(config.image_size)
        return at_constants(config, () if file else ("architecture",), image_size=side)

    def parents(self, config: Config, fingerprint: str, planning: Planning) -> tuple[dict[str, Plan], str]:
        """Return the teacher that it measures."""
        assert isinstance(config, MeasureConfig)
        text = needed(config, "parent", "a measurement needs the teacher that it measures")
        parent = planning.reference(config, text, "parent", config.architecture)
        return {"teacher": parent}, f"of-{parent.record['role']}"

    def completed(self, config: Config, parents: Mapping[str, Plan]) -> Config:
        """Return the config; a number of samples means something of a stochastic teacher only."""
        theirs = as_teacher(parents["teacher"].config)
        return config if kind_of(theirs).stochastic else config.model_copy(update={"eval_samples": None})

    def make(self, planned: Plan, dataset: Dataset | None, run: Run, hardware: Hardware) -> None:
        """Measure the teacher."""
        from kdlib.experiments.measure import remeasure
        from kdlib.runs.networks import teacher_of

        assert isinstance(planned.config, MeasureConfig) and dataset is not None
        teacher = teacher_of(planned.parents["teacher"], dataset, hardware)
        remeasure(planned.config, teacher, dataset, run)
