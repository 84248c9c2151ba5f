"""A teacher that exists, measured again with another number of samples. (No torch to say so.)"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kdlib.base.config import Config, RunType, parameter

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.store.runs import Run
    from kdlib.teachers.contract import Teacher


class MeasureConfig(Config):
    """A teacher that exists, measured again."""

    run_type = RunType.MEASURE
    parent: str | None = parameter(None, "the teacher: a run's name, its prefix or weights:<file>", reference=True)
    architecture: str | None = parameter(None, "architecture of weights:<file>")
    eval_samples: int | None = parameter(None, "samples for the metrics; None: the kind's own", ge=1, le=1000)


def remeasure(config: MeasureConfig, teacher: Teacher, dataset: Dataset, run: Run) -> None:
    """Measure a teacher that exists and write the measurement's run."""
    from kdlib.store import runs
    from kdlib.teachers.evaluation import distances, evaluate

    started = time.perf_counter()
    metrics, predictions, notes = evaluate(teacher, dataset, config.eval_samples, config.seed)
    metrics |= distances(teacher, dataset, notes["eval_samples"], config.seed)
    runs.finish(run, metrics, predictions, notes=notes, started=started)
