"""What a run type is: its config, how references become parents, what it is called, how it is made. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from numpy.typing import NDArray

from kdlib.base.config import Config, RunType, effective, of_record
from kdlib.base.errors import InputError

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.runs.plans import Plan
    from kdlib.store.runs import Run
    from kdlib.training.hardware import Hardware

Arrays = dict[str, NDArray[Any]]


class Planning(Protocol):
    """Who plans: each config and each reference once."""

    def plan(self, config: Config) -> Plan:
        """Return the run that a config means, with all its parents."""
        ...

    def teacher(self, given: Mapping[str, Any]) -> Plan:
        """Return the run of the teacher that parameters mean."""
        ...

    def reference(self, config: Config, text: str, parameter: str, architecture: str | None = None) -> Plan:
        """Return the teacher that a text names: a kind, `<study>/<label>`, a run or `weights:<file>`."""
        ...


class Recipe:
    """A type of run; each has a file of its own in this room and is listed in `recipes`."""

    name: ClassVar[RunType]
    meaning: ClassVar[str]
    section: ClassVar[str]
    """The key of its entries in a study file."""
    notebook: ClassVar[str]
    """The run notebook that makes it."""
    meaning_as_kind: ClassVar[str] = ""
    """What `kind` says of it in a notebook that makes another run type too."""
    first: ClassVar[tuple[str, ...]] = ()
    """The parameters that come first in that notebook."""
    refers_by: ClassVar[str | None] = None
    """The parameter in which a study's label stands for a teacher."""
    supervisions: ClassVar[tuple[str, ...]] = ()
    """What may stand there and is no teacher."""
    named_by_label: ClassVar[bool] = False
    """Whether figures call it by its own label in a study; else by that of the teacher it refers to."""
    teaches: ClassVar[bool] = False
    """Whether it makes what students learn from."""
    images: ClassVar[bool] = True
    """Whether it is made from a dataset of images."""

    def schema(self) -> type[Config]:
        """Return the class of its configs."""
        raise NotImplementedError

    def settings(self, given: Config) -> dict[str, Any]:
        """Return the values of what was not given."""
        return {}

    def normalised(self, config: Config) -> Config:
        """Return a config with parameters without effect at their constants, so that two that mean the same are equal.

        Raises:
            InputError: values do not fit each other.
        """
        return config

    def recorded(self, values: Mapping[str, Any]) -> Config:
        """Return the config that a run's record holds."""
        return of_record(self.schema(), values, {})

    def seed_of(self, config: Config) -> int | None:
        """Return the seed that a run belongs to; none for a set of seeds in one run."""
        return config.seed

    def teacher_seed(self, config: Config) -> int:
        """Return the seed of the teacher that it refers to."""
        return config.seed

    def seed_in_name(self, config: Config) -> str:
        """Return how its name says the seed."""
        return f"s{config.seed}"

    def family(self, config: Config) -> str:
        """Return what its name's hash calls this sort of run."""
        return str(self.name)

    def semantics(self, config: Config) -> int:
        """Return the number that is raised by hand when this sort of run gives other numbers."""
        return 1

    def identity(self, config: Config) -> dict[str, Any]:
        """Return what enters its name's hash: the values that differ from their constants."""
        return effective(config)

    def parents(self, config: Config, fingerprint: str, planning: Planning) -> tuple[dict[str, Plan], str]:
        """Return the runs it starts from by role, and the word for it in its name.

        Raises:
            InputError: a reference names nothing, or what does not fit.
        """
        return {}, str(self.name)

    def completed(self, config: Config, parents: Mapping[str, Plan]) -> Config:
        """Return a config with what only its parents tell."""
        return config

    def check(self, config: Config) -> None:
        """Refuse what the config alone tells, before any work.

        Raises:
            InputError: it is refused.
        """

    def check_here(self, planned: Plan, dataset: Dataset) -> None:
        """Refuse what only the dataset tells, before anything is made.

        Raises:
            InputError: it is refused.
        """

    def make(self, planned: Plan, dataset: Dataset | None, run: Run, hardware: Hardware) -> None:
        """Make the run: everything that it keeps."""
        raise NotImplementedError

    def also(self, planned: Plan) -> tuple[RunType, dict[str, Any]] | None:
        """Return another run that whoever asks for this one wants too."""
        return None

    def arrays(self, run: Run, config: Config, first_seed: bool) -> Arrays:
        """Return the small arrays that records keep of a finished run.

        Args:
            first_seed: whether it belongs to the first seed that has such runs.
        """
        return {}


def needed(config: Config, parameter: str, why: str) -> str:
    """Return a reference that must be given.

    Raises:
        InputError: it is not.
    """
    text = getattr(config, parameter)
    if text is None:
        raise InputError(f"{parameter} = None is refused: {why}.")
    return str(text)
