"""Atomic checkpoints without pickle: tensors and a JSON text in one safetensors file, with a digest over both.

A write goes to a temporary file, is flushed to the disk and renamed, so that a reader sees the whole file or none.
Two checkpoints are kept: if the newer one is torn by a full disk or a fault, training goes on from the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from kdlib.errors import InputError, NotWritten

KEPT = 2


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by one with these bytes, or leave it as it was.

    Raises:
        NotWritten: the disk is full or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # a part of a file would keep a full disk full
        raise NotWritten(
            f"{path} cannot be written ({error.strerror}); what was there before is kept, and the same command goes on "
            "from it."
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """Return a digest of named tensors (names, types, shapes and bytes) and a text."""
    h = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        h.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        if value.numel():
            h.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return h.hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], state: Any = None) -> None:
    """Write named tensors and a JSON-able state into one safetensors file, atomically."""
    # a clone: two names may share memory, which safetensors refuses
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    text = json.dumps(state, sort_keys=True)
    write_atomically(path, save(plain, metadata={"state": text, "digest": digest(plain, text)}))


def read_tensors(path: Path, sealed: bool = False) -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote.

    Args:
        path: of the file.
        sealed: whether it must have a digest, as every file of a run has.

    Raises:
        InputError: the file is no whole safetensors file, or its digest does not fit.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = meta.get("state", "null")
        state = json.loads(text)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path.name} cannot be read: {error}.") from None
    if (sealed or "digest" in meta) and digest(tensors, text) != meta.get("digest"):
        raise InputError(f"{path.name} is corrupt: its content does not fit its digest.")
    return tensors, state


def _flat(prefix: str, state: Mapping[Any, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Move the tensors of a nested state into `tensors`; return the rest, JSON-able."""
    rest: dict[str, Any] = {}
    for key, value in state.items():
        name = f"{prefix}/{key}"
        if isinstance(value, Tensor):
            tensors[name] = value
        elif isinstance(value, Mapping):
            rest[str(key)] = _flat(name, value, tensors)
        else:
            rest[str(key)] = value
    return rest


def optimizer_state(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> Any:
    """Put an optimiser's tensors into `tensors` and return what is left of its state."""
    return _flat("optimizer", optimizer.state_dict()["state"], tensors)


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
