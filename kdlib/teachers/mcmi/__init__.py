"""MCMI: a network fine-tuned to keep more conditional mutual information of image and prediction. (No torch.)"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kdlib.base.config import parameter
from kdlib.teachers.kind import Mark, TeacherConfig
from kdlib.teachers.tuning import Tuned, place
from kdlib.training.config import Preset

if TYPE_CHECKING:
    from kdlib.teachers.making import Made, Making


class Centroids(StrEnum):
    """Where the centroids Q_y that the loss compares with come from."""

    EPOCH = "epoch"
    """The exact class means of the current network on the clean training images, anew each epoch."""
    FIXED = "fixed"
    """Those of the network that fine-tuning starts from, computed once, as published."""
    RUNNING = "running"
    """Those of the start, moved by 1 − 0.9999 towards the batch's class means at every step."""


class MCMIConfig(TeacherConfig):
    """How much the conditional mutual information counts, and against which class means it is taken."""

    cmi_weight: float | None = parameter(None, "mcmi: the weight of the conditional mutual information", ge=0, le=1)
    centroids: Centroids = parameter(Centroids.EPOCH, "mcmi: epoch, fixed or running class means")


WEIGHTS = {"digits": 0.15, Preset.BAYESIAN_KD: 0.2, Preset.MCMI: 0.15}
"""λ: on digits by the students' mean validation accuracy, else as published."""


class MCMI(Tuned):
    """Source: Ye et al., ICLR 2024."""

    name = "mcmi"
    meaning = "A trained network, fine-tuned to keep more conditional mutual information of image and prediction."
    title = "MCMI"
    mark = Mark("#b01e63", "*", "-", "--")
    config_type = MCMIConfig

    def settings(self, given: TeacherConfig, epochs: int) -> dict[str, Any]:
        """Return the control's length and rate, and λ."""
        return {**super().settings(given, epochs), "cmi_weight": WEIGHTS[place(given)]}

    def fit(self, making: Making) -> Made:
        """Fine-tune the parent's network on CE − λ·CMI."""
        from kdlib.teachers.making import Images, Made
        from kdlib.teachers.mcmi.objective import MCMIObjective

        config, network = making.config, making.start()
        images, weight = Images(config, making.data, making.hardware), float(config.cmi_weight or 0)
        objective = MCMIObjective(
            network, weight, images, len(making.classes), config.centroids, making.hardware.autocast
        )
        history = making.train(objective, objective, forward=network, start_epoch=objective.start_epoch)
        return Made(making.plain(network), network.state_dict(), history)
