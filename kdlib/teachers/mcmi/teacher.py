"""The MCMI teacher: its parent's network, fine-tuned on CE - λ·CMI."""

from __future__ import annotations

from kdlib.teachers.making import Images, Made, Making
from kdlib.teachers.mcmi import MCMIConfig
from kdlib.teachers.mcmi.objective import MCMIObjective


def fit(making: Making) -> Made:
    """Fine-tune the parent's network, from the run's newest checkpoint if there is one."""
    config, (dataset, _) = making.config, making.to_fit()
    assert isinstance(config, MCMIConfig)
    (parent,) = making.parents
    network = making.network()
    network.load_state_dict(parent.network.state_dict())
    making.placed(network)
    objective = MCMIObjective(
        network,
        float(config.cmi_weight or 0),
        Images(config, dataset, making.hardware),
        len(making.classes),
        config.centroids,
        autocast=making.hardware.autocast,
    )
    history = making.train(objective, objective, forward=network, start_epoch=objective.start_epoch)
    return Made(making.plain(network), network.state_dict(), history)
