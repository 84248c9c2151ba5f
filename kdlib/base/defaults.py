"""What a parameter is when nobody gives it: the two papers' settings, and each dataset's own.

A preset wins over a dataset; a given value wins over both. Sources: the settings of Bayesian-KD ("SGD-Based
Knowledge Distillation with Bayesian Teachers") and of MCMI (Ye et al., ICLR 2024), as their public code has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib.base.kinds import TUNED
from kdlib.base.options import Family, NormStatistics, Preset, TeacherKind

if TYPE_CHECKING:
    from kdlib.base.schema import Config


PRESETS: dict[Preset, dict[str, Any]] = {
    Preset.BAYESIAN_KD: {
        "optimizer": "adam", "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 0.0, "batch_size": 100,
        "schedule": "steps", "epochs": 200, "lr_decay_epochs": "100", "lr_decay_rate": 0.1,
        "augmentation": "reflect_crop_flip", "kd_weight": 1.0, "temperature": 1.0,
    },
    Preset.MCMI: {
        "optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 64,
        "schedule": "steps", "epochs": 240, "lr_decay_epochs": "150+180+210", "lr_decay_rate": 0.1,
        "augmentation": "zero_crop_flip", "kd_weight": 0.9, "temperature": 4.0,
    },
}  # fmt: skip

# Chosen on seeds that no report uses (study `digits-choosing`): rates and lengths by the validation NLL of the
# deterministic teacher and of the one-hot student. SGD with this decay, because under Adam students of the exact BCPs
# hardly pass those of a good teacher, so that no better teacher could show.
DIGITS: dict[str, Any] = {
    "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-3, "batch_size": 128,
    "schedule": "cosine", "lr_decay_epochs": "", "lr_decay_rate": 0.1,
    "augmentation": "none", "kd_weight": 0.9, "temperature": 4.0,
}  # fmt: skip

ARCHITECTURES: dict[str, dict[str, str]] = {
    "digits": {"teacher": "cnn32", "student": "cnn8"},
    "cifar10": {"teacher": "resnet56", "student": "resnet20"},
    "cifar10h": {"teacher": "resnet20", "student": "resnet8"},
    "cifar100": {"teacher": "wrn_40_2", "student": "wrn_40_1"},
    "folder": {"teacher": "resnet50", "student": "resnet18"},
}
EPOCHS_OF_DIGITS = {"teacher": 8, "student": 15}
FINE_TUNING: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 10, "learning_rate": 5e-3, "cmi_weight": 0.15},
    "bayesian_kd": {"epochs": 20, "learning_rate": 2e-4, "lr_decay_epochs": "", "cmi_weight": 0.2},
    "mcmi": {"epochs": 20, "learning_rate": 0.05, "schedule": "cosine", "cmi_weight": 0.15},
}
"""How an MCMI teacher, or its control without CMI, is fine-tuned from its parent; each paper has its own way."""

KINDS: dict[TeacherKind, dict[str, Any]] = {
    TeacherKind.LABEL_SMOOTHING: {"smoothing": 0.1},
    TeacherKind.VARIATIONAL: {
        "family": Family.INDUCING, "kl_weight": 1.0, "prior_scale": 1.0, "initial_sd": 0.01, "max_sd": 0.1,
        "lambda_initial": 1e-3, "lambda_max": 0.03, "norm_statistics": NormStatistics.DRAW,
    },
}  # fmt: skip
"""The settings of single kinds: the published inducing weights, and the usual smoothing. As published, batch norms keep
their running statistics, which fit no single draw: those of each draw are ours."""

# By the mean validation NLL over seeds 900 to 902. A network this small, trained on 2,000 images, has many weights an
# image: the full KL holds it far from what it could learn, and a posterior that starts narrow ends worse.
KINDS_ON_DIGITS: dict[TeacherKind, dict[str, Any]] = {
    TeacherKind.LABEL_SMOOTHING: {"smoothing": 0.01},
    TeacherKind.MSE: {"learning_rate": 0.4},
    TeacherKind.VARIATIONAL: {
        "family": Family.MEAN_FIELD,
        "kl_weight": 0.03,
        "ml_epochs": 0,
        "annealing_epochs": 0,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "epochs": 60,
    },
}
FAMILIES_ON_DIGITS: dict[Family, dict[str, Any]] = {
    Family.MEAN_FIELD: {"prior_scale": 2.0, "initial_sd": 0.15},
    Family.INDUCING: {"epochs": 90, "initial_sd": 0.3, "max_sd": 1.0, "lambda_initial": 0.1, "lambda_max": 0.6},
}

FRAMEWORK_WEIGHTS: dict[str, float] = {
    "fitnet": 100.0, "at": 1000.0, "pkt": 30_000.0, "sp": 3000.0, "cc": 0.02, "rkd": 1.0, "vid": 1.0, "crd": 0.8,
    "dkd": 8.0, "reviewkd": 0.6, "hsakd": 1.0,
}  # fmt: skip
"""β of each framework's loss: those of the benchmark of Tian et al. (ICLR 2020); DKD's of Zhao et al. (CVPR 2022), who
take 2 to 8 by pair; ReviewKD's of Chen et al. (CVPR 2021) for resnet56 and resnet20, 1 to 5 for others; HSAKD's of
Yang et al. (IJCAI 2021)."""

FRAMEWORK_WEIGHTS_ON_DIGITS: dict[str, float] = {
    "fitnet": 1.0, "at": 10.0, "pkt": 3000.0, "sp": 1.0, "cc": 0.02, "rkd": 0.2, "vid": 5.0, "crd": 0.02, "dkd": 1.0,
    "reviewkd": 5.0, "hsakd": 5.0,
}  # fmt: skip
"""By the mean validation accuracy of the deterministic teacher's students, seeds 900 to 902: the published weights are
for maps of 8 to 32 pixels a side, these have 2 to 8."""

SMALL_RATE = 0.01
"""Both papers train MobileNet and ShuffleNet students at this rate."""


def _scaled(marks: str, before: int, epochs: int) -> str:
    """Return the marks of a set such as `150+180+210` of `before` epochs, where `epochs` are trained: all inside."""
    inside = (max(1, min(epochs - 1, round(int(mark) * epochs / before))) for mark in marks.split("+") if mark)
    return "+".join(str(mark) for mark in inside) if epochs > 1 else ""


def defaults(config: Config) -> dict[str, Any]:
    """Return the values of the parameters of `config` that were not given."""
    family = config.dataset.partition(":")[0]
    role = str(config.run_type)
    if role in ("measure", "eigencam"):
        return {"batch_size": 500}
    if role not in ARCHITECTURES.get(family, {}):
        return {}
    preset = getattr(config, "preset", None)
    values: dict[str, Any] = {"architecture": ARCHITECTURES[family][role]}
    weights = FRAMEWORK_WEIGHTS_ON_DIGITS if family == "digits" and preset is None else FRAMEWORK_WEIGHTS
    values["framework_weight"] = weights.get(getattr(config, "framework", ""))
    if family == "digits":
        # a view of a digit has no known Bayes class probabilities: no preset gives it an augmentation
        values |= {
            **DIGITS,
            "epochs": EPOCHS_OF_DIGITS[role],
            **(PRESETS[preset] if preset else {}),
            "augmentation": "none",
        }
    else:
        values |= PRESETS[preset or Preset.BAYESIAN_KD]
    if (getattr(config, "architecture", None) or values["architecture"]).startswith(("mobilenet", "shufflenet")):
        values["learning_rate"] = SMALL_RATE
    length = values["epochs"]  # that of the marks, also where the network is fine-tuned
    # both temperatures are one, as in distillation's first paper (Hinton et al. 2015), unless both are given
    values["student_temperature"] = getattr(config, "temperature", None) or values["temperature"]
    if getattr(config, "kind", None) in TUNED:
        values |= FINE_TUNING[str(preset or ("digits" if family == "digits" else Preset.BAYESIAN_KD))]
    if getattr(config, "parent", None) is not None or getattr(config, "members", None) is not None:
        values["architecture"] = None  # the parent's
    # as published: 100 epochs of 200 without the KL, 50 in which it rises; marks of the rate move with the length too
    epochs = getattr(config, "epochs", None) or values["epochs"]
    values["lr_decay_epochs"] = _scaled(values["lr_decay_epochs"], length, epochs)
    values |= {"ml_epochs": epochs // 2, "annealing_epochs": epochs // 4}
    kind: Any = getattr(config, "kind", None)
    values |= KINDS.get(kind, {})
    if family == "digits" and preset is None:
        values |= KINDS_ON_DIGITS.get(kind, {})
        if kind is TeacherKind.VARIATIONAL:
            values |= FAMILIES_ON_DIGITS[getattr(config, "family", None) or values["family"]]
    return {name: value for name, value in values.items() if name in type(config).model_fields}
