"""What a run type is: its config, how references become parents, what it is called, how it is made. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from numpy.typing import NDArray

from kdlib.base.config import Config, RunType, effective, of_record

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.runs.plans import Plan, Planner
    from kdlib.store.runs import Run
    from kdlib.training.hardware import Hardware

Arrays = dict[str, NDArray[Any]]
C = TypeVar("C", bound=Config)


class Recipe(Generic[C]):
    """A type of run; each has a file of its own in this room and is listed in `recipes`."""

    name: ClassVar[RunType]
    config_type: type[C]
    """The class of its configs."""
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

    def schema(self) -> type[C]:
        """Return the class of its configs, with what plugins add."""
        return self.config_type

    def settings(self, given: C) -> dict[str, Any]:
        """Return the values of what was not given."""
        return {}

    def normalised(self, config: C) -> C:
        """Return a config with parameters without effect at their constants, so that two that mean the same are equal.

        Raises:
            InputError: values do not fit each other.
        """
        return config

    def recorded(self, values: Mapping[str, Any]) -> C:
        """Return the config that a run's record holds."""
        return of_record(self.schema(), values, {})

    def seed_of(self, config: C) -> int | None:
        """Return the seed that a run belongs to; none for a set of seeds in one run."""
        return config.seed

    def teacher_seed(self, config: C) -> int:
        """Return the seed of the teacher that it refers to."""
        return config.seed

    def seed_in_name(self, config: C) -> str:
        """Return how its name says the seed."""
        return f"s{config.seed}"

    def sort(self, config: C) -> dict[str, Any]:
        """Return what this sort of run is called in its name's hash, `run`, and its `semantics`.

        The latter is raised by hand when it gives other numbers.
        """
        return {"run": str(self.name), "semantics": 1}

    def identity(self, config: C) -> dict[str, Any]:
        """Return what else enters the hash: the values that differ from their constants."""
        return effective(config)

    def completed(self, config: C, planner: Planner) -> tuple[C, dict[str, Plan], str]:
        """Return a config with what only its parents tell, the parents by role, and the word for them in its name.

        Raises:
            InputError: a reference names nothing, or what does not fit; or values do not fit each other.
        """
        raise NotImplementedError

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

    def arrays(self, run: Run, config: C, first_seed: bool) -> Arrays:
        """Return the small arrays that records keep of a finished run.

        Args:
            first_seed: whether it belongs to the first seed that has such runs.

        Raises:
            NoImages: they are counted on images that are not here.
        """
        return {}
