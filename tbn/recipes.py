"""Training hyper-parameters by name, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

from tbn.errors import TBNError


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        optimizer: "adamw", "adam", "sgd" or "adadelta".
        schedule: "cosine" (linear warm-up over the first tenth, then to 0) or "step" (times 0.75 every 4 epochs).
        lr: peak learning rate.
        weight_decay: of the optimiser. On latent weights it is inertia, not regularisation: it lets signs flip.
        epochs, batch_size: defaults of a run.
        source: where the values come from.
    """

    optimizer: str
    schedule: str
    lr: float
    weight_decay: float
    epochs: int
    batch_size: int
    source: str


RECIPES = {
    "adamw": Recipe("adamw", "cosine", 2e-3, 1e-2, 20, 64, "this project: settles well on small CPU budgets"),
    "paper_mcu": Recipe(
        "adadelta", "step", 1.0, 0.0, 100, 64, "the paper authors' recipe of the MNIST microcontroller MLP"
    ),
}

# lambda where the paper's 64,000 would leave every layer binary
MIN_LAYER_SIZE = {"digits": 1_000}
PAPER_MIN_LAYER_SIZE = 64_000


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        TBNError: there is none.
    """
    if name not in RECIPES:
        raise TBNError(f"unknown recipe {name!r}", f"choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
