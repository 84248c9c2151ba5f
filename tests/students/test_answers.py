"""Answers: computed once, the same bits whoever asks, as good as asking live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor

from kdlib.data.options import Augmentation
from kdlib.data.views import view
from kdlib.students.answers import Answers, halved
from kdlib.teachers.contract import Teacher, combine
from kdlib.training.loop import Batch

NONE, VIEWS = Augmentation.NONE, Augmentation.REFLECT_CROP_FLIP
TRAIN = small.DATASET.train


class Counting(Teacher):
    """A teacher that counts how many images it was asked about."""

    asked = 0

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        self.asked += len(x)
        return super()._outputs(x, samples)


class Noisy(Counting):
    """A stochastic teacher: noise on the logits, one draw a sample."""

    stochastic = True

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        logits = super()._outputs(x, samples)[0]
        return logits + torch.randn(samples, *logits.shape)


def teacher(kind: type[Counting] = Counting) -> Counting:
    return kind(small.network(), small.settings(), "teacher")


def answers(asked: Teacher, folder: Path | None, augmentation: Augmentation = NONE, **given: Any) -> Answers:
    values = {"rows": torch.arange(200), "fingerprint": "f", "seed": 0, "samples": 1, **given}
    return Answers(asked, TRAIN, augmentation=augmentation, folder=folder, **values)


def batch(index: Tensor, number: int = 0) -> Batch:
    return Batch(index, number, TRAIN.take(index), TRAIN.labels[index], float(number))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.safetensors"))


INDEX = torch.tensor([5, 199, 0, 17])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("augmentation", [NONE, VIEWS])
def test_kept_answers_are_live_ones_to_float16(tmp_path: Path, temperature: float, augmentation: Augmentation) -> None:
    asked = teacher()
    kept = answers(asked, tmp_path, augmentation, seed=3)
    for number in (0, 1):
        seen = view(TRAIN.take(INDEX), augmentation, 3, number, INDEX)
        assert torch.allclose(kept.probs(batch(INDEX, number), temperature), asked.probs(seen, temperature), atol=1e-3)
    again = answers(teacher(), tmp_path, augmentation, seed=3).probs(batch(INDEX, 1), temperature)
    assert torch.equal(again, kept.probs(batch(INDEX, 1), temperature))


def test_a_grid_asks_its_teacher_once(tmp_path: Path) -> None:
    first, second = teacher(), teacher()
    for temperature in (1.0, 4.0):
        for number in (0, 1, 2):
            answers(first, tmp_path, VIEWS).probs(batch(INDEX, number), temperature)
    assert first.asked == 3 * 200
    for number in (0, 1, 2):
        answers(second, tmp_path, VIEWS).probs(batch(INDEX, number), 2.0)
    assert second.asked == 0


def test_without_augmentation_one_pass_is_every_pass(tmp_path: Path) -> None:
    asked = teacher()
    kept = answers(asked, tmp_path)
    assert torch.equal(kept.probs(batch(INDEX, 0), 1), kept.probs(batch(INDEX, 7), 1))
    assert asked.asked == 200
    assert len(files(tmp_path)) == 1


def test_two_fillers_write_the_same_bits(tmp_path: Path) -> None:
    for place in ("a", "b"):
        torch.manual_seed(len(place))
        kept = answers(teacher(Noisy), tmp_path / place, VIEWS, samples=2)
        kept.probs(batch(INDEX, 4), 1.0)
        torch.randn(3)
    for one, two in zip(files(tmp_path / "a"), files(tmp_path / "b"), strict=True):
        assert one.name == two.name
        assert torch.equal(kept._of(4, 0), answers(teacher(Noisy), tmp_path / "a", VIEWS)._of(4, 0))


def test_filling_draws_nothing_from_the_student_s_generator(tmp_path: Path) -> None:
    kept = answers(teacher(Noisy), tmp_path, samples=3)
    before = torch.get_rng_state()
    kept.probs(batch(INDEX), 1.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_student_s_autocast_changes_no_answer(tmp_path: Path) -> None:
    outside = answers(teacher(), tmp_path / "a").probs(batch(INDEX), 2.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = answers(teacher(), tmp_path / "b").probs(batch(INDEX), 2.0)
    assert torch.equal(inside, outside)


@pytest.mark.parametrize("harm", [b"", b"no answers", None])
def test_a_corrupt_file_is_computed_again(tmp_path: Path, harm: bytes | None) -> None:
    expected = answers(teacher(), tmp_path).probs(batch(INDEX), 1.0)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:] if harm is None else harm)
    asked = teacher()
    assert torch.equal(answers(asked, tmp_path).probs(batch(INDEX), 1.0), expected)
    assert asked.asked == 200
    asked = teacher()
    assert torch.equal(answers(asked, tmp_path).probs(batch(INDEX), 1.0), expected)
    assert asked.asked == 0


@pytest.mark.parametrize(
    ("given", "new"),
    [
        ({}, 0),
        ({"fingerprint": "another dataset of as many rows"}, 1),
        ({"rows": torch.arange(0, 200, 2)}, 1),
        ({"seed": 1}, 1),
        ({"augmentation": Augmentation.ZERO_CROP_FLIP}, 1),
    ],
)
def test_what_was_seen_is_the_key(tmp_path: Path, given: dict[str, Any], new: int) -> None:
    inside = torch.tensor([0, 2])
    answers(teacher(), tmp_path, VIEWS).probs(batch(inside), 1.0)
    answers(teacher(), tmp_path, **{"augmentation": VIEWS, **given}).probs(batch(inside), 1.0)
    assert len(files(tmp_path)) == 1 + new


def test_a_subset_s_answers_belong_to_its_rows(tmp_path: Path) -> None:
    rows = torch.tensor([3, 50, 120])
    kept = answers(teacher(), tmp_path, rows=rows)
    index = torch.tensor([120, 3])
    expected = teacher().probs(TRAIN.take(index))
    assert torch.allclose(kept.probs(batch(index), 1.0), expected, atol=1e-3)


def test_samples_are_independent_files_and_any_number_is_read(tmp_path: Path) -> None:
    asked = teacher(Noisy)
    three = answers(asked, tmp_path, samples=3).probs(batch(INDEX), 2.0)
    assert asked.asked == 3 * 200
    one, two, three_ = (answers(asked, tmp_path)._of(0, sample) for sample in range(3))
    assert not torch.equal(one, two)
    assert torch.equal(three, combine(torch.cat([one, two, three_])[:, INDEX], 2.0))
    assert torch.equal(
        answers(asked, tmp_path, samples=2).probs(batch(INDEX), 1.0), combine(torch.cat([one, two])[:, INDEX])
    )
    assert asked.asked == 3 * 200


def test_a_stochastic_teacher_draws_anew_each_pass(tmp_path: Path) -> None:
    kept = answers(teacher(Noisy), tmp_path)
    assert not torch.equal(kept.probs(batch(INDEX, 0), 1), kept.probs(batch(INDEX, 1), 1))


def test_samples_mean_nothing_to_a_deterministic_teacher(tmp_path: Path) -> None:
    asked = teacher()
    answers(asked, tmp_path, samples=5).probs(batch(INDEX), 1.0)
    assert asked.asked == 200


def test_no_folder_keeps_them_in_memory() -> None:
    asked = teacher()
    kept = answers(asked, None)
    first = kept.probs(batch(INDEX), 1.0)
    assert torch.equal(kept.probs(batch(INDEX), 1.0), first)
    assert asked.asked == 200


def test_beyond_the_limit_they_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_ANSWERS_GB", "0.000005")  # 5 kB: one pass of 200 × 10 float16 numbers, not two
    kept = answers(teacher(), tmp_path, VIEWS)
    live = [kept.probs(batch(INDEX, number), 1.0) for number in (0, 1)]
    assert len(files(tmp_path)) == 1
    assert torch.equal(answers(teacher(), tmp_path, VIEWS).probs(batch(INDEX, 1), 1.0), live[1])


def test_later_fillers_use_the_first_one_s_settings(tmp_path: Path) -> None:
    used = []

    class Watching(Counting):
        def _outputs(self, x: Tensor, samples: int) -> Tensor:
            used.append((self.hardware.precision, torch.get_num_threads()))
            return super()._outputs(x, samples)

    settings = small.settings(precision="float32", threads=2)
    first = Watching(small.network(), settings, "teacher")
    answers(first, tmp_path, VIEWS).probs(batch(INDEX, 0), 1.0)
    later = Watching(small.network(), replace(settings, precision="bfloat16", threads=1), "teacher")
    answers(later, tmp_path, VIEWS).probs(batch(INDEX, 1), 1.0)
    assert set(used) == {("float32", 2)}
    assert later.hardware.precision == "bfloat16"


def test_logits_beyond_float16_keep_their_probabilities() -> None:
    outputs = torch.tensor([[[1e6, 1e6 - 2.0, -1e6], [3.0, 1.0, 0.5]]])
    kept = halved(outputs).float()
    assert kept.isfinite().all()
    assert torch.allclose(torch.softmax(kept, -1), torch.softmax(outputs, -1), atol=1e-3)
    usual = outputs[:, 1:]
    assert torch.equal(halved(usual), usual.half())
