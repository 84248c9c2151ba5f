"""Checkpoints: whole or not there, and every torn one is noticed."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kdlib.base.errors import InputError
from kdlib.base.files import write_atomically
from kdlib.base.tensors import digest, read_tensors, write_tensors
from kdlib.training.checkpoints import (
    load_optimizer,
    load_random_state,
    newest,
    optimizer_state,
    random_state,
    save_step,
)

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor([1, -(2**62)]),
    "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "empty": torch.zeros(0, 3),
    "scalar": torch.tensor(3.0),
}
STATE = {"step": 3, "identity": "me", "random": [1, 2, None], "x": 0.1}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x.safetensors", TENSORS, STATE)
    tensors, state = read_tensors(tmp_path / "x.safetensors")
    assert same(tensors, TENSORS)
    assert state == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_names_that_share_memory_and_strides_are_written(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(1, 2, 3, 4)
    tensors = {"a": base, "b": base, "last": base.contiguous(memory_format=torch.channels_last), "part": base[..., 1]}
    write_tensors(tmp_path / "x.safetensors", tensors)
    assert same(read_tensors(tmp_path / "x.safetensors")[0], tensors)


def test_digest_sees_names_types_shapes_bytes_and_text() -> None:
    a = torch.zeros(4)
    digests = [
        digest({"a": a}, ""),
        digest({"b": a}, ""),
        digest({"a": a.reshape(2, 2)}, ""),
        digest({"a": torch.zeros(2, dtype=torch.float64)}, ""),
        digest({"a": -a}, ""),
        digest({"a": a}, "x"),
    ]
    assert len(set(digests)) == len(digests)


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, TENSORS, STATE)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"x\.safetensors"):
            read_tensors(path)


def test_no_flipped_byte_goes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, TENSORS, STATE)
    whole = path.read_bytes()
    noticed = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x01]) + whole[place + 1 :])
        try:
            tensors, state = read_tensors(path)
        except InputError as error:
            assert "x.safetensors" in str(error)
            noticed += 1
        else:  # a letter of the word "digest" or a blank: what matters was read right
            assert same(tensors, TENSORS)
            assert state == STATE
    assert noticed > 0.9 * len(whole)


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_atomically(path, b"before")
    with pytest.raises(TypeError):
        write_atomically(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"before"


def test_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 5, 30, 200):
        save_step(tmp_path, step, TENSORS, {"identity": "me"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000000030.safetensors",
        "step-000000200.safetensors",
    ]
    found = newest(tmp_path, "me")
    assert found is not None
    assert found[1]["step"] == 200


def test_a_torn_one_is_named_and_set_aside(tmp_path: Path) -> None:
    for step in (1, 2):
        save_step(tmp_path, step, TENSORS, {"identity": "me"})
    torn = tmp_path / "step-000000002.safetensors"
    torn.write_bytes(torn.read_bytes()[:-3])
    with pytest.warns(UserWarning, match=r"step-000000002\.safetensors .* set aside as .*\.corrupt"):
        found = newest(tmp_path, "me")
    assert found is not None
    assert found[1]["step"] == 1
    assert not torn.exists()
    assert torn.with_name(torn.name + ".corrupt").exists()


def test_one_of_another_config_is_not_taken(tmp_path: Path) -> None:
    save_step(tmp_path, 1, TENSORS, {"identity": "other"})
    with pytest.warns(UserWarning, match="belongs to another config"):
        assert newest(tmp_path, "me") is None
    assert newest(tmp_path / "nothing", "me") is None


def draws() -> list[float]:
    return [
        float(torch.rand(())),
        float(np.random.rand()),
        random.random(),
        float(np.random.randn()),
        random.gauss(0, 1),
    ]


def test_random_states_come_back(tmp_path: Path) -> None:
    draws()  # an odd number of Gaussian draws leaves one in each generator's pocket
    tensors: dict[str, torch.Tensor] = {}
    write_tensors(tmp_path / "x.safetensors", tensors, random_state(tensors))
    first = draws()
    assert draws() != first
    load_random_state(*read_tensors(tmp_path / "x.safetensors"))
    assert draws() == first


@pytest.mark.parametrize("kind", ["adam", "sgd", "momentum"])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_an_optimizer_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, kind: str, memory: torch.memory_format
) -> None:
    def setup() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(20, 2)).to(memory_format=memory)  # type: ignore[call-overload]
        if kind == "adam":
            return network, torch.optim.Adam(network.parameters(), fused=True)
        return network, torch.optim.SGD(network.parameters(), 0.1, momentum=0.9 * (kind == "momentum"), fused=True)

    def step(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        x = torch.randn(7, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()

    straight, optimizer = setup()
    for seed in range(4):
        step(straight, optimizer, seed)

    stopped, optimizer = setup()
    for seed in range(2):
        step(stopped, optimizer, seed)
    tensors: dict[str, torch.Tensor] = {}
    rest = optimizer_state(optimizer, tensors)
    write_tensors(tmp_path / "x.safetensors", tensors | stopped.state_dict(), rest)

    resumed, optimizer = setup()
    tensors, rest = read_tensors(tmp_path / "x.safetensors")
    resumed.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("optimizer/")})
    load_optimizer(optimizer, tensors, rest)
    for seed in range(2, 4):
        step(resumed, optimizer, seed)
    assert same(resumed.state_dict(), straight.state_dict())
