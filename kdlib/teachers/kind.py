"""What a kind of teacher is: everything that is true of one, so that nobody else has to name it. (No torch.)

A kind subclasses `Kind`, in a file or folder of its own, and is listed in `kinds`. What it says of itself needs no
torch; `fit` and `restore` import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kdlib.base.config import Config, RunType, parameter
from kdlib.training.config import OWN, TrainingConfig

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.models.network import Network
    from kdlib.teachers.contract import Teacher
    from kdlib.teachers.making import Made, Making

Line = Literal["-"] | tuple[float, Sequence[float]]
DASH: Line = (0, (5, 2))
DOT: Line = (0, (1, 1.2))
DASHDOT: Line = (0, (6, 1.5, 1, 1.5))
DASHDOTDOT: Line = (0, (6, 1.5, 1, 1.5, 1, 1.5))

SEEN = ("fraction", "omit_classes", "match", "augmentation", "augmentation_seed")
"""Which images a teacher sees, and how; a parent of one that is fine-tuned sees the same."""


@dataclass(frozen=True)
class Mark:
    """Hold how one kind is drawn: differing in lightness, marker and line, so that it can be told apart in grey."""

    color: str
    marker: str
    line: Line
    hatch: str


class TeacherConfig(TrainingConfig):
    """One teacher; each kind adds parameters of its own."""

    run_type = RunType.TEACHER
    kind: str = parameter("deterministic", "kind of teacher")
    parent: str | None = parameter(None, "the finished run that this teacher starts from", reference=True)
    members: str | None = parameter(None, "the finished runs that it averages, joined by +", kind="set", reference=True)


def as_teacher(config: Config) -> TeacherConfig:
    """Return a config that is known to be a teacher's."""
    assert isinstance(config, TeacherConfig)
    return config


Start = str | Mapping[str, Any]
"""A parent: a reference that was given, or the parameters of a deterministic teacher."""


class Kind:
    """A way to estimate the Bayes class probabilities. As it stands: one network, trained from new weights.

    A `config` that a method takes is one of its `config_type`.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]
    """One sentence."""
    title: ClassVar[str]
    """Its name in figures and tables."""
    mark: ClassVar[Mark]
    config_type: ClassVar[type[TeacherConfig]] = TeacherConfig
    """What it adds to `TeacherConfig`."""
    dropped: ClassVar[Mapping[str, Any]] = {}
    """config_type of earlier versions, with the one value that this version still means."""
    semantics: ClassVar[int] = 1
    """Raised by hand when its numbers change."""
    stochastic: ClassVar[bool] = False
    """Whether a number of samples means anything."""
    trains: ClassVar[bool] = True
    """Whether it trains a network; else its training parameters describe its parents."""
    one_network: ClassVar[bool] = True
    """Whether its logits are those of one deterministic network."""
    keeps_best: ClassVar[bool] = False
    """Whether its run keeps the weights of the epoch of the lowest validation NLL beside the last ones."""
    may_be_tempered: ClassVar[bool] = False
    """Whether, though it is no one network, a temperature may be fitted to its answers."""
    followed: ClassVar[bool] = True
    """Whether it has one network whose features a student can follow."""
    said_by_parents: ClassVar[tuple[str, ...]] = ()
    """Those of its own parameters that say nothing beside the names of its parents."""
    starts_with: ClassVar[Literal["parent", "members"] | None] = None
    """The parameter that names what it starts from, if it starts from finished teachers."""

    def own(self) -> tuple[str, ...]:
        """Return the names of its own parameters."""
        return tuple(name for name in self.config_type.model_fields if name not in TeacherConfig.model_fields)

    def unused(self, config: Any) -> set[str]:
        """Return those of its own parameters that mean nothing beside the others."""
        return set()

    def settings(self, given: Any, epochs: int) -> dict[str, Any]:
        """Return what it sets where nothing is given: its own parameters, and what it changes of the training.

        Args:
            given: what was given; the rest stands at None.
            epochs: how long it is trained unless this kind says otherwise.
        """
        return {}

    def accepts(self, parent: Kind) -> bool:
        """Say whether it may start from a teacher of another kind: from one deterministic network."""
        return parent.one_network

    def starts(self, config: Any) -> list[Start]:
        """Return what it starts from: by default a deterministic teacher of the same settings."""
        if self.starts_with is None:
            return []
        return [config.parent or plain(config, config.seed, *(() if self.trains else OWN))]

    def roles(self, parents: Sequence[Any], config: Any) -> dict[str, Any]:
        """Return its parents, as plans have them, by the role that they have in its identity."""
        return dict(zip(("parent",), parents, strict=True)) if parents else {}

    def check_parent(self, config: Any, parent: TeacherConfig, name: str) -> None:
        """Refuse a parent of an allowed kind that does not fit otherwise.

        Raises:
            InputError: it does not.
        """

    def completed(self, config: Any, parents: Sequence[TeacherConfig]) -> TeacherConfig:
        """Return a config with what it takes from its parents: the architecture, or all of their training."""
        names = () if not parents else ("architecture",) if self.trains else (*OWN, "seed")
        made: TeacherConfig = config.model_copy(update={name: getattr(parents[0], name) for name in names})
        return made

    def check(self, config: Any) -> None:
        """Refuse parameters that exclude each other.

        Raises:
            InputError: they do.
        """

    def check_network(self, config: Any, network: Network) -> None:
        """Refuse a network, given with shapes alone, of which there can be no such teacher.

        Raises:
            InputError: there cannot.
        """

    def fit(self, making: Making) -> Made:
        """Make a teacher of `making.config`, from the run's newest checkpoint if there is one.

        As it stands, nothing is trained and nothing kept: the parents are all.
        """
        from kdlib.teachers.making import Made

        return Made(self.restore(making, {}), {})

    def restore(self, making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
        """Return the teacher that a run keeps: as it stands, the one whose network has these weights.

        Raises:
            InputError: the tensors do not fit.
        """
        return making.restored(tensors)

    def networks(self, teacher: Any, samples: int, seed: int) -> Iterator[Network]:
        """Yield the networks whose features a teacher uses, each ready for a pass while it is the current one.

        Args:
            teacher: of this kind.
            samples: how many networks to draw, of one that draws.
            seed: of the draws.
        """
        yield teacher.network


def plain(config: TeacherConfig, seed: int, *same: str) -> dict[str, Any]:
    """Return the parameters of the deterministic teacher of a seed that another one starts from.

    It sees the same images and views in the same network; what else is the same is named.
    """
    names = {*Config.model_fields, "architecture", "preset", *SEEN, *same} - {"retrain", "eval_samples"}
    return {**{name: getattr(config, name) for name in names}, "seed": seed}
