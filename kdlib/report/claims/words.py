"""Each claim as a reader asks it: on which page, in what words, and what its paper reports. (No torch.)"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Hold how a claim is said."""

    page: str
    """The page that decides it."""
    short: str
    """The claim in a few words."""
    lead: str
    """What was measured, to be followed by each member's effect."""
    published: str
    """What the paper reports, or that it reports no number."""


WORDS: dict[str, Words] = {
    "C1": Words(
        "synthetic", "exact BCPs lower the gradient's variance",
        "Change of the gradient's variance against one-hot labels", "The paper proves that a term of it vanishes.",
    ),
    "C2": Words(
        "synthetic", "noise in the BCPs brings it back",
        "Change of the gradient's variance with the noisiest BCPs, against exact ones",
        "The paper proves a growth in proportion to the noise.",
    ),
    "C3": Words(
        "bcp", "Bayesian teachers are nearer the BCPs",
        "Distance to the BCPs against the deterministic teacher (below zero is nearer)",
        "The paper argues so and measures calibration, not this distance.",
    ),
    "C4": Words(
        "distillation", "Bayesian teachers' students are better",
        "Students' test accuracy against those of the deterministic teacher",
        "The paper reports up to +4.27 points, with larger networks, 32×32 photographs and 200 epochs.",
    ),
    "C5": Words(
        "distillation", "their students converge with less noise",
        "Students' convergence noise against those of the deterministic teacher", "The paper reports up to 30 % less.",
    ),
    "C6": Words(
        "samples", "more samples of the teacher help",
        "Students' test accuracy, most samples a step against one", "The paper shows that more are better.",
    ),
    "C7": Words(
        "fewshot", "MCMI gains more in few-shot",
        "MCMI's gain over the deterministic teacher at 5 % of the images minus that at all of them",
        "The paper reports larger gains the fewer the images.",
    ),
    "C8": Words(
        "temperature", "MCMI raises the teacher's CMI",
        "The teacher's CMI against the deterministic teacher's",
        "The paper raises it at less than a point of accuracy.",
    ),
    "C9": Words(
        "frameworks", "MCMI's students gain in every framework",
        "MCMI's students against the deterministic teacher's, by framework", "The paper reports up to +3.32 points.",
    ),
    "C10": Words(
        "eigencam", "MCMI's Eigen-CAM maps are broader",
        "Entropy of the maps against the deterministic teacher's", "The paper shows pictures and no number.",
    ),
    "C11": Words(
        "fewshot", "MCMI's students gain at 5 % of the data",
        "MCMI's students against the deterministic teacher's at 5 % of the images",
        "The paper reports up to +5.72 points.",
    ),
    "C12": Words(
        "zeroshot", "MCMI's students know an omitted class",
        "Accuracy on the class never seen, MCMI's students against the deterministic teacher's",
        "The paper reports 0 % to as high as 84 %.",
    ),
    "C13": Words(
        "temperature", "temperature alone raises the CMI",
        "The deterministic teacher's CMI at its best T above 1 against T = 1", "The paper shows a rise.",
    ),
    "C14": Words(
        "bcp", "MCMI is nearer the BCPs",
        "MCMI's distance to the BCPs against the deterministic teacher's (below zero is nearer)",
        "The paper argues so and has no BCPs to measure it by.",
    ),
}  # fmt: skip


QUESTIONS: dict[str, str] = {
    "bcp": "Which teacher estimates the Bayes class probabilities best?",
    "distillation": "What does a student gain from its teacher, and does a Bayesian teacher give more?",
    "samples": "Do more draws of a Bayesian teacher make a better student?",
    "fewshot": "How much is a teacher worth when a student sees few images, and does MCMI give more then?",
    "zeroshot": "Can a student learn a class of which it never sees an image?",
    "temperature": "Does a temperature, or MCMI, raise what a teacher says of an image beyond its label?",
    "frameworks": "Does an MCMI teacher help in every framework of distillation?",
    "eigencam": "Does an MCMI teacher look at more of the image?",
    "synthetic": "Do exact class probabilities calm stochastic gradient descent, and does noise in them bring it back?",
}
"""What a page that decides claims asks."""


def claims_of(page: str) -> list[str]:
    """Return the claims that a page decides."""
    return [name for name, words in WORDS.items() if words.page == page]
