"""Measurements of a teacher that exists, with another number of samples. (No torch to plan one.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kdlib.base.config import RunType, at_constants
from kdlib.base.errors import InputError
from kdlib.experiments.measure import MeasureConfig
from kdlib.runs.recipe import Recipe
from kdlib.students.config import WEIGHTS
from kdlib.teachers.kind import as_teacher
from kdlib.teachers.kinds import kind_of

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.runs.plans import Plan, Planner
    from kdlib.store.runs import Run
    from kdlib.training.hardware import Hardware


class MeasureRecipe(Recipe[MeasureConfig]):
    """One measurement."""

    name = RunType.MEASURE
    config_type = MeasureConfig
    notebook = "teacher"
    meaning_as_kind = "only measure the parent"
    refers_by = "parent"

    def recorded(self, values: Mapping[str, Any]) -> MeasureConfig:
        """Return the config that a run's record holds; older ones have a `batch_size`, which had no effect."""
        return super().recorded({name: value for name, value in values.items() if name != "batch_size"})

    def normalised(self, config: MeasureConfig) -> MeasureConfig:
        """Return the config; only a file of weights needs an architecture."""
        file = (config.parent or "").startswith(WEIGHTS)
        return at_constants(config, () if file else ("architecture",))

    def completed(self, config: MeasureConfig, planner: Planner) -> tuple[MeasureConfig, dict[str, Plan], str]:
        """Return the config and the teacher; a number of samples means something of a stochastic teacher only."""
        if config.parent is None:
            raise InputError("parent = None is refused: a measurement needs the teacher that it measures.")
        parent = planner.reference(config, config.parent, "parent", config.architecture)
        if not kind_of(as_teacher(parent.config)).stochastic:
            config = config.model_copy(update={"eval_samples": None})
        return config, {"teacher": parent}, f"of-{parent.record['role']}"

    def make(self, planned: Plan, dataset: Dataset | None, run: Run, hardware: Hardware) -> None:
        """Measure the teacher."""
        from kdlib.experiments.measure import remeasure
        from kdlib.runs.networks import teacher_of

        assert isinstance(planned.config, MeasureConfig) and dataset is not None
        remeasure(planned.config, teacher_of(planned.parents["teacher"], dataset, hardware), dataset, run)
