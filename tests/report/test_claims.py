"""The statistics of the claims, on simulated data with known effects and against scipy."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from kdlib.base.errors import InputError
from kdlib.report import inference
from kdlib.report.claims import CLAIMS, rules
from kdlib.report.claims.claim import Claim
from kdlib.report.claims.rules import Verdict
from kdlib.report.inference import Effect

SIMULATIONS = 2000


def claim(name: str) -> Claim:
    """Return a claim by its id."""
    return next(row for row in CLAIMS if row.id == name)


def test_paired_is_that_of_scipy() -> None:
    a, b = [0.81, 0.84, 0.79, 0.86, 0.83], [0.80, 0.81, 0.79, 0.82, 0.83]
    effect = inference.paired(a, b)
    reference = stats.ttest_rel(a, b)
    interval = reference.confidence_interval(0.95)
    assert effect.p == pytest.approx(reference.pvalue, abs=1e-14)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high), abs=1e-14)
    # By hand: differences 1, 3, 0, 4, 0 points; mean 1.6, sd sqrt(13.2 / 4), t(4) = 2.776.
    assert effect.mean == pytest.approx(0.016)
    assert effect.sd == pytest.approx(0.01 * math.sqrt(3.3))
    assert effect.high == pytest.approx(0.016 + 2.7764 * 0.01 * math.sqrt(3.3 / 5), abs=1e-6)
    assert effect.n == 5
    shifted = stats.ttest_1samp(np.subtract(a, b), 0.01)
    assert effect.p_equals(0.01) == pytest.approx(shifted.pvalue, abs=1e-14)


def test_one_seed_and_equal_seeds() -> None:
    one = inference.mean_interval([0.5])
    assert one.n == 1 and one.mean == 0.5 and math.isnan(one.low) and math.isnan(one.p)
    equal = inference.paired([1.0, 2.0], [0.5, 1.5])
    assert (equal.low, equal.mean, equal.high, equal.p) == (0.5, 0.5, 0.5, 0.0)
    assert inference.paired([1.0, 2.0], [1.0, 2.0]).p == 1.0
    nearly = inference.mean_interval([0.3, 0.1 + 0.2])  # equal but for a rounding
    assert (nearly.low, nearly.sd, nearly.p) == (0.3, 0.0, 0.0)
    tiny = inference.mean_interval([0.0, 1e-200])  # a spread whose square is too small for a float
    assert (tiny.low, tiny.sd, tiny.p) == (tiny.mean, 0.0, 0.0)


def test_relative_change() -> None:
    b = np.array([1.0, 2.0, 5.0, 3.0, 4.0])
    exact = inference.paired_relative(0.7 * b, b)
    assert exact.mean == pytest.approx(-0.3) and exact.high == pytest.approx(-0.3)
    a = b * np.array([0.6, 0.7, 0.8, 0.75, 0.65])
    effect, logs = inference.paired_relative(a, b), inference.paired(np.log(a), np.log(b))
    assert effect.low == pytest.approx(math.exp(logs.low) - 1)
    assert effect.p == logs.p and effect.in_units(-0.1).p_equals(1) == pytest.approx(logs.p_equals(math.log(0.9)))
    with pytest.raises(InputError, match="positive"):
        inference.paired_relative([1.0, 0.0], [1.0, 1.0])


@pytest.mark.parametrize("n", [5, 10])
def test_intervals_cover_as_stated(n: int) -> None:
    rng = np.random.default_rng(n)
    effect = 0.02
    baseline = rng.normal(0.8, 0.02, (SIMULATIONS, n))  # shared by the pair, as a seed is
    treated = baseline + effect + rng.normal(0, 0.01, (SIMULATIONS, n))
    found = [inference.paired(a, b) for a, b in zip(treated, baseline, strict=True)]
    covered = np.mean([e.low <= effect <= e.high for e in found])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize("n", [5, 10])
def test_intervals_of_relative_changes_cover_as_stated(n: int) -> None:
    rng = np.random.default_rng(n)
    baseline = np.exp(rng.normal(0, 0.5, (SIMULATIONS, n)))
    treated = 0.7 * baseline * np.exp(rng.normal(0, 0.2, (SIMULATIONS, n)))
    found = [inference.paired_relative(a, b) for a, b in zip(treated, baseline, strict=True)]
    assert 0.93 <= np.mean([e.low <= -0.3 <= e.high for e in found]) <= 0.97


def test_a_bootstrap_of_five_seeds_would_not() -> None:
    values = np.random.default_rng(0).normal(0, 1, (400, 5))
    found = [scipy.stats.bootstrap((row,), np.mean, n_resamples=300, method="percentile", rng=0) for row in values]
    covered = [one.confidence_interval.low <= 0 <= one.confidence_interval.high for one in found]
    assert np.mean(covered) < 0.9


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 gives 0.02, 0.03, 0.06, 0.04; the last is raised to 0.06.
    np.testing.assert_allclose(inference.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(inference.holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    np.testing.assert_allclose(inference.holm([0.7, 0.8]), [1, 1])
    assert inference.holm([]).shape == (0,)


def test_holm_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(0)
    gc.freeze()  # it collects garbage at every call: of all that the tests hold
    for m in [*range(1, 9)] * 5:
        p = rng.choice([*rng.random(m) ** 3, 0.0, 1.0], m)  # with equal ones
        corrected = np.append(multipletests(p, method="holm")[1], np.nan)
        np.testing.assert_allclose(inference.holm([*p, np.nan]), corrected, rtol=1e-14)
    gc.unfreeze()


def family(rng: np.random.Generator, n: int, effects: list[float]) -> dict[str, Effect | None]:
    """Return effects of several teachers over one deterministic baseline, as a study measures them."""
    baseline = rng.normal(0.8, 0.01, n)
    seed = rng.normal(0, 0.01, n)
    return {
        str(k): inference.paired(0.8 + seed + size + rng.normal(0, 0.005, n), seed + baseline)
        for k, size in enumerate(effects)
    }


@pytest.mark.parametrize("n", [5, 10])
def test_false_verdicts_are_as_rare_as_stated(n: int) -> None:
    rng = np.random.default_rng(n)
    row = claim("C9")
    no_effect = [0.0] * 4
    said = [[j.verdict for j in rules.judge(row, family(rng, n, no_effect))] for _ in range(SIMULATIONS)]
    assert np.mean([Verdict.SUPPORTED in verdicts for verdicts in said]) <= 0.05
    just = [row.smallest] * 4
    said = [[j.verdict for j in rules.judge(row, family(rng, n, just))] for _ in range(SIMULATIONS)]
    assert np.mean([Verdict.NOT_SUPPORTED in verdicts for verdicts in said]) <= 0.05


@pytest.mark.parametrize("n", [5, 10])
def test_false_verdicts_stay_rare_in_a_family_of_twelve(n: int) -> None:
    rng = np.random.default_rng(n)
    row = claim("C9")
    assert len(row.treated) == 12
    for sizes, false, among in (
        ([0.0] * 12, Verdict.SUPPORTED, slice(12)),
        ([row.smallest] * 12, Verdict.NOT_SUPPORTED, slice(12)),
        ([0.05] * 6 + [0.0] * 6, Verdict.SUPPORTED, slice(6, 12)),  # true effects beside do not hide false ones
        ([-0.05] * 6 + [row.smallest] * 6, Verdict.NOT_SUPPORTED, slice(6, 12)),
    ):
        families = (family(rng, n, sizes) for _ in range(SIMULATIONS // 2))
        said = [[one.verdict for one in rules.judge(row, effects)[among]] for effects in families]
        assert np.mean([false in verdicts for verdicts in said]) <= 0.05
    # without the correction they would not
    plain = [[e.p for e in family(rng, n, [0.0] * 12).values() if e] for _ in range(400)]
    assert np.mean([min(values) <= 0.05 for values in plain]) > 0.15


def test_false_verdicts_on_a_relative_decrease() -> None:
    rng = np.random.default_rng(2)
    row = claim("C5")

    def said(factor: float) -> list[Verdict]:
        base = np.exp(rng.normal(0, 0.3, 10))
        effects = {
            who: inference.paired_relative(factor * base * np.exp(rng.normal(0, 0.05, 10)), base) for who in row.treated
        }
        return [one.verdict for one in rules.judge(row, effects)]

    assert np.mean([Verdict.SUPPORTED in said(1.0) for _ in range(SIMULATIONS)]) <= 0.05
    assert np.mean([Verdict.NOT_SUPPORTED in said(1 + row.smallest) for _ in range(SIMULATIONS)]) <= 0.05
    assert np.mean([verdict is Verdict.SUPPORTED for _ in range(200) for verdict in said(0.75)]) > 0.95
    assert np.mean([verdict is Verdict.NOT_SUPPORTED for _ in range(200) for verdict in said(1.1)]) > 0.95


def test_verdicts_find_what_is_there() -> None:
    rng = np.random.default_rng(3)
    said = [rules.judge(claim("C9"), family(rng, 10, [0.03, -0.03])) for _ in range(200)]
    assert np.mean([first.verdict is Verdict.SUPPORTED for first, _ in said]) > 0.95
    assert np.mean([second.verdict is Verdict.NOT_SUPPORTED for _, second in said]) > 0.95


@pytest.mark.parametrize(
    ("effect", "p", "said"),
    [
        (None, math.nan, Verdict.NOT_RUN),
        (Effect(0.02, 0.01, 0.03, 4, 0.006, 0.001), 0.001, Verdict.INCONCLUSIVE),  # four seeds
        (Effect(0.02, 0.01, 0.03, 5, 0.008, 0.005), 0.005, Verdict.SUPPORTED),
        (Effect(0.02, 0.01, 0.03, 5, 0.008, 0.005), 0.06, Verdict.INCONCLUSIVE),  # not after correction
        (Effect(0.008, 0.004, 0.012, 5, 0.003, 0.005), 0.005, Verdict.INCONCLUSIVE),  # there, perhaps too small
        (Effect(0.004, 0.001, 0.007, 5, 0.002, 0.02), 0.02, Verdict.NOT_SUPPORTED),  # there, and too small
        (Effect(0.0, -0.02, 0.02, 5, 0.016, 1.0), 1.0, Verdict.INCONCLUSIVE),  # wide
        (Effect(-0.02, -0.03, -0.01, 5, 0.008, 0.005), 0.005, Verdict.NOT_SUPPORTED),  # the other way round
    ],
)
def test_verdict_rules(effect: Effect | None, p: float, said: Verdict) -> None:
    assert rules.verdict(effect and effect.in_units(0.01), p=p) is said


def test_claims_that_say_lower_are_turned() -> None:
    row = claim("C3")
    base = np.array([0.40, 0.41, 0.39, 0.42, 0.38, 0.40])
    better = base - np.array([0.06, 0.05, 0.07, 0.06, 0.05, 0.07])
    worse = base + 0.05
    effects = {"variational": inference.paired(better, base), "laplace": inference.paired(worse, base)}
    first, second = rules.judge(row, effects)
    assert first.verdict is Verdict.SUPPORTED and first.effect is not None
    assert first.effect.mean == pytest.approx(0.06 / 0.01)
    assert first.effect.low < first.effect.mean < first.effect.high
    assert second.verdict is Verdict.NOT_SUPPORTED
    assert rules.judge(row, {"variational": None})[0].verdict is Verdict.NOT_RUN


def test_relative_claims() -> None:
    rng = np.random.default_rng(5)
    base = rng.uniform(1, 3, 8)
    noise = np.exp(rng.normal(0, 0.02, 8))
    for factor, said in [(0.7, Verdict.SUPPORTED), (0.99, Verdict.NOT_SUPPORTED), (1.3, Verdict.NOT_SUPPORTED)]:
        effects = {"laplace": inference.paired_relative(factor * base * noise, base)}
        assert rules.judge(claim("C5"), effects)[0].verdict is said


def test_a_guard_can_stop_a_claim() -> None:
    row = claim("C8")
    assert row.guard is not None
    cmi = {"mcmi": inference.paired([0.5, 0.6, 0.55, 0.52, 0.58], [0.2, 0.3, 0.2, 0.25, 0.22])}
    cheap = inference.mean_interval([0.001, -0.002, 0.0, 0.002, -0.001])
    dear = inference.mean_interval([-0.03, -0.035, -0.028, -0.033, -0.031])
    unclear = inference.mean_interval([-0.03, 0.01, 0.0, -0.02, -0.005])
    said = [rules.judge(row, cmi, {"mcmi": guard})[0].verdict for guard in (cheap, dear, unclear)]
    assert said == [Verdict.SUPPORTED, Verdict.NOT_SUPPORTED, Verdict.INCONCLUSIVE]
    assert rules.judge(row, cmi)[0].verdict is Verdict.INCONCLUSIVE


def test_a_guard_of_few_pairs_says_nothing_and_a_dear_one_decides() -> None:
    row = claim("C8")
    sure = {"mcmi": inference.paired([0.5, 0.6, 0.55, 0.52, 0.58], [0.2, 0.3, 0.2, 0.25, 0.22])}
    nothing = {"mcmi": inference.mean_interval([0.0, 0.001, -0.001, 0.0005, -0.0005])}
    unclear = {"mcmi": inference.mean_interval([0.03, -0.01, 0.02, 0.0, 0.01])}
    cheap = {"mcmi": inference.mean_interval([0.001, -0.002, 0.0, 0.002, -0.001])}
    few = {"mcmi": inference.mean_interval([0.001, -0.001, 0.0, 0.001])}
    dear = {"mcmi": inference.mean_interval([-0.03, -0.035, -0.028, -0.033, -0.031])}
    assert rules.judge(row, sure, few)[0].verdict is Verdict.INCONCLUSIVE
    assert rules.judge(row, unclear, cheap)[0].verdict is Verdict.INCONCLUSIVE
    assert rules.judge(row, nothing, cheap)[0].verdict is Verdict.NOT_SUPPORTED
    for effect in (sure, unclear, nothing):
        assert rules.judge(row, effect, dear)[0].verdict is Verdict.NOT_SUPPORTED
    assert rules.judge(row, {"mcmi": None}, dear)[0].verdict is Verdict.NOT_RUN
    assert rules.judge(claim("C3"), {"laplace": None}, dear)[0].verdict is Verdict.NOT_RUN


@pytest.mark.parametrize("n", [5, 10])
def test_a_guard_errs_as_rarely_as_stated(n: int) -> None:
    rng = np.random.default_rng(n)
    row = claim("C8")
    assert row.guard is not None
    raised = {"mcmi": inference.mean_interval(rng.normal(0.1, 0.001, n))}
    said = [
        rules.judge(row, raised, {"mcmi": inference.mean_interval(rng.normal(row.guard.worst, 0.01, n))})[0].verdict
        for _ in range(SIMULATIONS)
    ]  # the cost is exactly the worst acceptable one: either answer is false
    for verdict in (Verdict.SUPPORTED, Verdict.NOT_SUPPORTED):
        assert np.mean([one is verdict for one in said]) <= 0.04


def test_a_family_has_one_answer() -> None:
    yes, no, unclear, _, absent = Verdict
    assert rules.overall([yes, yes]) is yes
    assert rules.overall([yes, no]) is no
    assert rules.overall([yes, unclear]) is rules.overall([yes, absent]) is unclear
    assert rules.overall([]) is rules.overall([absent]) is absent


def test_seeds_needed_give_the_power() -> None:
    seen = Effect(0.0, -0.01, 0.01, 5, 0.01, 1.0)
    n = inference.seeds_needed(seen, smallest=0.008)
    rng = np.random.default_rng(0)
    draws = rng.normal(0.008, 0.01, (SIMULATIONS, n))
    power = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    fewer = np.mean(stats.ttest_1samp(draws[:, :-2], 0, axis=1).pvalue < 0.05)
    assert n == 15 and power == pytest.approx(0.8, abs=0.04) and fewer < power
    assert {inference.seeds_needed(seen, 0.01 * size) for size in (5, 6.5, 8, 27, 1e3, 1e17)} == {5}
    assert inference.seeds_needed(seen, 0.0008) > 1000
    for size in (0.05, 0.3, 0.9, 2.0, 4.0):  # on the side on which the effect lies
        trusted = TTestPower().solve_power(size, power=0.9, alpha=0.05 / 3 / 2, alternative="larger")
        assert inference.seeds_needed(seen, 0.01 * size, 0.9, comparisons=3) == max(5, math.ceil(trusted))
    assert inference.seeds_needed(seen, 0.008, comparisons=4) > n
    with pytest.raises(InputError, match="smallest"):
        inference.seeds_needed(seen, 0.0)


@pytest.mark.parametrize("members", [1, 4])
def test_seeds_needed_lead_to_verdicts(members: int) -> None:
    rng = np.random.default_rng(members)
    row, spread = claim("C9"), 0.008
    n = inference.seeds_needed(Effect(0.0, -0.01, 0.01, 5, spread, 1.0), row.smallest, comparisons=members)

    def share(verdict: Verdict, size: float) -> float:
        drawn = rng.normal(size, spread, (500, members, n))
        said = [
            rules.judge(row, {str(k): inference.mean_interval(values) for k, values in enumerate(effects)})
            for effects in drawn
        ]
        return float(np.mean([one.verdict is verdict for each in said for one in each]))

    # nothing there: told from the smallest of interest; twice that: told from zero
    assert share(Verdict.NOT_SUPPORTED, 0.0) > 0.76
    assert share(Verdict.SUPPORTED, 2 * row.smallest) > 0.95


def test_the_table_of_claims() -> None:
    assert [row.id for row in CLAIMS] == [f"C{k}" for k in range(1, 15)]
    for row in CLAIMS:
        assert row.smallest != 0 and row.treated and row.source in {"Bayesian-KD", "MCMI"}
        assert row.unit in {"nats", "accuracy", "relative change"}
        assert row.text.endswith(".")
    assert [row.id for row in CLAIMS if row.smallest < 0] == ["C1", "C3", "C5", "C14"], "what is said to fall"


@pytest.mark.parametrize(
    ("a", "b", "word"), [([1.0], [1.0, 2.0], "pairs"), ([1.0, math.nan], [1.0, 2.0], "finite"), ([], [], "finite")]
)
def test_refused(a: list[float], b: list[float], word: str) -> None:
    with pytest.raises(InputError, match=word):
        inference.paired(a, b)


def test_nothing_slow_is_imported_before_its_use() -> None:
    modules = "kdlib.report.claims, kdlib.measures.calibration, kdlib.report.draw, kdlib.report.page"
    code = f"import sys, {modules}; assert not {{'torch', 'seaborn', 'scipy.stats', 'statsmodels'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_drawn_takes_no_statistics_of_scipy() -> None:
    """Half a second of every page, for estimates of densities; whoever wants them finds them there afterwards."""
    code = (
        "import sys, numpy, pandas\n"
        "from kdlib.report.draw import curves, dots, heat, lines\n"
        "rows = pandas.DataFrame({'teacher_label': 'mcmi', 'seed': range(3), 'temperature': 1.0, 'test_nll': 0.5})\n"
        "dots(rows, 'test_nll'), lines(rows, 'temperature', ['test_nll']), heat(rows[['test_nll']], {}, 'nats')\n"
        "assert {'seaborn'} == {'seaborn', 'scipy.stats', 'torch'} & set(sys.modules)\n"
        "import scipy.stats, seaborn\n"
        "seaborn.kdeplot(numpy.arange(9.0)), scipy.stats.norm.cdf(0)"
    )
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], check=True, timeout=60)


def test_seeds_for_a_relative_fall_count_its_own_logarithm() -> None:
    """A fall by 10 % is farther from nothing than a rise by 10 %: it takes fewer seeds, the same on every page."""
    fall = next(row for row in CLAIMS if row.id == "C5")
    seen = inference.paired_relative([0.9, 1.2, 0.8, 1.1, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0])
    one, other = rules.judge(fall, {"variational": seen, "laplace": None})
    assert one.verdict is Verdict.INCONCLUSIVE and rules.needed(fall, other) is None
    exact = inference.seeds_needed(replace(seen, relative=False), -math.log(0.9), comparisons=2)
    rise = inference.seeds_needed(replace(seen, relative=False), math.log(1.1), comparisons=2)
    assert rules.needed(fall, one, family=2) == exact < rise
