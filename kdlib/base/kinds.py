"""What tells the kinds of teacher apart before any work: their parameters, parents and samples."""

from __future__ import annotations

from kdlib.base.options import Family, TeacherKind

PARAMETERS: dict[TeacherKind, tuple[str, ...]] = {
    TeacherKind.LABEL_SMOOTHING: ("smoothing",),
    TeacherKind.MSE: ("mse_on",),
    TeacherKind.VARIATIONAL: (
        "family", "kl_weight", "ml_epochs", "annealing_epochs", "prior_scale", "initial_sd", "norm_statistics",
    ),
    TeacherKind.LAPLACE: ("subset_of_weights", "hessian", "prior_precision", "predictive", "link", "fit_augmented"),
    TeacherKind.MCMI: ("cmi_weight", "centroids"),
    TeacherKind.ENSEMBLE: ("ensemble_size",),
    TeacherKind.AUGMENTATION_AVERAGED: ("views",),
}  # fmt: skip
"""Parameters that mean something for one kind only."""

INDUCING = (
    "max_sd", "inducing_rows", "inducing_columns", "whitened", "lambda_initial", "lambda_max",
)  # fmt: skip
"""Parameters of the variational family `inducing`."""

SPECIFIC = {*INDUCING, "link_samples", "parent", "members", *(name for names in PARAMETERS.values() for name in names)}

DERIVED = (
    TeacherKind.LAPLACE,
    TeacherKind.TEMPERATURE_SCALED,
    TeacherKind.ENSEMBLE,
    TeacherKind.EARLY_STOPPED,
    TeacherKind.AUGMENTATION_AVERAGED,
)
"""Kinds that train no network of their own: their training parameters describe their parents."""

TUNED = (TeacherKind.FINE_TUNED, TeacherKind.MCMI)
"""Kinds that train their parent's network on."""

WITH_PARENT = (*(kind for kind in DERIVED if kind is not TeacherKind.ENSEMBLE), *TUNED)

NETWORKS = (
    TeacherKind.DETERMINISTIC,
    TeacherKind.LABEL_SMOOTHING,
    TeacherKind.MSE,
    TeacherKind.FINE_TUNED,
    TeacherKind.MCMI,
    TeacherKind.EARLY_STOPPED,
)
"""Kinds whose logits are those of one deterministic network."""

PARENTS: dict[TeacherKind, tuple[TeacherKind, ...]] = {
    TeacherKind.LAPLACE: NETWORKS,
    TeacherKind.FINE_TUNED: NETWORKS,
    TeacherKind.MCMI: NETWORKS,
    TeacherKind.TEMPERATURE_SCALED: (*NETWORKS, TeacherKind.ENSEMBLE, TeacherKind.LAPLACE),
    TeacherKind.ENSEMBLE: NETWORKS,
    TeacherKind.EARLY_STOPPED: (TeacherKind.DETERMINISTIC,),
    TeacherKind.AUGMENTATION_AVERAGED: NETWORKS,
}
"""Kinds that a kind may start from."""

STOCHASTIC = (TeacherKind.VARIATIONAL,)
"""Kinds for which a number of samples means anything."""


def idle(kind: TeacherKind, family: Family | None, link_draws: bool) -> set[str]:
    """Return the parameters that mean nothing for a kind of teacher."""
    used = set(PARAMETERS.get(kind, ()))
    if kind in WITH_PARENT:
        used.add("parent")
    if kind is TeacherKind.ENSEMBLE:
        used.add("members")
    if kind is TeacherKind.VARIATIONAL and family is Family.INDUCING:
        used |= set(INDUCING)
    if kind is TeacherKind.LAPLACE and link_draws:
        used.add("link_samples")
    return SPECIFIC - used
