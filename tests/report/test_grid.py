"""The distillation grid: which students are compared, what their teachers gain, and what the page says and draws."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdlib.base.errors import InputError
from kdlib.measures.convergence import noise
from kdlib.report import grid, grid_tables
from kdlib.report.claims import Verdict, paired, paired_relative, seeds_needed
from kdlib.report.claims.choice import chosen
from kdlib.report.plots import grid as figures
from kdlib.report.sections import Section, named, sections
from kdlib.study import records
from kdlib.study.rows import table

GAINS = {"deterministic": 0.0, "variational": 0.03, "laplace": 0.0, "early_stopped": 0.02}


def students(gains: Mapping[str, float] = GAINS, seeds: int = 6, **given: Any) -> pd.DataFrame:
    """Return students of each teacher at α in 0.5, 1 and T in 1, 4; validation prefers α 1, T 4, test α 0.5, T 1."""
    rows = []
    for label, gain in gains.items():
        for weight in (0.5, 1.0):
            for t in (1.0, 4.0):
                for seed in range(seeds):
                    wiggle = 1e-3 * math.sin(7 * seed + len(label))
                    rows.append(
                        {"run": f"{label}-{weight}-{t}-{seed}", "source": "run", "run_type": "student", "seed": seed,
                         "teacher": label, "teacher_label": label, "label": "distilled", "framework": "kd",
                         "dataset": "digits", "architecture": "cnn16", "samples": 1, "omit_classes": "",
                         "fraction": 1.0, "epochs": 40, "kd_weight": weight, "temperature": t,
                         "student_temperature": 1.0,
                         "val_accuracy": 0.7 + gain + 0.02 * (weight == 1) + 0.02 * (t == 4) + 0.005 * seed,
                         "test_accuracy": 0.7 + gain - 0.1 * (weight == 1 and t == 4) + 0.005 * seed + wiggle}
                    )  # fmt: skip
    return pd.DataFrame(rows).assign(**given)


FRAME = students()


def noisy(rows: pd.DataFrame, factors: Mapping[str, float]) -> pd.DataFrame:
    """Add convergence noises that differ between teachers by a factor, and a little between seeds."""
    own = [factors[label] * 0.01 * (1 + 0.05 * math.cos(3 * seed + len(label)))
           for label, seed in zip(rows["teacher_label"], rows["seed"], strict=True)]  # fmt: skip
    return rows.assign(**{grid.column(window): own for window in (3, 5, 9, 15)})


PICKED = noisy(chosen(FRAME), {"deterministic": 1.0, "variational": 2.0, "laplace": 0.5, "early_stopped": 0.9})


def words(page: object) -> str:
    """Return the text of an HTML table, a row a line."""
    text = re.sub("</tr>", "\n", str(getattr(page, "data", page)))
    return re.sub(" +", " ", re.sub("<[^>]+>", " ", text)).replace("&lt;", "<")


def test_a_page_shows_each_teacher_at_the_setting_that_validation_chose() -> None:
    ends = students({"one_hot": 0.0}, label="floor").query("kd_weight == 1 and temperature == 1")
    kept = grid.simplified(named(pd.concat([FRAME, ends], ignore_index=True)))
    assert len(kept) == 6 * (len(GAINS) + 1) and set(kept["group"]) == {*GAINS, "one_hot"}
    best = kept[kept["teacher"] != "one_hot"]
    assert set(best["kd_weight"]) == {1.0} and set(best["temperature"]) == {4.0}
    few = students(fraction=0.1)
    both = grid.simplified(named(pd.concat([FRAME, few], ignore_index=True)))
    assert len(both) == 2 * 6 * len(GAINS) and "laplace fraction 0.1" in set(both["group"])  # few-shot is no setting
    alone = named(FRAME.query("kd_weight == 1 and temperature == 1"))
    pd.testing.assert_frame_equal(grid.simplified(alone), alone)


def test_only_the_grid_s_students_are_compared() -> None:
    other = [
        students({"laplace": 0.2}, label="tempered"),
        students({"laplace": 0.2}, samples=4),
        students({"laplace": 0.2}, framework="crd"),
        students({"laplace": 0.2}, omit_classes="3"),
        students({"one_hot": 0.2}),
    ]
    other = [rows.assign(run=rows["run"] + f"-{k}") for k, rows in enumerate(other)]
    (rows,) = grid.compared(pd.concat([*other, FRAME], ignore_index=True))
    assert sorted(rows["run"]) == sorted(FRAME["run"])
    few = students(fraction=0.1, label="distilled_few")
    few["run"] += "-few"
    assert [set(one["fraction"]) for one in grid.compared(pd.concat([FRAME, few]))] == [{1.0}, {0.1}]
    by_hand = FRAME.assign(label=FRAME["teacher"])  # runs chosen by name have no entry
    assert [len(one) for one in grid.compared(by_hand)] == [len(FRAME)]
    assert not list(grid.compared(FRAME.assign(label="fewshot")))


def test_the_floor_and_the_ceiling_stand_beside_and_change_no_verdict() -> None:
    ends = students({"one_hot": -0.02, "exact_bcp": 0.05}, label="floor").query("kd_weight == 1 and temperature == 1")
    other = ends.assign(epochs=10, run=ends["run"] + "-short")
    rows = grid.with_ends(chosen(FRAME), pd.concat([FRAME, ends, other], ignore_index=True))
    assert set(rows.loc[rows["teacher"].isin(grid.ENDS), "run"]) == set(ends["run"])
    assert grid.family(rows, grid.C4) == grid.family(PICKED, grid.C4)
    assert list(grid.others(rows, grid.C4)) == ["early_stopped", "one_hot", "exact_bcp"]
    assert grid.settings(rows) == grid.settings(PICKED)
    assert grid.with_ends(PICKED, FRAME) is PICKED


def test_means_and_settings() -> None:
    means = grid.means(FRAME)
    assert list(means.index) == list(GAINS) and means.shape == (4, 4)
    own = FRAME.query("teacher == 'laplace' and kd_weight == 0.5 and temperature == 4")
    assert means.loc["laplace", (0.5, 4.0, 1.0)] == pytest.approx(own["test_accuracy"].mean())
    assert grid.settings(PICKED) == dict.fromkeys(GAINS, (1.0, 4.0, 1.0))


def test_effects_are_those_of_the_claims() -> None:
    by_seed = PICKED.pivot(index="seed", columns="teacher", values="test_accuracy")
    family = grid.family(PICKED, grid.C4)
    assert list(family) == ["variational", "laplace"]
    for member, one in family.items():
        assert one == paired(by_seed[member].to_numpy(), by_seed["deterministic"].to_numpy())
    jumps = PICKED.pivot(index="seed", columns="teacher", values="convergence_noise")
    relative = grid.family(PICKED, grid.C5)
    for member, one in relative.items():
        assert one == paired_relative(jumps[member].to_numpy(), jumps["deterministic"].to_numpy())
    said = {claim.id: [one.verdict for one in grid.judged(PICKED, claim)] for claim in (grid.C4, grid.C5)}
    assert said == {
        "C4": [Verdict.SUPPORTED, Verdict.NOT_SUPPORTED],
        "C5": [Verdict.NOT_SUPPORTED, Verdict.SUPPORTED],  # twice the noise; half of it
    }
    controls = grid.others(PICKED, grid.C4)
    assert list(controls) == ["early_stopped"] and controls["early_stopped"][1] == pytest.approx(
        controls["early_stopped"][0].p
    )
    windows = grid.by_window(PICKED)
    assert {label: list(own) for label, own in windows.items()} == {
        "variational": [3, 5, 9, 15], "laplace": [3, 5, 9, 15],
    }  # fmt: skip


def test_a_label_is_not_the_kind() -> None:
    for own in ("deterministic", "laplace"):
        rows = PICKED.assign(teacher_label=PICKED["teacher_label"].replace(own, "of_another_network"))
        assert grid.family(rows, grid.C4)["laplace"] is None, "another label of the kind is no stand-in"
    kinds = PICKED.assign(teacher="deterministic")
    assert grid.family(kinds, grid.C4) == grid.family(PICKED, grid.C4)
    alone = PICKED[PICKED["teacher"] != "laplace"]
    assert grid.family(alone, grid.C4)["laplace"] is None
    assert [one.verdict for one in grid.judged(alone, grid.C4)][1] is Verdict.NOT_RUN
    none = PICKED[PICKED["teacher_label"] != "deterministic"]
    assert grid.changes(none, grid.C4) == {}


def test_a_pair_without_noise_is_left_out_and_said() -> None:
    rows = PICKED.copy()
    zero = (rows["teacher"] == "laplace") & (rows["seed"] == 2)
    rows.loc[zero, "convergence_noise"] = 0.0
    one, whole = grid.family(rows, grid.C5), grid.family(PICKED, grid.C5)
    assert one["laplace"] is not None and one["laplace"].n == 5 and one["variational"] == whole["variational"]
    both = noisy(PICKED.query("seed != 2"), {"deterministic": 1.0, "variational": 2.0, "laplace": 0.5,
                                             "early_stopped": 0.9})  # fmt: skip
    assert one["laplace"] == grid.family(both, grid.C5)["laplace"]
    assert grid_tables.left_out(rows).startswith("One student has no convergence noise at all")
    rows.loc[(rows["teacher"] == "laplace") & (rows["seed"] < 2), "convergence_noise"] = math.nan
    assert "2 students have no history" in grid_tables.left_out(rows) and grid_tables.left_out(PICKED) == ""
    none = PICKED.assign(convergence_noise=0.0)
    assert grid.family(none, grid.C5) == {"variational": None, "laplace": None}


def test_what_the_page_says() -> None:
    text = words(grid_tables.verdicts(PICKED, grid.C4))
    gain = grid.family(PICKED, grid.C4)["variational"]
    assert gain is not None and f"+{100 * gain.mean:.2f} ± {50 * (gain.high - gain.low):.2f}" in text
    lines = {line.split()[0]: line for line in text.strip().split("\n")[1:]}
    assert lines["variational"].rstrip().endswith("supported") and "not supported" in lines["Laplace"]
    assert "supported" not in lines["early"] and " 6 " in lines["early"] and "– – –" in lines["deterministic"]
    fifth = words(grid_tables.verdicts(PICKED, grid.C5))
    assert "change (%)" in fifth and re.search(r"Laplace 0\.\d+ ± 0\.\d+ −\d+ \(−\d+ to −\d+\) 6", fifth)
    table_of = words(grid_tables.settings_table(FRAME, PICKED))
    assert re.search(r"variational 4 1 4 1 78\.", table_of)
    line = grid_tables.short(Section("s", "Study", "", PICKED), "digits, cnn16", PICKED, PICKED).data
    assert "C4 (test accuracy, points): variational +2.9" in line and "C5 (convergence noise" in line
    assert line.count("Together: not supported.") == 2


def test_open_verdicts_say_how_many_seeds_they_want() -> None:
    few = PICKED.query("seed < 3")
    text = words(grid_tables.verdicts(few, grid.C4))
    assert text.count("inconclusive (fewer than five pairs; about") == 2
    one = words(grid_tables.verdicts(PICKED.query("seed < 1"), grid.C5))
    assert "inconclusive" in one and "nan" not in one and "seeds would" not in one
    # the plan for a fall by 10 % is made where it lies: a ratio of 0.9 is as far from 1 as one of 1 / 0.9
    rows = noisy(PICKED, dict.fromkeys(GAINS, 1.0))
    rows["convergence_noise"] *= np.where(rows["teacher"] == "laplace", np.exp(0.3 * (-1.0) ** rows["seed"]), 1)
    spread = grid.changes(rows, grid.C5)["laplace"]
    assert spread.sd == pytest.approx(0.3 * (6 / 5) ** 0.5, rel=0.2)
    plan = seeds_needed(replace(spread, relative=False), -math.log(0.9), comparisons=2)
    assert f"inconclusive (about {plan} seeds would settle it)" in words(grid_tables.verdicts(rows, grid.C5))


def test_the_map_shows_every_mean_and_frames_the_choice() -> None:
    means = grid.means(FRAME[(FRAME["teacher"] != "laplace") | (FRAME["kd_weight"] == 1)])
    figure = figures.heat(means, grid.settings(PICKED))
    axes = figure.axes[0]
    written = [text.get_text() for text in axes.texts]
    assert written.count("–") == 2 and len(written) == means.size
    assert f"{100 * means.to_numpy()[1, 2]:.1f}" in written  # variational at α 1, T 1
    bold = [text for text in axes.texts if text.get_fontweight() == "bold"]
    assert len(bold) == 4 and len(axes.patches) == 2 * 4
    assert axes.get_xticklabels()[0].get_text() == "α 0.5\nT 1\nS 1"
    many = pd.concat([students().assign(student_temperature=s) for s in (1.0, 2.0, 3.0)])
    assert len(figures.heat(grid.means(many), {}).axes) == 2 + 1  # a panel for each weight, and the scale
    with pytest.raises(InputError, match="no rows"):
        figures.heat(grid.means(FRAME) * math.nan, {})


def test_the_windows_are_drawn_with_their_intervals() -> None:
    found = grid.by_window(PICKED)
    (axes,) = figures.windows(found, grid.C5.smallest).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()][:2] == [
        "variational, 3 epochs",
        "variational, 5 epochs",
    ]
    segment = axes.containers[0][2][0].get_segments()[0]
    one = found["variational"][3]
    assert (segment[0, 0], segment[1, 0]) == pytest.approx((1 + one.low, 1 + one.high))
    places = dict(zip([t.get_text() for t in axes.get_xticklabels()], axes.get_xticks(), strict=True))
    assert places["0"] == 1 and places["+100"] == 2 and places["−50"] == 0.5
    strip = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (strip.x0, strip.x1) == pytest.approx((0.9, 1 / 0.9))
    with pytest.raises(InputError, match="no rows"):
        figures.windows({}, 0.1)


def test_effects_of_a_study(study: str) -> None:
    frame = table(study).replace({"teacher_label": {"plain": "deterministic"}})  # the label that claims compare
    assert grid.effects(frame) == {} == grid.effects(frame[frame["run_type"] == "teacher"])  # one teacher, no pair
    (part,) = sections("distillation", "student", study)
    ((_, every),) = part.settings
    kept = grid.simplified(every)
    assert len(every) == 6 and len(kept) == 4 and set(kept["group"]) == {"one_hot", "plain"}
    (rows,) = grid.compared(frame[frame["run_type"] == "student"])
    measured = grid.measured(chosen(rows))
    assert len(measured) == 2 and measured["convergence_noise"].isna().all()  # an epoch has no trend
    # a second teacher, by name only: the claims want pairs, and the noise of a history
    twin = rows.assign(teacher="variational", teacher_label="variational")
    found = grid.effects(pd.concat([frame, twin.assign(run_type="student", run=twin["run"])], ignore_index=True))
    assert found == {}  # the same runs again are no other students
    other = twin.assign(run=[f"{name}-x" for name in twin["run"]], source="record")
    found = grid.effects(pd.concat([frame, other], ignore_index=True))
    one = found["C4"]["variational"]
    assert one is not None and one.n == 2 and one.mean == 0 and found["C4"]["laplace"] is None
    assert "C5" not in found  # no entry at a constant rate


def test_noise_comes_from_the_histories() -> None:
    rng = np.random.default_rng(0)
    rows = chosen(FRAME).assign(source="record")
    curves = {name: rng.random(40) for name in rows["run"]}
    texts = dict.fromkeys(records.TEXTS, "some") | {"run_type": "student"}
    past = {
        name: [{"step": k, "val_accuracy": value} for k, value in enumerate(curve)] for name, curve in curves.items()
    }
    kept = [{**texts, "run": name, "history": steps} for name, steps in past.items()]
    records.write(records.file_of("some", 0), kept)
    found = grid.measured(rows)
    for window in (3, 5, 9, 15):
        expected = [float(noise(curves[name], window)) for name in found["run"]]
        np.testing.assert_allclose(found[grid.column(window)], expected)
    constant = FRAME.assign(source="record", label="convergence", schedule="constant")
    effects = grid.effects(pd.concat([FRAME.assign(source="record"), constant], ignore_index=True))
    assert effects == {"C4": grid.family(found, grid.C4), "C5": grid.family(found, grid.C5)}
    assert list(grid.effects(FRAME.assign(source="record"))) == ["C4"]
    assert all(one is not None and one.n == 6 for own in effects.values() for one in own.values())


def test_a_choice_at_the_edge_is_said() -> None:
    said = grid_tables.at_the_edge(FRAME, chosen(FRAME))  # T in 1, 4; validation prefers 4
    assert said.startswith("Chosen at the edge") and said.count("(4 of 1 to 4)") == len(GAINS)
    wider = pd.concat([FRAME, FRAME[FRAME["temperature"] == 1].assign(temperature=8.0)], ignore_index=True)
    assert grid_tables.at_the_edge(wider, chosen(wider)) == ""
    one = FRAME[FRAME["temperature"] == 4]
    assert grid_tables.at_the_edge(one, chosen(one)) == ""
