"""The fourteen claims, each with its measure and smallest effect of interest, fixed before any study ran."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """What the claim says the treatment does to the measure."""

    INCREASE = "increase"
    """treated − baseline is above zero."""
    DECREASE = "decrease"
    """treated − baseline is below zero."""


@dataclass(frozen=True)
class Guard:
    """Hold what a claim may not cost: a second measure and the worst acceptable difference."""

    measure: str
    column: str
    worst: float
    """Below zero: the most that the treatment may lose."""


@dataclass(frozen=True)
class Claim:
    """Hold one claim: treated − baseline, paired over seeds, on one primary measure."""

    id: str
    text: str
    source: str
    """The seed that makes the claim."""
    measure: str
    """The primary measure in words; the verdict rests on it alone."""
    column: str
    """The primary measure's column in the table of runs, or its name in the page that computes it."""
    unit: str
    direction: Direction
    smallest: float
    """The smallest effect of interest, above 0: a fraction for accuracies and relative changes."""
    treated: tuple[str, ...]
    """The family: what is compared, each member with the baseline; corrected together."""
    baseline: str
    relative: bool = False
    """Whether the effect is the relative change of a positive measure (`paired_relative`)."""
    guard: Guard | None = None
    beside: str = ""
    """What is shown beside the verdict and enters no verdict."""


_BAYES, _MCMI = "Bayesian-KD", "MCMI"
_UP, _DOWN = Direction.INCREASE, Direction.DECREASE
_FRAMEWORKS = ("kd", "fitnet", "at", "pkt", "sp", "cc", "rkd", "vid", "crd", "dkd", "reviewkd", "hsakd")

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C1",
        text="Supervision by the exact BCPs lowers the variance of SGD's gradient and removes the neighbourhood "
        "term that one-hot labels leave.",
        source=_BAYES,
        measure="variance of the per-sample gradient (trace of its covariance), mean over the last half of the path",
        column="gradient_variance",
        unit="relative change",
        direction=_DOWN,
        smallest=0.10,
        treated=("exact_bcp",),
        baseline="one_hot",
        relative=True,
        beside="squared distance to the optimum of softmax regression at the end, against the paper's bound",
    ),
    Claim(
        id="C2",
        text="Noise in the BCPs brings the variance back in proportion, and accuracy falls with it.",
        source=_BAYES,
        measure="variance of the per-sample gradient, mean over the last half of the path, at the highest noise",
        column="gradient_variance",
        unit="relative change",
        direction=_UP,
        smallest=0.10,
        treated=("noisy_bcp",),
        baseline="exact_bcp",
        relative=True,
        beside="slope of log excess variance on log noise variance (1 is in proportion); validation accuracy by noise",
    ),
    Claim(
        id="C3",
        text="Bayesian teachers estimate the BCPs better than a deterministic one.",
        source=_BAYES,
        measure="test KL(BCP ‖ teacher)",
        column="test_kl_to_bcp",
        unit="nats",
        direction=_DOWN,
        smallest=0.01,
        treated=("variational", "laplace"),
        baseline="deterministic",
        beside="the same after temperature scaling of both; the controls; test NLL where no BCP is known",
    ),
    Claim(
        id="C4",
        text="The students of Bayesian teachers are more accurate (up to +4.27 points).",
        source=_BAYES,
        measure="the student's test accuracy",
        column="test_accuracy",
        unit="accuracy",
        direction=_UP,
        smallest=0.005,
        treated=("variational", "laplace"),
        baseline="deterministic",
        beside="the controls' students; one-hot (floor) and exact BCP (ceiling)",
    ),
    Claim(
        id="C5",
        text="The students of Bayesian teachers converge with less noise (up to 30 % less).",
        source=_BAYES,
        measure="convergence noise of the student's validation accuracy",
        column="convergence_noise",
        unit="relative change",
        direction=_DOWN,
        smallest=0.10,
        treated=("variational", "laplace"),
        baseline="deterministic",
        relative=True,
        beside="the same for other windows",
    ),
    Claim(
        id="C6",
        text="More Monte Carlo samples of the teacher help the student.",
        source=_BAYES,
        measure="the student's test accuracy with the most samples against one sample",
        column="test_accuracy",
        unit="accuracy",
        direction=_UP,
        smallest=0.005,
        treated=("most samples",),
        baseline="one sample",
        beside="accuracy by number of samples",
    ),
    Claim(
        id="C7",
        text="The gain over maximum likelihood is larger in few-shot than in full training.",
        source=_MCMI,
        measure="the student's gain in test accuracy at the smallest fraction minus the gain with all the data",
        column="test_accuracy",
        unit="accuracy",
        direction=_UP,
        smallest=0.01,
        treated=("mcmi",),
        baseline="deterministic",
        beside="gain by fraction, every teacher, both protocols",
    ),
    Claim(
        id="C8",
        text="MCMI raises the teacher's conditional mutual information at little cost in accuracy.",
        source=_MCMI,
        measure="test CMI of the teacher",
        column="test_cmi",
        unit="nats",
        direction=_UP,
        smallest=0.01,
        treated=("mcmi",),
        baseline="deterministic",
        guard=Guard("the teacher's test accuracy", "test_accuracy", -0.01),
        beside="CMI by class",
    ),
    Claim(
        id="C9",
        text="The students of MCMI teachers gain in every distillation framework (up to +3.32 points).",
        source=_MCMI,
        measure="the student's test accuracy within one framework, MCMI against maximum likelihood",
        column="test_accuracy",
        unit="accuracy",
        direction=_UP,
        smallest=0.005,
        treated=_FRAMEWORKS,
        baseline="deterministic",
    ),
    Claim(
        id="C10",
        text="Eigen-CAM shows more contextual information in an MCMI teacher.",
        source=_MCMI,
        measure="entropy of the Eigen-CAM map scaled to sum to one, mean over the test images",
        column="cam_entropy",
        unit="nats",
        direction=_UP,
        smallest=0.05,
        treated=("mcmi",),
        baseline="deterministic",
        beside="area of the map, variation within a class, overlap with the pixels that carry the class",
    ),
    Claim(
        id="C11",
        text="With 5 % of the data the students of MCMI teachers gain (up to +5.72 points).",
        source=_MCMI,
        measure="the student's test accuracy at fraction 0.05",
        column="test_accuracy",
        unit="accuracy",
        direction=_UP,
        smallest=0.01,
        treated=("mcmi",),
        baseline="deterministic",
        beside="the published trials",
    ),
    Claim(
        id="C12",
        text="In zero-shot distillation an omitted class goes from 0 % to as high as 84 % with an MCMI teacher.",
        source=_MCMI,
        measure="the student's test accuracy on the omitted class, one class omitted, at the temperature chosen",
        column="omitted_accuracy",
        unit="accuracy",
        direction=_UP,
        smallest=0.05,
        treated=("mcmi",),
        baseline="deterministic",
        beside="two to six omitted classes, every temperature, accuracy on the classes that were kept",
    ),
    Claim(
        id="C13",
        text="A teacher's temperature alone raises its conditional mutual information.",
        source=_MCMI,
        measure="test CMI of the maximum-likelihood teacher at the T > 1 with the highest mean validation CMI, "
        "against its CMI at T = 1",
        column="test_cmi",
        unit="nats",
        direction=_UP,
        smallest=0.01,
        treated=("T > 1",),
        baseline="T = 1",
        beside="CMI and the student's accuracy against T, for both teachers",
    ),
    Claim(
        id="C14",
        text="MCMI estimates the BCPs better than maximum likelihood, also with the best temperature for each.",
        source=_MCMI,
        measure="test KL(BCP ‖ teacher), as trained, and with each teacher's temperature fitted on validation NLL",
        column="test_kl_to_bcp",
        unit="nats",
        direction=_DOWN,
        smallest=0.01,
        treated=("as trained", "best temperature"),
        baseline="deterministic",
    ),
)
