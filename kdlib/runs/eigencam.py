"""Eigen-CAM runs: maps of a teacher that exists. (No torch to plan one.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.base.config import Config, RunType
from kdlib.base.errors import InputError
from kdlib.experiments.eigencam import EigencamConfig
from kdlib.experiments.measure import MeasureConfig
from kdlib.runs.measure import MeasureRecipe
from kdlib.runs.recipe import Arrays
from kdlib.teachers.kind import as_teacher
from kdlib.teachers.kinds import kind_of

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.runs.plans import Plan, Planner
    from kdlib.store.runs import Run
    from kdlib.training.hardware import Hardware


class EigencamRecipe(MeasureRecipe):
    """One teacher's maps."""

    name = RunType.EIGENCAM
    config_type = EigencamConfig
    notebook = "eigencam"
    first = ("dataset", "parent", "images", "stage")

    def completed(self, config: MeasureConfig, planner: Planner) -> tuple[MeasureConfig, dict[str, Plan], str]:
        """Return the config with the teacher's architecture."""
        config, parents, role = super().completed(config, planner)
        architecture = as_teacher(parents["teacher"].config).architecture
        return config.model_copy(update={"architecture": architecture}), parents, role

    def check_here(self, planned: Plan, dataset: Dataset) -> None:
        """Refuse a stage that the network does not have."""
        from kdlib.runs.networks import shapes_alone

        config = planned.config
        assert isinstance(config, EigencamConfig)
        with shapes_alone(config.architecture, dataset) as network:
            stages = len(network.blocks)
        if config.stage > stages:
            raise InputError(f"stage = {config.stage} is refused: {config.architecture} has {stages} stages.")

    def make(self, planned: Plan, dataset: Dataset | None, run: Run, hardware: Hardware) -> None:
        """Map the teacher."""
        from kdlib.experiments.eigencam.run import fit
        from kdlib.runs.networks import teacher_of

        parent = planned.parents["teacher"]
        assert isinstance(planned.config, EigencamConfig) and dataset is not None
        fit(planned.config, teacher_of(parent, dataset, hardware), kind_of(as_teacher(parent.config)), dataset, run)

    def arrays(self, run: Run, config: Config, first_seed: bool) -> Arrays:
        """Return the pictures and maps of the first seed, which pages show."""
        whole = {name: value.numpy() for name, value in run.arrays().items()} if first_seed else {}
        return {name: value[: len(whole["pictures"])] for name, value in whole.items()}
