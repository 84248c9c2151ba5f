"""What a parameter is when nobody gives it: the two papers' settings, and each dataset's own.

A preset wins over a dataset; a given value wins over both. Sources: the settings of Bayesian-KD ("SGD-Based
Knowledge Distillation with Bayesian Teachers") and of MCMI (Ye et al., ICLR 2024), as their public code has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib.options import Preset

if TYPE_CHECKING:
    from kdlib.schema import Config


PRESETS: dict[Preset, dict[str, Any]] = {
    Preset.BAYESIAN_KD: {
        "optimizer": "adam", "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 0.0, "batch_size": 100,
        "schedule": "steps", "epochs": 200, "lr_decay_epochs": "100", "lr_decay_rate": 0.1,
        "augmentation": "reflect_crop_flip", "kd_weight": 1.0, "temperature": 1.0, "student_temperature": 1.0,
    },
    Preset.MCMI: {
        "optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 64,
        "schedule": "steps", "epochs": 240, "lr_decay_epochs": "150+180+210", "lr_decay_rate": 0.1,
        "augmentation": "zero_crop_flip", "kd_weight": 0.9, "temperature": 4.0, "student_temperature": 4.0,
    },
}  # fmt: skip

DIGITS: dict[str, Any] = {
    "optimizer": "adam", "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 0.0, "batch_size": 128,
    "schedule": "cosine", "lr_decay_epochs": "", "lr_decay_rate": 0.1,
    "augmentation": "none", "kd_weight": 1.0, "temperature": 1.0, "student_temperature": 1.0,
}  # fmt: skip

ARCHITECTURES: dict[str, dict[str, str]] = {
    "digits": {"teacher": "cnn16", "student": "cnn16"},
    "cifar10": {"teacher": "resnet56", "student": "resnet20"},
    "cifar10h": {"teacher": "resnet20", "student": "resnet8"},
    "cifar100": {"teacher": "wrn_40_2", "student": "wrn_40_1"},
    "folder": {"teacher": "resnet50", "student": "resnet18"},
}
EPOCHS_OF_DIGITS = {"teacher": 90, "student": 40}
SMALL_RATE = 0.01
"""Both papers train MobileNet and ShuffleNet students at this rate."""


def defaults(config: Config) -> dict[str, Any]:
    """Return the values of the parameters of `config` that were not given."""
    family = config.dataset.partition(":")[0]
    role = str(config.run_type)
    values: dict[str, Any] = {"batch_size": 500} if role == "measure" else {}
    if role in ARCHITECTURES.get(family, {}):
        values["architecture"] = ARCHITECTURES[family][role]
        preset = getattr(config, "preset", None)
        digits = {**DIGITS, "epochs": EPOCHS_OF_DIGITS[role]} if family == "digits" else {}
        values |= digits if family == "digits" else PRESETS[Preset.BAYESIAN_KD]
        if preset is not None:
            # a view of a digit has no known Bayes class probabilities: its augmentation stays none
            values |= {k: v for k, v in PRESETS[preset].items() if not (digits and k == "augmentation")}
        architecture = getattr(config, "architecture", None) or values["architecture"]
        if architecture.startswith(("mobilenet", "shufflenet")):
            values["learning_rate"] = SMALL_RATE
    return {name: value for name, value in values.items() if name in type(config).model_fields}
