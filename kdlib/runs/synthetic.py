"""Synthetic runs: networks of many seeds and supervisions on a Gaussian mixture. (No torch to plan one.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.base.config import Config, RunType
from kdlib.experiments.synthetic.config import SyntheticConfig, normalised
from kdlib.runs.recipe import Arrays, Planning, Recipe

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.runs.plans import Plan
    from kdlib.store.runs import Run
    from kdlib.training.hardware import Hardware


def _synthetic(config: Config) -> SyntheticConfig:
    assert isinstance(config, SyntheticConfig)
    return config


class SyntheticRecipe(Recipe):
    """One experiment: its seeds and supervisions are sets."""

    name = RunType.SYNTHETIC
    meaning = "Networks of many seeds and supervisions, trained together on a Gaussian mixture."
    section = "synthetics"
    notebook = "synthetic"
    first = ("supervisions", "concentrations", "kd_weights", "seeds", "learning_rate", "momentum", "steps")
    named_by_label = True
    images = False

    def schema(self) -> type[SyntheticConfig]:
        """Return the config of an experiment."""
        return SyntheticConfig

    def normalised(self, config: Config) -> Config:
        """Return the config with its sets in order and what has no effect set back."""
        return normalised(_synthetic(config))

    def seed_of(self, config: Config) -> int | None:
        """Return none: an experiment is a set of seeds in one run."""
        return None

    def seed_in_name(self, config: Config) -> str:
        """Return how many seeds there are."""
        return f"{len(_synthetic(config).seeds.split('+'))}-seeds"

    def parents(self, config: Config, fingerprint: str, planning: Planning) -> tuple[dict[str, Plan], str]:
        """Return none, and the depth of the networks."""
        return {}, f"{_synthetic(config).layers}-layers"

    def make(self, planned: Plan, dataset: Dataset | None, run: Run, hardware: Hardware) -> None:
        """Train and measure all networks."""
        from kdlib.experiments.synthetic.experiment import fit

        fit(_synthetic(planned.config), run, hardware)

    def arrays(self, run: Run, config: Config, first_seed: bool) -> Arrays:
        """Return everything that was measured."""
        return {name: value.numpy() for name, value in run.arrays().items()}
