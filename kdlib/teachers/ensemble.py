"""Ensembles: the average of deterministic networks from different seeds. (No torch.)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdlib.base.config import parameter
from kdlib.base.errors import InputError
from kdlib.teachers.kind import Kind, Mark, Start, TeacherConfig, plain
from kdlib.training.config import OWN

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.models.network import Network
    from kdlib.teachers.contract import Teacher
    from kdlib.teachers.making import Making

STRIDE = 1000
"""An ensemble of seed s has members of seeds s, s + 1000, s + 2000, ...: shared with no other, so n counts
independent ones."""


class EnsembleConfig(TeacherConfig):
    """How many members there are."""

    ensemble_size: int = parameter(4, "ensemble: members, this seed's and new ones", ge=2, le=100)


class Ensemble(Kind):
    """Source: Lakshminarayanan et al., NeurIPS 2017."""

    name = "ensemble"
    meaning = "Control: the average of deterministic networks from different seeds."
    title = "ensemble"
    mark = Mark("#56a8dc", "P", "-", "++")
    config_type = EnsembleConfig
    trains = one_network = followed = False
    may_be_tempered = True
    starts_with = "members"
    said_by_parents = ("ensemble_size",)

    def unused(self, config: TeacherConfig) -> set[str]:
        """Return the size where members are named; without, it is their number."""
        return {"ensemble_size"} if config.members is not None else set()

    def starts(self, config: EnsembleConfig) -> list[Start]:
        """Return the members that are named, else those of this seed and of new ones."""
        if config.members is not None:
            return [name for name in config.members.split("+") if name]
        return [plain(config, config.seed + STRIDE * i, *OWN) for i in range(config.ensemble_size)]

    def roles(self, parents: Sequence[Any], config: TeacherConfig) -> dict[str, Any]:
        """Number the members by seed and name, each once.

        Raises:
            InputError: fewer than two are named.
        """
        found = sorted({one.name: one for one in parents}.values(), key=lambda one: (one.config.seed, one.name))
        if len(found) < 2:
            raise InputError(f"members = {config.members!r} is refused: an ensemble averages at least two runs.")
        return {f"member{i}": member for i, member in enumerate(found)}

    def restore(self, making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
        """Return the average of the members' outputs."""
        from kdlib.teachers.making import check_tensors

        check_tensors({}, tensors, f"{making.name} keeps no tensors")
        return average(making.parents, making.name)

    def networks(self, teacher: Any, samples: int, seed: int) -> Iterator[Network]:
        """Yield the members' networks."""
        for member in teacher.members:
            yield member.network


def average(members: Sequence[Teacher], name: str) -> Teacher:
    """Return the teacher of every member's outputs `(members, n, classes)`, to be tempered and then averaged."""
    import torch

    from kdlib.teachers.contract import Derived

    return Derived(members, lambda x, samples: torch.cat([one._outputs(x, samples) for one in members]), name)
