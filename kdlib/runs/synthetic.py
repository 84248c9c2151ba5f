"""Synthetic runs: networks of many seeds and supervisions on a Gaussian mixture. (No torch to plan one.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.base.config import RunType
from kdlib.experiments.synthetic.config import SyntheticConfig, normalised
from kdlib.runs.recipe import Arrays, Recipe

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.runs.plans import Plan, Planner
    from kdlib.store.runs import Run
    from kdlib.training.hardware import Hardware


class SyntheticRecipe(Recipe[SyntheticConfig]):
    """One experiment: its seeds and supervisions are sets."""

    name = RunType.SYNTHETIC
    config_type = SyntheticConfig
    notebook = "synthetic"
    first = ("supervisions", "concentrations", "kd_weights", "seeds", "learning_rate", "momentum", "steps")
    named_by_label = True
    images = False

    def normalised(self, config: SyntheticConfig) -> SyntheticConfig:
        """Return the config with its sets in order and what has no effect set back."""
        return normalised(config)

    def seed_of(self, config: SyntheticConfig) -> int | None:
        """Return none: an experiment is a set of seeds in one run."""
        return None

    def seed_in_name(self, config: SyntheticConfig) -> str:
        """Return how many seeds there are."""
        return f"{len(config.seeds.split('+'))}-seeds"

    def completed(self, config: SyntheticConfig, planner: Planner) -> tuple[SyntheticConfig, dict[str, Plan], str]:
        """Return the config, no parents, and the depth of the networks."""
        return config, {}, f"{config.layers}-layers"

    def make(self, planned: Plan, dataset: Dataset | None, run: Run, hardware: Hardware) -> None:
        """Train and measure all networks."""
        from kdlib.experiments.synthetic.experiment import fit

        assert isinstance(planned.config, SyntheticConfig)
        fit(planned.config, run, hardware)

    def arrays(self, run: Run, config: SyntheticConfig, first_seed: bool) -> Arrays:
        """Return everything that was measured."""
        return {name: value.numpy() for name, value in run.arrays().items()}
