"""Teacher runs: one teacher of any kind. (No torch to plan one.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kdlib.base.config import Config, RunType, at_constants, effective
from kdlib.base.errors import InputError
from kdlib.runs.recipe import Arrays, Recipe
from kdlib.teachers.kind import TeacherConfig, as_teacher
from kdlib.teachers.kinds import allowed_parents, kind_of, recorded, schema, unused
from kdlib.training import config as training
from kdlib.training.config import OWN

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.runs.plans import Plan, Planner
    from kdlib.store.runs import Run
    from kdlib.training.hardware import Hardware


class TeacherRecipe(Recipe[TeacherConfig]):
    """One teacher; what is special to its kind is asked of the kind."""

    name = RunType.TEACHER
    notebook = "teacher"
    first = ("dataset", "kind", "architecture", "seed")
    refers_by = "parent"
    named_by_label = teaches = True

    def schema(self) -> type[TeacherConfig]:
        """Return the config with the parameters of every kind."""
        return schema()

    def settings(self, given: TeacherConfig) -> dict[str, Any]:
        """Return the usual training, and what the kind changes of it."""
        epochs = given.epochs or training.usual(given)["epochs"]
        values = training.filled(given, kind_of(given).settings(given, epochs))
        if given.parent is not None or given.members is not None:
            values["architecture"] = None  # the parent's
        return values

    def normalised(self, config: TeacherConfig) -> TeacherConfig:
        """Return the config with what means nothing for its kind set back."""
        return at_constants(config, training.idle(config) | unused(config))

    def recorded(self, values: Mapping[str, Any]) -> TeacherConfig:
        """Return the config that a record holds."""
        return recorded(values)

    def sort(self, config: TeacherConfig) -> dict[str, Any]:
        """Return the kind's."""
        kind = kind_of(config)
        return {"run": f"{self.name}/{kind.name}", "semantics": kind.semantics}

    def identity(self, config: TeacherConfig) -> dict[str, Any]:
        """Return the values that differ; of a kind that trains nothing its parents' names say how they trained."""
        kind = kind_of(config)
        return effective(config, kind.said_by_parents if kind.trains else (*OWN, *kind.said_by_parents))

    def completed(self, config: TeacherConfig, planner: Planner) -> tuple[TeacherConfig, dict[str, Plan], str]:
        """Return the config with what the kind takes from its parents, each checked against it."""
        kind = kind_of(config)
        parameter, fingerprint = str(kind.starts_with), planner.fingerprint(config)
        found = [
            planner.reference(config, one, parameter) if isinstance(one, str) else planner.teacher(one)
            for one in kind.starts(config)
        ]
        parents, needed = kind.roles(found, config), config
        for parent in parents.values():
            check_parent(needed, fingerprint, parameter, parent)
            # members are of one architecture: that of the first, where none is given
            needed = needed.model_copy(update={"architecture": as_teacher(parent.config).architecture})
        config = kind.completed(config, [as_teacher(parent.config) for parent in parents.values()])
        kind.check(config)
        training.check(config, trains=kind.trains)
        return config, parents, kind.name

    def check_here(self, planned: Plan, dataset: Dataset) -> None:
        """Refuse a subset too small to train on, and a network that the kind cannot have."""
        from kdlib.runs.networks import shapes_alone
        from kdlib.training.schedule import plan_steps

        config = as_teacher(planned.config)
        plan_steps(config, dataset)
        with shapes_alone(config.architecture, dataset) as network:
            kind_of(config).check_network(config, network)

    def make(self, planned: Plan, dataset: Dataset | None, run: Run, hardware: Hardware) -> None:
        """Fit the teacher."""
        from kdlib.teachers import loading

        assert dataset is not None
        loading.fit(as_teacher(planned.config), dataset, run, hardware, [one.run for one in planned.parents.values()])

    def also(self, planned: Plan) -> tuple[RunType, dict[str, Any]] | None:
        """Return the measurement of a stochastic teacher with as many samples as were asked for."""
        config = as_teacher(planned.config)
        if config.eval_samples is None or not kind_of(config).stochastic:
            return None
        given = {name: getattr(config, name) for name in Config.model_fields}
        return RunType.MEASURE, {**given, "parent": planned.name, "retrain": False}

    def arrays(self, run: Run, config: TeacherConfig, first_seed: bool) -> Arrays:
        """Return the CMI of a network by its temperature, for records keep no predictions."""
        from kdlib.measures import cmi
        from kdlib.runs.execute import labels_of

        kind = kind_of(config)
        if not (kind.trains and kind.one_network):
            return {}
        kept = {part: values.double().numpy() for part, values in run.predictions().items()}
        return cmi.by_temperature(kept, labels_of(config))


def check_parent(config: TeacherConfig, fingerprint: str, parameter: str, parent: Plan) -> None:
    """Refuse a parent of a kind, dataset or architecture that does not fit.

    Raises:
        InputError: it does not.
    """
    theirs, kind = parent.config, kind_of(config)
    refused = f"{parameter} = {parent.name!r} is refused"
    allowed = allowed_parents(kind)
    if parent.record["run_type"] != RunType.TEACHER or kind_of(as_teacher(theirs)).name not in allowed:
        raise InputError(f"{refused}: a teacher of kind {kind.name} starts from one of kind {', '.join(allowed)}.")
    theirs = as_teacher(theirs)
    if config.architecture not in (None, theirs.architecture):
        raise InputError(f"{refused}: its architecture is {theirs.architecture}, not {config.architecture}.")
    if parent.record["fingerprint"] != fingerprint:
        other = "other images or another image_size" if theirs.dataset == config.dataset else f"not {config.dataset}"
        raise InputError(f"{refused}: its dataset is {theirs.dataset}, {other}.")
    kind.check_parent(config, theirs, parent.name)
