"""Figures and tables of the distance to the BCPs and of costs: units, n, intervals, and no verdict from few seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_plots import intervals, words

from kdlib.base.errors import InputError
from kdlib.measures.bcp_errors import PARTS
from kdlib.report import bcp_tables, cost_tables, noise, pages
from kdlib.report.claims import inference
from kdlib.report.plots import bcp as plots_bcp
from kdlib.report.plots import cost as plots_cost
from kdlib.report.plots import examples as plots_examples
from kdlib.report.plots import noise as plots_noise

RNG = np.random.default_rng(0)
KINDS = ("deterministic", "variational", "laplace", "mcmi")


def runs(seeds: int = 5) -> pd.DataFrame:
    """Return a table of teachers that come closer to the BCPs in the order of their kinds."""
    rows = [
        {
            "group": kind,
            "teacher": kind,
            "seed": seed,
            "val_nll": 1.0,
            "test_kl_to_bcp": 0.4 - 0.05 * k + RNG.normal(0, 0.004),
            "test_kl_to_bcp_tempered": 0.3 + RNG.normal(0, 0.004),
            "training_seconds": 1.0 + k,
            "lineage_seconds": 2.0**k * (1 + 0.1 * seed),
            "prediction_seconds_per_image": 1e-5 * (1 + k),
            "samples_used": 1,
            "numbers_kept": 5000,
            "peak_memory_bytes": 2**20,
        }
        for k, kind in enumerate(KINDS)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows).assign(teacher_label=lambda made: made["group"])


def with_scaled(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the temperature-scaled teachers that C14's best temperatures are of; MCMI's is hardly nearer."""
    scaled = [frame[frame["teacher"] == parent].assign(teacher="temperature_scaled", teacher_label=label, group=label,
                                                       parent=f"s/{parent}", test_kl_to_bcp=far + 1e-4 * (-1) ** k)
              for k, (parent, label, far) in enumerate((("deterministic", "temperature_scaled", 0.3),
                                                        ("mcmi", "temperature_scaled_mcmi", 0.298)))]  # fmt: skip
    jitter = pd.concat(scaled, ignore_index=True)
    jitter["test_kl_to_bcp"] += 1e-4 * (-1.0) ** jitter["seed"] * (jitter["group"] == "temperature_scaled_mcmi")
    return pd.concat([frame, jitter], ignore_index=True)


def parts(seeds: int = 3) -> pd.DataFrame:
    """Return parts of divergences, a row a run."""
    values = RNG.random((len(KINDS) * seeds, len(PARTS)))
    keys = [{"group": kind, "seed": seed} for kind in KINDS for seed in range(seeds)]
    return pd.DataFrame([k | dict(zip(map(str, PARTS), v, strict=True)) for k, v in zip(keys, values, strict=True)])


def test_differences_are_paired_within_a_treatment() -> None:
    frame = runs()
    figure = plots_bcp.divergences(frame, "deterministic", smallest=0.01)
    table = inference.gains(frame, "test_kl_to_bcp", by="group").set_index("group")
    assert intervals(figure)[0] == pytest.approx((table.loc["variational", "low"], table.loc["variational", "high"]))
    assert words(figure).count("n = 5") == 2 * (len(KINDS) - 1)
    assert {"as trained", "at its best temperature", "below the smallest of interest"} <= set(words(figure))
    assert "(nats)" in " ".join(words(plots_bcp.divergences(frame)))
    with pytest.raises(InputError, match="baseline"):
        plots_bcp.divergences(frame, "ensemble")


def test_verdicts_need_five_pairs() -> None:
    said = bcp_tables.closer(runs(), "deterministic").data
    assert "closer are variational, Laplace, MCMI" in said and "not told apart" in said
    few = runs().query("teacher != 'mcmi' or seed < 3")
    said = bcp_tables.closer(few, "deterministic").data
    assert "closer are variational, Laplace;" in said and "fewer than 5 pairs, are MCMI" in said
    table = bcp_tables.claims(with_scaled(runs())).data
    assert table.count("supported") - table.count("not supported") == 3  # C3 twice, C14 as trained
    assert table.count("not supported") == 1  # C14 at the best temperature
    assert "inconclusive" in bcp_tables.claims(runs(4)).data
    assert "not run" in bcp_tables.claims(runs().query("teacher != 'mcmi'")).data
    assert "−0.0" in bcp_tables.differences(runs(), "deterministic").data


def test_parts_classes_and_reliability() -> None:
    figure = plots_bcp.parts(parts())
    assert words(figure).count("n = 3") == len(KINDS) and "KL(BCP ‖ teacher) (nats)" in words(figure)
    assert {str(part) for part in PARTS} <= set(words(figure))
    table = pd.DataFrame(
        [{"group": g, "seed": s, "class": c, "kl": RNG.random()} for g in KINDS for s in (0, 1) for c in "abc"]
    )
    assert len(plots_bcp.by_class(table).axes[0].texts) == 3 * len(KINDS)
    assert "n = 2" in bcp_tables.widest(table)
    logs, labels = RNG.normal(size=(400, 5)), RNG.integers(5, size=400)
    figure = plots_bcp.reliability_grid(dict.fromkeys(KINDS, logs), labels)
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == [
        "deterministic", "variational", "Laplace", "MCMI"
    ]  # fmt: skip
    assert "[" in bcp_tables.bootstrapped({"mcmi": RNG.random((50, 4))}, draws=20).data


def test_examples_write_percentages() -> None:
    truth = np.array([[0.7, 0.298, 0.002], [0.1, 0.1, 0.8]])
    figure = plots_examples.examples(
        RNG.random((2, 8, 8)), ["easy", "wrong"], ("exact BCPs", truth), {"mcmi": truth[::-1]}, ["0", "1", "2"]
    )
    assert {"70", "30", "80"} <= set(words(figure)) and "0" not in [t.get_text() for t in figure.axes[1].texts]
    assert [tick.get_text() for tick in figure.axes[1].get_yticklabels()] == ["exact BCPs", "MCMI"]
    assert pages.picture(figure, vector=False)[1] == "image/png"
    coloured = plots_examples.examples(
        RNG.random((1, 4, 4, 3)), ["x"], ("people", truth[:1]), {}, ["cat", "dog", "automobile"]
    )
    assert "auto" in [tick.get_text() for tick in coloured.axes[1].get_xticklabels()]


def test_noise_is_a_sweep_of_its_own() -> None:
    rows = pd.DataFrame(
        [
            {
                "who": who,
                "run_type": who.split()[1],
                "noise": sd,
                "seed": seed,
                "bayes_accuracy": 1 - sd,
                "test_accuracy": 0.9 - sd,
                "test_kl_to_bcp": sd,
                **{str(part): 0.1 for part in PARTS},
            }
            for who in noise.WHO.values()
            for sd in (0.2, 0.4)
            for seed in (0, 1)
        ]
    )
    figure = plots_noise.noise_sweep(rows)
    assert {"one-hot student (n = 2)", "exact BCP student (n = 2)", " Bayes classifier"} <= set(words(figure))
    assert list(noise.swept(pd.DataFrame({"label": ["noise", "noise_floor", "mcmi"]}))) == [True, True, False]


def test_costs_are_ratios_of_pairs() -> None:
    frame = runs(3)
    figure = plots_cost.cost_ratios(frame, "deterministic")
    assert words(figure).count("n = 3") == 2 * (len(KINDS) - 1)
    assert cost_tables.times(frame, "mcmi", "deterministic", "lineage_seconds") == pytest.approx((8, 8, 8))
    assert cost_tables.times(frame.assign(lineage_seconds=np.nan), "mcmi", "deterministic", "lineage_seconds") is None
    table = cost_tables.costs(frame).data
    assert "(µs)" in table and "<td>5</td>" in table and "<td>10</td>" in table
