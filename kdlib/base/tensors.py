"""Tensors and a JSON text in one safetensors file, with a digest over both: no pickle, nothing executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.base.files import write_atomically


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
