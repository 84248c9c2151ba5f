"""Student runs: one student of one teacher, of labels, or of the class probabilities themselves. (No torch to plan.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kdlib import data
from kdlib.base.config import Config, RunType, at_constants
from kdlib.base.errors import InputError
from kdlib.data.classes import resolve_classes
from kdlib.runs.recipe import Arrays, Planning, Recipe
from kdlib.students import config as students
from kdlib.students.config import EXACT_BCP, SUPERVISION, StudentConfig
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.students.frameworks import check as check_framework
from kdlib.teachers.kind import as_teacher
from kdlib.teachers.kinds import kind_of
from kdlib.training import config as training

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.models.network import Network
    from kdlib.runs.plans import Plan
    from kdlib.store.runs import Run
    from kdlib.teachers.contract import Teacher
    from kdlib.training.hardware import Hardware


def _student(config: Config) -> StudentConfig:
    assert isinstance(config, StudentConfig)
    return config


class StudentRecipe(Recipe):
    """One student; what is special to its framework is asked of the framework."""

    name = RunType.STUDENT
    meaning = "One student of one teacher."
    section = "students"
    notebook = "student"
    first = ("dataset", "teacher", "architecture", "seed", "kd_weight", "temperature", "student_temperature")
    refers_by = "teacher"
    supervisions = SUPERVISION

    def schema(self) -> type[StudentConfig]:
        """Return the config of a student."""
        return StudentConfig

    def settings(self, given: Config) -> dict[str, Any]:
        """Return the usual training, β and S."""
        config = _student(given)
        return training.filled(config, students.settings(config, training.usual(config)["temperature"]))

    def normalised(self, config: Config) -> Config:
        """Return the config with what means nothing for its teacher or framework set back."""
        idle, changed = training.idle(_student(config))
        side = data.family_of(config.dataset).side(config.image_size)
        return at_constants(config, idle | students.unused(_student(config)), **{"image_size": side, **changed})

    def teacher_seed(self, config: Config) -> int:
        """Return the seed of its teacher: its own, unless another is given."""
        seed = _student(config).teacher_seed
        return config.seed if seed is None else seed

    def parents(self, config: Config, fingerprint: str, planning: Planning) -> tuple[dict[str, Plan], str]:
        """Return its teacher."""
        config = _student(config)
        if config.teacher in SUPERVISION:
            if config.teacher == EXACT_BCP and not data.family_of(config.dataset).teaches:
                raise InputError(
                    f"teacher = {EXACT_BCP!r} is refused for {config.dataset}: its class probabilities are not known."
                )
            return {}, config.teacher
        parent = planning.reference(config, config.teacher, "teacher", config.teacher_architecture)
        return {"teacher": parent}, f"from-{parent.record['role']}"

    def completed(self, config: Config, parents: Mapping[str, Plan]) -> Config:
        """Return the config; several samples mean something of a stochastic teacher only."""
        stochastic = any(kind_of(as_teacher(parent.config)).stochastic for parent in parents.values())
        return config if stochastic else config.model_copy(update={"samples": 1})

    def check(self, config: Config) -> None:
        """Refuse what the training refuses."""
        training.check(_student(config))

    def check_here(self, planned: Plan, dataset: Dataset) -> None:
        """Refuse a subset too small to train on, and a framework that student and teacher cannot have."""
        from kdlib.runs.networks import shapes_alone
        from kdlib.training.schedule import plan_steps

        config = _student(planned.config)
        plan_steps(config, dataset)
        parent = planned.parents.get("teacher")
        omitted = len(resolve_classes(config.omit_classes, dataset.classes))

        def look(mine: Network) -> None:
            if not FRAMEWORKS[config.framework].follows:
                return
            if parent is None:
                check_framework(config, len(dataset.classes), omitted, mine, None, None)
                return
            kind = kind_of(as_teacher(parent.config))
            shapes_alone(
                as_teacher(parent.config).architecture, dataset,
                lambda theirs: check_framework(config, len(dataset.classes), omitted, mine, kind, theirs),
            )  # fmt: skip

        shapes_alone(config.architecture, dataset, look)

    def make(self, planned: Plan, dataset: Dataset | None, run: Run, hardware: Hardware) -> None:
        """Distil the student."""
        from kdlib.runs.networks import teacher_of
        from kdlib.students import distill

        assert dataset is not None
        parent = planned.parents.get("teacher")
        teacher = teacher_of(parent, dataset, hardware) if parent is not None else None
        keeps = parent.run if parent is not None and parent.run.finished else None
        distill.fit(_student(planned.config), dataset, run, hardware, teacher, keeps)

    def arrays(self, run: Run, config: Config, first_seed: bool) -> Arrays:
        """Return the confusion counts of a student that never saw some classes, for records keep no predictions."""
        from kdlib.measures.confusion import ARRAY, count
        from kdlib.runs.execute import labels_here

        if not _student(config).omit_classes or (labels := labels_here(config)) is None:
            return {}
        return {ARRAY: count(run.predictions()["test"].numpy(), labels["test"])}


def networks_of(planned: Plan) -> tuple[Teacher, Teacher | None]:
    """Return a finished student and its teacher, `None` where labels or exact probabilities taught it.

    A student is given as a `Teacher` too: `probs` for its class probabilities, `network` for the network itself.
    """
    from kdlib.runs.execute import dataset
    from kdlib.runs.networks import teacher_of
    from kdlib.teachers.loading import making_of
    from kdlib.training.hardware import Hardware

    hardware = Hardware(**planned.run.provenance["hardware"])
    making = making_of(_student(planned.config), planned.run.record, hardware, planned.name)
    parent = planned.parents.get("teacher")
    teacher = teacher_of(parent, dataset(planned.config), hardware) if parent is not None else None
    return making.restored(planned.run.weights()), teacher
