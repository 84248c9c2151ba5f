"""What every teacher is: rows that sum to one, in one order of tempering and averaging, never changed."""

from __future__ import annotations

import math

import pytest
import small
import torch

from kdlib.base.errors import InputError
from kdlib.teachers.contract import Derived, combine
from kdlib.teachers.ensemble import average


def test_tempering_comes_before_averaging() -> None:
    # two samples of two classes with odds 9 : 1 and 1 : 1; at T = 2 the odds are 3 : 1 and 1 : 1
    outputs = torch.tensor([[[math.log(9), 0.0]], [[0.0, 0.0]]])
    assert torch.allclose(combine(outputs), torch.tensor([[0.7, 0.3]]))
    assert torch.allclose(combine(outputs, 2), torch.tensor([[(3 / 4 + 1 / 2) / 2, (1 / 4 + 1 / 2) / 2]]))
    averaged_first = torch.tensor([0.7, 0.3]).sqrt()
    assert not torch.allclose(combine(outputs, 2)[0], averaged_first / averaged_first.sum(), atol=1e-3)


def test_one_averaged_log_probability_is_raised_to_one_over_t() -> None:
    p = torch.tensor([[0.64, 0.32, 0.04], [1 / 3, 1 / 3, 1 / 3]])
    for temperature in (0.5, 1.0, 4.0):
        power = p ** (1 / temperature)
        assert torch.allclose(combine(p.log()[None], temperature), power / power.sum(1, keepdim=True), atol=1e-6)


def test_limits_of_the_temperature() -> None:
    outputs = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(combine(outputs, 1e6), torch.full((5, 4), 0.25), atol=1e-5)
    hard = torch.nn.functional.one_hot(outputs.argmax(-1), 4).float().mean(0)
    assert torch.allclose(combine(outputs, 1e-4), hard, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_asking_changes_nothing_and_rows_sum_to_one(temperature: float) -> None:
    teacher, images = small.untrained_teacher(), small.DATASET.val.images
    before = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    first = teacher.probs(images, temperature)
    assert first.shape == (100, 10)
    assert torch.allclose(first.sum(1), torch.ones(100), atol=1e-6)
    teacher.network.train()  # someone plays with the network
    torch.manual_seed(3)
    again = teacher.probs(images, temperature, samples=7)
    assert torch.equal(again, first)
    after = teacher.network.state_dict()
    assert not [name for name, value in before.items() if not torch.equal(after[name], value)]
    assert not again.requires_grad
    assert not [p for p in teacher.network.parameters() if p.requires_grad]


def test_probs_are_the_tempered_softmax_of_the_network() -> None:
    teacher, images = small.untrained_teacher(), small.DATASET.val.images
    with torch.no_grad():
        logits = teacher.network(images)
    assert torch.allclose(teacher.probs(images, 3.0), torch.softmax(logits / 3, 1), atol=1e-6)


@pytest.mark.parametrize(("given", "says"), [((0.0, 1), "temperature = 0.0"), ((1.0, 0), "samples = 0"),
                                             ((float("nan"), 1), "temperature = nan")])  # fmt: skip
def test_refused(given: tuple[float, int], says: str) -> None:
    with pytest.raises(InputError, match=f"{says} is refused"):
        small.untrained_teacher().probs(small.DATASET.val.images, *given)


def test_no_member_is_changed_by_asking_what_is_made_of_them() -> None:
    members, images = [small.untrained_teacher(), small.untrained_teacher(1)], small.DATASET.val.images
    two = average(members, "two")
    tempered = Derived((two,), lambda x, samples: two._outputs(x, samples) / 2, "tempered")
    before = {name: value.clone() for name, value in members[1].network.state_dict().items()}
    for teacher in (two, tempered):
        plain = teacher.probs(images)
        members[1].network.train()  # someone plays with a member
        assert torch.equal(teacher.probs(images), plain)
    assert all(torch.equal(members[1].network.state_dict()[name], value) for name, value in before.items())
