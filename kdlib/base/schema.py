"""Every parameter of every run: its type, range, default and meaning. `None` means: from the preset or the dataset."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from kdlib.base.options import (
    Augmentation,
    Centroids,
    Family,
    Framework,
    HessianStructure,
    Link,
    Match,
    MSEOn,
    NormStatistics,
    Optimizer,
    Precision,
    Predictive,
    Preset,
    PriorPrecision,
    RunType,
    Schedule,
    SubsetOfWeights,
    TeacherKind,
)


def parameter(
    default: Any, meaning: str, hashed: bool = True, kind: str = "value", constant: Any = None, **limits: Any
) -> Any:
    """Declare a parameter: `kind` is `value`, `set` (joined by `+`) or `path` (never split at commas).

    The constant, which names leave out, is the default, unless one is given: the value that was meant before there was
    such a parameter, where the defaults of a preset or a dataset are others.
    """
    extra = {"hashed": hashed, "kind": kind, "constant": default if constant is None else constant}
    return Field(default, description=meaning, json_schema_extra=extra, **limits)


Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Config(BaseModel):
    """What all runs share. `None` means: from the preset, else from the dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)
    run_type: ClassVar[RunType]

    dataset: str = parameter("digits", "digits, digits:<size>, cifar10, cifar100, cifar10h or folder:<path>")
    data_root: str | None = parameter(None, "folder of raw datasets, only read", hashed=False, kind="path")
    image_size: int | None = parameter(None, "pixels a side, for folder:<path>; of CIFAR 32, 16 or 8", ge=8, le=1024)
    seed: Seed = parameter(0, "seed of initial weights and batch order")
    eval_samples: int | None = parameter(
        None, "samples for the metrics; None: the kind's own", hashed=False, ge=1, le=1000
    )
    device: str | None = parameter(None, "cpu, cuda or cuda:<n>; None: cuda where there is one", hashed=False)
    precision: Precision | None = parameter(
        None, "float32 or bfloat16; None: what the hardware is fast at", hashed=False
    )
    threads: int | None = parameter(None, "CPU threads; None: as many as torch takes", hashed=False, ge=1, le=1024)
    retrain: bool = parameter(False, "set a finished run aside and make it again", hashed=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `true` where a number or a text is meant: it would count as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise PydanticCustomError("truth", "true and false are no values of it")
        return value


class TrainingConfig(Config):
    """What teachers and students share: how a network is trained."""

    architecture: str | None = parameter(None, "a name from kdlib.models.NAMES")
    augmentation: Augmentation | None = parameter(None, "none, reflect_crop_flip or zero_crop_flip")
    augmentation_seed: Seed | None = parameter(None, "seed of the views; None: the run's seed")
    preset: Preset | None = parameter(None, "a paper's settings: bayesian_kd or mcmi", hashed=False)
    epochs: int | None = parameter(None, "passes over the training set", ge=1, le=100_000)
    match: Match = parameter(Match.STEPS, "what a subset keeps: steps or epochs")
    batch_size: int | None = parameter(None, "images a step", ge=2, le=65_536)
    optimizer: Optimizer | None = parameter(None, "adam or sgd")
    learning_rate: float | None = parameter(None, "initial learning rate", gt=0, le=100)
    momentum: float | None = parameter(None, "momentum of sgd", ge=0, lt=1)
    weight_decay: float | None = parameter(None, "L2 penalty's factor in the gradient", ge=0, le=1)
    schedule: Schedule | None = parameter(None, "steps, cosine or constant")
    lr_decay_epochs: str | None = parameter(None, "epochs at which the rate falls, as in 150+180+210", kind="set")
    lr_decay_rate: float | None = parameter(None, "factor of the learning rate there", gt=0, le=1)
    warmup_epochs: float = parameter(0.0, "first epochs, in which the rate rises from 0", ge=0, le=100_000)
    fraction: float = parameter(1.0, "share of each class's training images", gt=0, le=1)
    omit_classes: str = parameter("", "classes whose training images are dropped, as in 3+5", kind="set")
    compile: bool = parameter(False, "torch.compile, on a GPU CUDA graphs: worth it for long runs", hashed=False)


class TeacherConfig(TrainingConfig):
    """One teacher."""

    run_type = RunType.TEACHER
    kind: TeacherKind = parameter(TeacherKind.DETERMINISTIC, "kind of teacher")
    parent: str | None = parameter(None, "the finished run that this teacher starts from")
    members: str | None = parameter(None, "the finished runs that it averages, joined by +", kind="set")
    ensemble_size: int = parameter(4, "ensemble: members, this seed's and new ones", ge=2, le=100)
    views: int = parameter(8, "augmentation_averaged: views of each image", ge=2, le=1000)
    smoothing: float | None = parameter(
        None, "label_smoothing: share of each label spread over all classes", gt=0, lt=1
    )
    mse_on: MSEOn = parameter(MSEOn.PROBS, "mse: probs or logits")
    cmi_weight: float | None = parameter(None, "mcmi: the weight of the conditional mutual information", ge=0, le=1)
    centroids: Centroids = parameter(Centroids.EPOCH, "mcmi: epoch, fixed or running class means")
    family: Family | None = parameter(None, "variational: mean_field or inducing")
    kl_weight: float | None = parameter(None, "variational: the KL's weight once it is annealed", gt=0, le=1)
    ml_epochs: int | None = parameter(None, "variational: epochs without the KL", ge=0, le=100_000)
    annealing_epochs: int | None = parameter(None, "variational: epochs in which it rises", ge=0, le=100_000)
    prior_scale: float | None = parameter(None, "variational: the prior's sd, times 1/sqrt(inputs)", gt=0, le=1000)
    initial_sd: float | None = parameter(None, "variational: first sd, in units of the prior's", gt=0, le=10)
    norm_statistics: NormStatistics | None = parameter(
        None, "variational: statistics of batch norms, running or draw", constant=NormStatistics.RUNNING
    )
    max_sd: float | None = parameter(None, "inducing: cap of the sd of U", gt=0, le=10)
    inducing_rows: int = parameter(128, "inducing: rows of U", ge=1, le=10_000)
    inducing_columns: int = parameter(128, "inducing: columns of U", ge=1, le=10_000)
    whitened: bool = parameter(True, "inducing: the posterior is over whitened U")
    lambda_initial: float | None = parameter(None, "inducing: first sd of W given U", gt=0, le=1)
    lambda_max: float | None = parameter(None, "inducing: cap of that sd", gt=0, le=1)
    subset_of_weights: SubsetOfWeights = parameter(SubsetOfWeights.LAST_LAYER, "laplace: last_layer or all")
    hessian: HessianStructure = parameter(HessianStructure.KRON, "laplace: diag, kron or full")
    prior_precision: PriorPrecision = parameter(PriorPrecision.MARGLIK, "laplace: marglik or gridsearch")
    predictive: Predictive = parameter(Predictive.GLM, "laplace: glm or nn")
    link: Link = parameter(Link.PROBIT, "laplace: probit, mc or bridge")
    link_samples: int = parameter(100, "laplace: draws of the link mc", ge=1, le=10_000)
    fit_augmented: bool = parameter(False, "laplace: fitted on augmented images, as published")


class StudentConfig(TrainingConfig):
    """One student."""

    run_type = RunType.STUDENT
    teacher: str = parameter(
        "deterministic",
        "one_hot, exact_bcp, a kind, <study>/<label>, a run's name or weights:<file>",
    )
    teacher_seed: Seed | None = parameter(None, "seed of the teacher; None: the student's")
    teacher_architecture: str | None = parameter(None, "architecture of weights:<file>")
    kd_weight: float | None = parameter(None, "weight of the teacher's term, 1 - that of the labels", ge=0, le=1)
    temperature: float | None = parameter(None, "T: the teacher's temperature", ge=0.01, le=1000)
    student_temperature: float | None = parameter(None, "S: the student's temperature", ge=0.01, le=1000)
    samples: int = parameter(1, "samples of a stochastic teacher a step", ge=1, le=1000)
    framework: Framework = parameter(Framework.KD, "kd, fitnet, at, pkt, sp, cc, rkd, vid, crd, dkd, reviewkd or hsakd")
    framework_weight: float | None = parameter(
        None, "weight of the framework's own loss; None: the published one", ge=0, le=1_000_000
    )


class MeasureConfig(Config):
    """A teacher that exists, measured again."""

    run_type = RunType.MEASURE
    parent: str | None = parameter(None, "the teacher: a run's name, its prefix or weights:<file>")
    architecture: str | None = parameter(None, "architecture of weights:<file>")
    batch_size: int | None = parameter(None, "images a forward pass", hashed=False, ge=1, le=65_536)
    eval_samples: int | None = parameter(None, "samples for the metrics; None: the kind's own", ge=1, le=1000)


class EigencamConfig(MeasureConfig):
    """Eigen-CAM maps of a teacher that exists."""

    run_type = RunType.EIGENCAM
    parent: str | None = parameter("deterministic", "the teacher: a kind, <study>/<label>, a run or weights:<file>")
    images: int = parameter(1000, "test images, as many of each class", ge=1, le=1_000_000)
    stage: int = parameter(1, "stage whose activations are mapped, counted from the last", ge=1, le=100)


class SyntheticConfig(Config):
    """Networks of many seeds and supervisions on a Gaussian mixture, trained together."""

    run_type = RunType.SYNTHETIC
    # what runs on images have, and this one has not
    dataset: ClassVar[str] = "gaussian_mixture"  # type: ignore[misc]
    data_root: ClassVar[None] = None  # type: ignore[misc]
    image_size: ClassVar[None] = None  # type: ignore[misc]
    seed: ClassVar[int] = 0  # type: ignore[misc]
    eval_samples: ClassVar[None] = None  # type: ignore[misc]
    precision: ClassVar[Precision] = Precision.FLOAT32  # type: ignore[misc]

    seeds: str = parameter("0+1+2+3+4+5+6+7+8+9", "seeds, each with a problem and weights of its own", kind="set")
    supervisions: str = parameter(
        "one_hot+exact_bcp+noisy_bcp", "one_hot, exact_bcp, noisy_bcp and mixture, joined by +", kind="set"
    )
    concentrations: str = parameter("0.5+5", "noisy_bcp: c of Dirichlet(c p); less is noisier", kind="set")
    kd_weights: str = parameter("0.5", "mixture: weights of the BCP, those of the labels 1 - that", kind="set")
    classes: int = parameter(5, "classes of the mixture, equally probable", ge=2, le=1000)
    dimensions: int = parameter(30, "coordinates of a point", ge=1, le=10_000)
    mean_values: str = parameter("4+5+6", "what a coordinate of a class mean is drawn from", kind="set")
    noise_variance: float = parameter(2.5, "variance of a point around its class mean", gt=0, le=1000)
    points: int = parameter(50_000, "points: 45 % training, 45 % validation, 10 % test", ge=100, le=10_000_000)
    layers: int = parameter(2, "hidden layers; 0: softmax regression, whose optimum is known", ge=0, le=10)
    width: int = parameter(128, "units of a hidden layer", ge=1, le=10_000)
    learning_rate: float = parameter(5e-4, "learning rate of SGD with a batch of one", gt=0, le=100)
    momentum: float = parameter(0.9, "momentum of SGD", ge=0, lt=1)
    steps: int = parameter(45_000, "steps of each network", ge=1, le=100_000_000)
    validate_every: int = parameter(1000, "steps between validations", ge=1, le=100_000_000)
    validation_points: int = parameter(2000, "points of a validation", ge=10, le=1_000_000)
    gradient_points: int = parameter(1000, "training points whose gradients' variance is measured", ge=10, le=1_000_000)
