"""Passes as CUDA graphs: a small network's hundreds of kernels are launched as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kdlib.training.hardware import Hardware


@contextmanager
def replayed(network: nn.Module, batch_size: int, hardware: Hardware) -> Iterator[None]:
    """Replay the forward and backward pass of whole training batches inside, where the settings ask for it.

    The first batch of `batch_size` images is recorded; later ones of that size are copied into its place. Other
    sizes, and a network in eval mode or without gradient, run as they always do. The network must draw nothing at
    random and decide nothing by the values it sees.
    """
    if not hardware.replays:
        yield
        return
    recorded: list[Callable[[Tensor], Tensor]] = []

    def forward(images: Tensor) -> Tensor:
        if len(images) != batch_size or not network.training or not torch.is_grad_enabled():
            return plain(images)
        if not recorded:
            recorded.append(_record(network, images, hardware))
            network.forward = forward
        return recorded[0](images)

    plain: Callable[[Tensor], Tensor] = network.forward
    network.forward = forward
    try:
        yield
    finally:
        network.__dict__.pop("forward", None)  # the class's own again


def _record(network: nn.Module, images: Tensor, hardware: Hardware) -> Callable[[Tensor], Tensor]:
    """Return the recorded pass; recording runs the network some times, which leaves no trace in its state."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    del network.forward
    # autocast's cache of cast weights would be recorded as it was then, and never follow the weights
    with torch.autocast(
        hardware.torch_device.type, torch.bfloat16, enabled=torch.is_autocast_enabled("cuda"), cache_enabled=False
    ):
        torch.cuda.make_graphed_callables(network, (images.detach().clone(),))
    with torch.no_grad():
        network.load_state_dict(before)
    return network.forward
