"""Training hyper-parameters by name, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

from tbn.errors import TBNError

PAPER_MIN_LAYER_SIZE = 64_000
# lambda where the paper's 64,000 would leave every layer binary
MIN_LAYER_SIZE = {"digits": 1_000}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        optimizer: "adamw", "adam", "sgd" or "adadelta".
        schedule: "cosine" (to 0 after the warm-up) or "step" (times ``step_factor`` after every ``step_epochs`` epochs).
        lr: peak learning rate.
        weight_decay: of the optimiser. On latent weights it is inertia, not regularisation: it lets signs flip.
        epochs, batch_size: defaults of a run.
        source: where the values come from.
        warmup: share of all steps in which the learning rate rises linearly.
        momentum: of "sgd".
        step_epochs, step_factor: of the schedule "step".
        label_smoothing: of the cross-entropy (Szegedy et al., https://arxiv.org/abs/1512.00567).
        augmentation: name in ``tbn.augment`` or "none".
        alpha_init: how the alpha source A starts (``TilingConfig``).
        min_layer_size: lambda.
    """

    optimizer: str
    schedule: str
    lr: float
    weight_decay: float
    epochs: int
    batch_size: int
    source: str
    warmup: float = 0.0
    momentum: float = 0.9
    step_epochs: int = 4
    step_factor: float = 0.75
    label_smoothing: float = 0.0
    augmentation: str = "none"
    alpha_init: str = "default"
    min_layer_size: int = PAPER_MIN_LAYER_SIZE


_PAPER = "the paper authors' recipe of"
RECIPES = {
    "adamw": Recipe("adamw", "cosine", 2e-3, 1e-2, 20, 64, "this project: settles well on small CPU budgets", warmup=0.1),
    "paper_mcu": Recipe("adadelta", "step", 1.0, 0.0, 100, 64, f"{_PAPER} the MNIST microcontroller MLP"),
    "paper_cifar_cnn": Recipe(
        "sgd", "cosine", 0.1, 1e-4, 300, 128, f"{_PAPER} CIFAR-10 ResNet18, ResNet50 and VGG-small (600 to 1,200 epochs for the best rows)",
        augmentation="crop_flip", alpha_init="kaiming_normal",
    ),
    "paper_imagenet_resnet_p2": Recipe(
        "sgd", "cosine", 0.256, 2**-15, 400, 256, f"{_PAPER} ImageNet ResNet18 and ResNet34 at p = 2", warmup=5 / 400, momentum=0.875,
        label_smoothing=0.1, augmentation="resized_crop", alpha_init="kaiming_normal", min_layer_size=150_000,
    ),
    "paper_imagenet_resnet_p4": Recipe(
        "sgd", "cosine", 0.256, 2**-15, 150, 256, f"{_PAPER} ImageNet ResNet18 and ResNet34 at p = 4", warmup=20 / 150, momentum=0.875,
        label_smoothing=0.1, augmentation="resized_crop", alpha_init="kaiming_normal", min_layer_size=150_000,
    ),
    "paper_imagenet_swin": Recipe(
        "adamw", "cosine", 1e-3, 0.05, 300, 256, f"{_PAPER} ImageNet Swin-T at p = 2", warmup=20 / 300, label_smoothing=0.1,
        augmentation="resized_crop", min_layer_size=150_000,
    ),
    "paper_cifar_transformer": Recipe(
        "adam", "cosine", 1e-4, 0.0, 1000, 128, f"{_PAPER} CIFAR-10 ViT and Swin-T (750 to 1,000 epochs)", augmentation="crop_flip"
    ),
    "paper_cifar_mlp_mixer": Recipe(
        "adam", "cosine", 1e-3, 0.0, 1000, 128, f"{_PAPER} CIFAR-10 MLPMixer (750 to 1,000 epochs)", augmentation="crop_flip"
    ),
    "paper_cifar_convmixer": Recipe(
        "adam", "cosine", 1e-4, 0.0, 1000, 64, f"{_PAPER} CIFAR-10 ConvMixer (750 to 1,000 epochs)", augmentation="crop_flip"
    ),
    "paper_pointnet_cls": Recipe(
        "adam", "step", 1e-3, 1e-4, 400, 24, f"{_PAPER} ModelNet40 PointNet; its step decay is not published: halved every 20 epochs as "
        "PointNet's own (https://arxiv.org/abs/1612.00593)", step_epochs=20, step_factor=0.5, augmentation="scale_shift",
    ),
    "paper_pointnet_seg": Recipe(
        "adam", "step", 1e-3, 1e-4, 400, 16, f"{_PAPER} ShapeNet and S3DIS PointNet (steps as paper_pointnet_cls)", step_epochs=20,
        step_factor=0.5, augmentation="scale_shift",
    ),
    "forecast": Recipe(
        "adam", "cosine", 1e-3, 0.0, 50, 64, "the paper publishes none; learning rate, batch and epochs of its first author's earlier work"
    ),
}  # fmt: skip


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        TBNError: there is none.
    """
    if name not in RECIPES:
        raise TBNError(f"unknown recipe {name!r}", f"choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


def min_layer_size(task: str, recipe_name: str = "adamw") -> int:
    """Lambda of a run that names none: the task's own where it is small, else the recipe's."""
    return MIN_LAYER_SIZE.get(task, recipe(recipe_name).min_layer_size)
