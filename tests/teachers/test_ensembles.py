"""Averages are averages: of members' probabilities, and of a network's on views of the image."""

from __future__ import annotations

from pathlib import Path

import pytest
import small
import torch

from kdlib import teachers
from kdlib.base.errors import InputError
from kdlib.data.options import Augmentation
from kdlib.data.views import PAD, view
from kdlib.runs.execute import execute
from kdlib.runs.plans import plan
from kdlib.teachers.augmentation_averaged import FIRST_PASS, over_views
from kdlib.teachers.contract import Teacher
from kdlib.teachers.ensemble import average

IMAGES = small.DATASET.test.images
VIEWS = Augmentation.REFLECT_CROP_FLIP


def averaged(views: int = 4, augmentation: Augmentation = VIEWS, seed: int = 3) -> Teacher:
    return over_views(small.untrained_teacher(), views, augmentation, seed, PAD, "averaged")


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_an_ensemble_is_the_mean_of_its_members(temperature: float) -> None:
    members = [small.untrained_teacher(seed) for seed in range(3)]
    mean = torch.stack([member.probs(IMAGES, temperature) for member in members]).mean(0)
    assert torch.allclose(average(members, "e").probs(IMAGES, temperature), mean, atol=1e-6)


def test_an_ensemble_of_the_store_is_that_of_its_runs(store: Path) -> None:
    run = execute(small.teacher(kind="ensemble", ensemble_size=3))
    members = [teachers.load(name) for name in run.record["parents"].values()]
    assert len(members) == 3
    assert {member.name for member in members} == {plan(small.teacher(seed=s)).name for s in (0, 1000, 2000)}
    mean = torch.stack([member.probs(IMAGES) for member in members]).mean(0)
    assert torch.allclose(run.predictions()["test"].float().exp(), mean, atol=2e-3)


def test_members_are_a_set(store: Path) -> None:
    names = [execute(small.teacher(seed=seed)).name for seed in (0, 1000, 2000)]
    named = ["+".join(order) for order in (names, names[::-1], [*names, names[1]])]
    same = {plan(small.teacher(kind="ensemble", members=text)).name for text in named}
    assert same == {plan(small.teacher(kind="ensemble", ensemble_size=3)).name}
    # the members say their architecture, and how they trained
    bare = {"dataset": "digits:tiny", "architecture": None, "epochs": None}
    assert same == {plan(small.teacher(kind="ensemble", members=named[0], **bare)).name}
    for few in (names[0], f"{names[0]}+{names[0]}", "+", ""):
        with pytest.raises(InputError, match="an ensemble averages at least two runs"):
            plan(small.teacher(kind="ensemble", members=few))
    other = execute(small.teacher(architecture="cnn8", epochs=1)).name
    with pytest.raises(InputError, match="its architecture is cnn8, not cnn4"):
        plan(small.teacher(kind="ensemble", members=f"{names[0]}+{other}", architecture=None))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_averaging_over_views_is_the_mean_over_views(temperature: float) -> None:
    teacher, plain = averaged(), small.untrained_teacher()
    index = torch.zeros(len(IMAGES), dtype=torch.long)
    seen = [IMAGES, *(view(IMAGES, VIEWS, 3, FIRST_PASS + k, index) for k in range(3))]
    mean = torch.stack([plain.probs(images, temperature) for images in seen]).mean(0)
    assert torch.allclose(teacher.probs(IMAGES, temperature), mean, atol=1e-6)
    assert not torch.allclose(teacher.probs(IMAGES), plain.probs(IMAGES), atol=1e-4)


def test_an_image_s_answer_does_not_depend_on_its_batch() -> None:
    teacher = averaged()
    assert torch.allclose(teacher.probs(IMAGES)[50:60], teacher.probs(IMAGES[50:60]), atol=1e-6)


def test_without_augmentation_all_views_are_the_image() -> None:
    same = averaged(augmentation=Augmentation.NONE)
    assert torch.allclose(same.probs(IMAGES), small.untrained_teacher().probs(IMAGES), atol=1e-6)
