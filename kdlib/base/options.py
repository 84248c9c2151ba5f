"""Every option a user can choose from, each an enum whose members say what they mean."""

from __future__ import annotations

from enum import StrEnum


class Preset(StrEnum):
    """A paper's settings."""

    BAYESIAN_KD = "bayesian_kd"
    """Adam, rate 1e-3, times 0.1 at epoch 100 of 200, batch 100; kd_weight 1, T = S = 1."""
    MCMI = "mcmi"
    """SGD 0.05, momentum 0.9, decay 5e-4, times 0.1 at 150, 180, 210 of 240, batch 64; kd_weight 0.9, T = S = 4."""


class RunType(StrEnum):
    """What a run makes."""

    TEACHER = "teacher"
    """One teacher, of any kind."""
    STUDENT = "student"
    """One student of one teacher."""
    MEASURE = "measure"
    """Metrics and predictions of a teacher that exists, with another number of samples."""
    EIGENCAM = "eigencam"
    """Eigen-CAM maps of a teacher that exists."""
    SYNTHETIC = "synthetic"
    """Networks of many seeds and supervisions, trained together on a Gaussian mixture."""


class TeacherKind(StrEnum):
    """How a teacher estimates the Bayes class probabilities."""

    DETERMINISTIC = "deterministic"
    """Maximum likelihood: the softmax of a network trained by cross-entropy."""
    LABEL_SMOOTHING = "label_smoothing"
    """Cross-entropy with `smoothing` of each label spread over all classes."""
    MSE = "mse"
    """Mean squared error against one-hot labels, of the probabilities or of the logits (`mse_on`)."""
    VARIATIONAL = "variational"
    """A posterior over the weights by variational inference; probabilities are averaged over weight samples."""
    LAPLACE = "laplace"
    """A Gaussian posterior around a trained network's weights."""
    MCMI = "mcmi"
    """A trained network, fine-tuned to keep more conditional mutual information of image and prediction."""
    FINE_TUNED = "fine_tuned"
    """Control: a trained network, trained on as an MCMI teacher is, without the conditional mutual information."""
    TEMPERATURE_SCALED = "temperature_scaled"
    """Control: a trained network at the temperature that is best on validation images."""
    ENSEMBLE = "ensemble"
    """Control: the average of deterministic networks from different seeds."""
    EARLY_STOPPED = "early_stopped"
    """Control: the deterministic network at the epoch of its lowest validation NLL."""
    AUGMENTATION_AVERAGED = "augmentation_averaged"
    """Control: a trained network's average over views of the image."""


class Supervision(StrEnum):
    """What a student of the synthetic problem is told of a point; the mean of it is the BCP in each case."""

    ONE_HOT = "one_hot"
    """Its label."""
    EXACT_BCP = "exact_bcp"
    """Its Bayes class probabilities p."""
    NOISY_BCP = "noisy_bcp"
    """A draw of Dirichlet(c p), once a point, for each c of `concentrations`."""
    MIXTURE = "mixture"
    """w p + (1 - w) label, for each w of `kd_weights`."""


class Augmentation(StrEnum):
    """How a training image is changed each time it is seen."""

    NONE = "none"
    """Not at all."""
    REFLECT_CROP_FLIP = "reflect_crop_flip"
    """Reflect 4 pixels at each border, crop at random, flip left to right half the time (Bayesian-KD)."""
    ZERO_CROP_FLIP = "zero_crop_flip"
    """The same with zeros at the border (MCMI)."""


class Match(StrEnum):
    """What stays equal when the training set is a subset."""

    STEPS = "steps"
    """As many steps as with all the data: passes repeat (MCMI's protocol)."""
    EPOCHS = "epochs"
    """As many passes as with all the data, so fewer steps (Bayesian-KD's protocol)."""


class Optimizer(StrEnum):
    """Which optimiser."""

    ADAM = "adam"
    """Adam with betas 0.9 and 0.999; weight decay, if any, is added to the gradient."""
    SGD = "sgd"
    """Stochastic gradient descent with momentum; weight decay is added to the gradient."""


class Schedule(StrEnum):
    """How the learning rate falls."""

    STEPS = "steps"
    """Times `lr_decay_rate` at each epoch of `lr_decay_epochs`."""
    COSINE = "cosine"
    """Half a cosine from the learning rate to zero, changed every step."""
    CONSTANT = "constant"
    """Not at all."""


class Precision(StrEnum):
    """In what numbers a network computes; weights are float32 always."""

    FLOAT32 = "float32"
    """Single precision throughout."""
    BFLOAT16 = "bfloat16"
    """Autocast: convolutions and products in bfloat16, the rest in single precision."""


class Framework(StrEnum):
    """What a student learns from its teacher besides the labels."""

    KD = "kd"
    """The teacher's class probabilities (Hinton et al., 2015)."""
    FITNET = "fitnet"
    """The values of the middle stage, through a regressor (Romero et al., 2015)."""
    AT = "at"
    """Where each stage attends to (Zagoruyko and Komodakis, 2017)."""
    PKT = "pkt"
    """Similarities of the images of a batch, as probabilities (Passalis and Tefas, 2018)."""
    SP = "sp"
    """Similarities of the images of a batch, as scaled products (Tung and Mori, 2019)."""
    CC = "cc"
    """Correlations of the images of a batch, by a Gaussian kernel (Peng et al., 2019)."""
    RKD = "rkd"
    """Distances and angles between the images of a batch (Park et al., 2019)."""
    VID = "vid"
    """Mutual information of the stages, by its variational bound (Ahn et al., 2019)."""
    CRD = "crd"
    """Embeddings that tell an image from those of other classes (Tian et al., 2020)."""
    DKD = "dkd"
    """The teacher's class probabilities, those of the other classes weighted apart (Zhao et al., 2022)."""
    REVIEWKD = "reviewkd"
    """Each stage from all deeper ones (Chen et al., 2021)."""
    HSAKD = "hsakd"
    """Class and quarter turn together, at every stage (Yang et al., 2021)."""


class MSEOn(StrEnum):
    """What the mean squared error compares with one-hot labels."""

    PROBS = "probs"
    """Softmax outputs, as the cited paper has it (Hamidi et al., ECCV 2024)."""
    LOGITS = "logits"
    """Raw logits, as Bayesian-KD's public code has it."""


class Family(StrEnum):
    """The family of the approximate posterior over weights."""

    MEAN_FIELD = "mean_field"
    """An independent Gaussian for every weight."""
    INDUCING = "inducing"
    """Weights conditioned on a few inducing weights a layer, which alone have a posterior (FFG-U)."""


class NormStatistics(StrEnum):
    """Where the batch norms of a network with drawn weights take their means and variances from."""

    RUNNING = "running"
    """The running averages of training, over the draws of many steps."""
    DRAW = "draw"
    """The weights at hand: one pass over calibration images, for each draw and for the centre."""


class SubsetOfWeights(StrEnum):
    """Which weights are uncertain."""

    LAST_LAYER = "last_layer"
    """Those of the linear head; the features are as the parent computes them."""
    ALL = "all"
    """Those of the whole network (with `kron`, all but the batch norms')."""


class HessianStructure(StrEnum):
    """Which part of the Hessian (its generalised Gauss-Newton approximation) is kept."""

    DIAG = "diag"
    """Its diagonal."""
    KRON = "kron"
    """A Kronecker product for each layer (KFAC): one factor of its inputs, one of its outputs."""
    FULL = "full"
    """All of it, for at most 10,000 weights."""


class PriorPrecision(StrEnum):
    """How the precision of the Gaussian prior, one number for all the weights, is chosen."""

    MARGLIK = "marglik"
    """At the maximum of the marginal likelihood of the training data; no validation data enter."""
    GRIDSEARCH = "gridsearch"
    """At the lowest negative log-likelihood of the validation data on a logarithmic grid."""


class Predictive(StrEnum):
    """How the uncertainty of the weights becomes one of the logits."""

    GLM = "glm"
    """The network made linear in its weights: the logits are Gaussian."""
    NN = "nn"
    """The network itself with sampled weights; needs the link `mc`."""


class Link(StrEnum):
    """How class probabilities are averaged over uncertain logits."""

    PROBIT = "probit"
    """Scale each logit by 1 / sqrt(1 + π/8 · its variance), then softmax."""
    MC = "mc"
    """Average the softmax of `samples` draws."""
    BRIDGE = "bridge"
    """The Laplace bridge: the mean of the Dirichlet that matches the logits' Gaussian."""


class Centroids(StrEnum):
    """Where the centroids Q_y that the loss compares with come from."""

    EPOCH = "epoch"
    """The exact class means of the current network on the clean training images, anew each epoch."""
    FIXED = "fixed"
    """Those of the network that fine-tuning starts from, computed once, as published."""
    RUNNING = "running"
    """Those of the start, moved by 1 − 0.9999 towards the batch's class means at every step."""
