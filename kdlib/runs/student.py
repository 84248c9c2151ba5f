"""Student runs: one student of one teacher, of labels, or of the class probabilities themselves. (No torch to plan.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib import data
from kdlib.base.config import RunType, at_constants
from kdlib.base.errors import InputError
from kdlib.data.classes import resolve_classes
from kdlib.runs.recipe import Arrays, Recipe
from kdlib.students import config as students
from kdlib.students.config import EXACT_BCP, SUPERVISION, StudentConfig
from kdlib.students.frameworks import check as check_framework
from kdlib.teachers.kind import as_teacher
from kdlib.teachers.kinds import kind_of
from kdlib.training import config as training

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.runs.plans import Plan, Planner
    from kdlib.store.runs import Run
    from kdlib.teachers.contract import Teacher
    from kdlib.training.hardware import Hardware


class StudentRecipe(Recipe[StudentConfig]):
    """One student; what is special to its framework is asked of the framework."""

    name = RunType.STUDENT
    config_type = StudentConfig
    notebook = "student"
    first = ("dataset", "teacher", "architecture", "seed", "kd_weight", "temperature", "student_temperature")
    refers_by = "teacher"
    supervisions = SUPERVISION

    def settings(self, given: StudentConfig) -> dict[str, Any]:
        """Return the usual training, β and S."""
        return training.filled(given, students.settings(given, training.usual(given)["temperature"]))

    def normalised(self, config: StudentConfig) -> StudentConfig:
        """Return the config with what means nothing for its teacher or framework set back."""
        return at_constants(config, training.idle(config) | students.unused(config))

    def teacher_seed(self, config: StudentConfig) -> int:
        """Return the seed of its teacher: its own, unless another is given."""
        return config.seed if config.teacher_seed is None else config.teacher_seed

    def completed(self, config: StudentConfig, planner: Planner) -> tuple[StudentConfig, dict[str, Plan], str]:
        """Return the config and the teacher; several samples mean something of a stochastic teacher only."""
        training.check(config)
        one_sample = config.model_copy(update={"samples": 1})
        if config.teacher in SUPERVISION:
            if config.teacher == EXACT_BCP and not data.family_of(config.dataset).teaches:
                raise InputError(
                    f"teacher = {EXACT_BCP!r} is refused for {config.dataset}: its class probabilities are not known."
                )
            return one_sample, {}, config.teacher
        parent = planner.reference(config, config.teacher, "teacher", config.teacher_architecture)
        stochastic = kind_of(as_teacher(parent.config)).stochastic
        return config if stochastic else one_sample, {"teacher": parent}, f"from-{parent.record['role']}"

    def check_here(self, planned: Plan, dataset: Dataset) -> None:
        """Refuse a subset too small to train on, and a framework that student and teacher cannot have."""
        from kdlib.runs.networks import shapes_alone
        from kdlib.training.schedule import plan_steps

        config, parent = planned.config, planned.parents.get("teacher")
        assert isinstance(config, StudentConfig)
        plan_steps(config, dataset)
        omitted = len(resolve_classes(config.omit_classes, dataset.classes))
        given = (config, len(dataset.classes), omitted)
        with shapes_alone(config.architecture, dataset) as mine:
            if parent is None:
                check_framework(*given, mine, None)
            else:
                teacher = as_teacher(parent.config)
                with shapes_alone(teacher.architecture, dataset) as theirs:
                    check_framework(*given, mine, (kind_of(teacher), theirs))

    def make(self, planned: Plan, dataset: Dataset | None, run: Run, hardware: Hardware) -> None:
        """Distil the student."""
        from kdlib.runs.networks import teacher_of
        from kdlib.students import distill

        assert isinstance(planned.config, StudentConfig) and dataset is not None
        parent = planned.parents.get("teacher")
        teacher = teacher_of(parent, dataset, hardware) if parent is not None else None
        keeps = parent.run if parent is not None and parent.run.finished else None
        distill.fit(planned.config, dataset, run, hardware, teacher, keeps)

    def arrays(self, run: Run, config: StudentConfig, first_seed: bool) -> Arrays:
        """Return the confusion counts of a student that never saw some classes, for records keep no predictions."""
        from kdlib.measures.confusion import ARRAY, count
        from kdlib.runs.execute import labels_of

        if not config.omit_classes:
            return {}
        return {ARRAY: count(run.predictions()["test"].numpy(), labels_of(config)["test"])}


def networks_of(planned: Plan) -> tuple[Teacher, Teacher | None]:
    """Return a finished student and its teacher, `None` where labels or exact probabilities taught it.

    A student is given as a `Teacher` too: `probs` for its class probabilities, `network` for the network itself.
    """
    from kdlib.runs.execute import dataset
    from kdlib.runs.networks import teacher_of
    from kdlib.teachers.loading import here, making_of

    assert isinstance(planned.config, StudentConfig)
    record = planned.run.record
    hardware = here(planned.config, record)
    making = making_of(planned.config, record, hardware, planned.name)
    parent = planned.parents.get("teacher")
    teacher = teacher_of(parent, dataset(planned.config), hardware) if parent is not None else None
    return making.restored(planned.run.weights()), teacher
