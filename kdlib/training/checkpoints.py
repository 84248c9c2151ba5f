"""Atomic checkpoints without pickle, of which two are kept.

If the newer one is torn by a full disk or a fault, training goes on from the other.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.base.tensors import read_tensors, write_tensors

KEPT = 2


def optimizer_state(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> dict[str, dict[str, Any]]:
    """Put an optimiser's tensors into `tensors` and return what is left of its state, JSON-able."""
    rest: dict[str, dict[str, Any]] = {}
    for key, slots in optimizer.state_dict()["state"].items():
        held = {name for name, value in slots.items() if isinstance(value, Tensor)}
        tensors |= {f"optimizer/{key}/{name}": slots[name] for name in held}
        rest[str(key)] = {name: value for name, value in slots.items() if name not in held}
    return rest


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], rest: Any) -> None:
    """Give an optimiser the state that `optimizer_state` took."""
    state: dict[int, dict[str, Any]] = {int(key): dict(values) for key, values in rest.items()}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, key, slot = name.split("/")
            like = parameters[int(key)]
            # in the parameter's memory format: a fused kernel walks both in the order in which they are stored
            same = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
            state.setdefault(int(key), {})[slot] = same
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def random_state(tensors: dict[str, Tensor]) -> Any:
    """Put every random state's tensors into `tensors` and return the rest."""
    tensors["random/torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        for i, value in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"random/cuda{i}"] = value
    name, keys, *rest = np.random.get_state()  # type: ignore[misc]
    tensors["random/numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    return {"python": random.getstate(), "numpy": [name, *(float(v) for v in rest)]}


def load_random_state(tensors: Mapping[str, Tensor], rest: Any) -> None:
    """Set every random state to what `random_state` took."""
    torch.set_rng_state(tensors["random/torch"].to(torch.uint8))
    for i in range(torch.cuda.device_count()):
        if f"random/cuda{i}" in tensors:
            torch.cuda.set_rng_state(tensors[f"random/cuda{i}"], i)
    kind, inner, gauss = rest["python"]
    random.setstate((kind, tuple(inner), gauss))
    name, position, has_gauss, cached = rest["numpy"]
    keys = tensors["random/numpy"].numpy().astype(np.uint32)
    np.random.set_state((name, keys, int(position), int(has_gauss), cached))


def save_step(folder: Path, step: int, tensors: Mapping[str, Tensor], state: Any) -> None:
    """Write a checkpoint of a step and drop all but the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / f"step-{step:09d}.safetensors", tensors, {**state, "step": step})
    for old in sorted(folder.glob("step-*.safetensors"))[:-KEPT]:
        old.unlink()


def newest(folder: Path, identity: str) -> tuple[dict[str, Tensor], Any] | None:
    """Return the newest checkpoint that is whole, or `None`.

    A file that is torn, corrupt or of another config is named in a warning and set aside under another name.
    """
    for path in sorted(folder.glob("step-*.safetensors"), reverse=True):
        try:
            tensors, state = read_tensors(path)
            if state.get("identity") != identity:
                raise InputError(f"{path.name} belongs to another config.")
        except InputError as error:
            aside = path.with_name(f"{path.name}.corrupt")
            path.replace(aside)
            warnings.warn(
                f"{error} It is set aside as {aside.name}; training goes on from the one before.",
                stacklevel=2,
            )
        else:
            return tensors, state
    return None
