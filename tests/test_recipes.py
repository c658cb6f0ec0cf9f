"""Every recipe by name: a run can be made with it, its augmentation exists, its learning rate stays within its bounds."""

import pytest

from tbn.augment import NAMES
from tbn.checkpoint import optimizer_of
from tbn.config import RunConfig
from tbn.loop import learning_rate
from tbn.models import create
from tbn.recipes import RECIPES, min_layer_size


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe(name):
    recipe = RECIPES[name]
    kind = next(kind for kind, some in NAMES.items() if recipe.augmentation in some)
    task, model = {"points": ("sweethome", "pointnet_cls")}.get(kind, ("digits", "mlp"))
    config = RunConfig(task=task, model=model, recipe=name)
    assert (config.epochs, config.batch_size, config.lr) == (recipe.epochs, recipe.batch_size, recipe.lr)
    assert config.augment == recipe.augmentation and config.alpha_init == recipe.alpha_init
    rates = [learning_rate(config, step, 1000) for step in range(1000)]
    assert min(rates) >= 0 and max(rates) == pytest.approx(recipe.lr) and rates[-1] < recipe.lr / 10
    optimizer = optimizer_of(config, create("mlp", hidden=[4]))
    assert type(optimizer).__name__.lower() == recipe.optimizer
    if recipe.optimizer == "sgd":
        assert optimizer.defaults["momentum"] == recipe.momentum


def test_lambda_is_the_tasks_own_or_the_recipes():
    assert min_layer_size("digits") == 1000
    assert min_layer_size("cifar10", "paper_cifar_cnn") == 64_000
    assert min_layer_size("imagenet", "paper_imagenet_swin") == 150_000
