"""The models by name. Importing this package needs no torch; ``create`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tbn.errors import TBNError

if TYPE_CHECKING:
    from torch import nn

TIMM = "timm:"
_BUILDERS = {  # model -> the kind of task that it is for, and the module with a function of the model's name
    "mlp": ("images", "mlp"),
    "cnn": ("images", "cnn"),
    "micro_cnn": ("images", "micro"),
    "vgg_small": ("images", "vgg"),
    "resnet18": ("images", "resnet"),
    "resnet34": ("images", "resnet"),
    "resnet50": ("images", "resnet"),
    "mlp_mixer": ("images", "mixer"),
    "convmixer": ("images", "convmixer"),
    "vit": ("images", "vit"),
    "swin_t": ("images", "swin"),
    "unet": ("segmentation", "unet"),
    "pointnet_cls": ("points", "pointnet"),
    "pointnet_part": ("parts", "pointnet"),
    "pointnet_sem": ("scenes", "pointnet"),
    "forecaster_transformer": ("forecasting", "forecaster"),
    "forecaster_mlp": ("forecasting", "forecaster"),
}


def names(kind: str | None = None) -> tuple[str, ...]:
    """All model names, or those for one kind of task (``tbn.scores.KINDS``)."""
    return tuple(name for name, (of, _) in _BUILDERS.items() if kind in (None, of))


def kind_of(name: str) -> str:
    """The kind of task that a model is for."""
    check(name)
    return "images" if name.startswith(TIMM) else _BUILDERS[name][0]


def check(name: str) -> None:
    """Raise TBNError where there is no such model; whether timm has one of that name is seen when it is made."""
    if name not in _BUILDERS and not name.startswith(TIMM):
        raise TBNError(
            f"unknown model {name!r}",
            f"choose one of {', '.join(_BUILDERS)}, or an image model of timm's as {TIMM}NAME",
        )


def create(name: str, **kwargs: Any) -> nn.Module:
    """Build a dense model; its name and arguments travel with it (``tbn_model``), so that a packed file can rebuild it.

    Args:
        name: one of ``names()``, or "timm:NAME" for an image classifier of timm's (https://github.com/huggingface/pytorch-image-models).
        kwargs: ``Task.model_arguments`` of the task, and what the model itself takes (see its module, or timm's).

    Raises:
        TBNError: unknown name or argument.
    """
    check(name)
    where = f"timm.create_model({name.removeprefix(TIMM)!r})"
    if not name.startswith(TIMM):
        where = f"help(tbn.models.{_BUILDERS[name][1]}.{name})"
    try:
        model = _timm(name.removeprefix(TIMM), **kwargs) if name.startswith(TIMM) else _builder(name)(**kwargs)
    except TypeError as error:
        raise TBNError(f"model {name!r}: {error}", f"see {where}") from error
    model.tbn_model = {"name": name, "kwargs": kwargs}  # type: ignore[assignment]
    return model


def _builder(name: str) -> Callable[..., nn.Module]:
    builder: Callable[..., nn.Module] = getattr(import_module(f"tbn.models.{_BUILDERS[name][1]}"), name)
    return builder


def _timm(name: str, input_shape: Sequence[int], classes: int, **kwargs: Any) -> nn.Module:
    """A model of timm's with random weights for images of ``input_shape``; transformers want ``img_size``, too."""
    try:
        import timm
    except ImportError as error:
        raise TBNError(f"{TIMM}{name} needs timm", "pip install timm") from error
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(), 3)
        raise TBNError(
            f"timm {timm.__version__} has no model {name!r}",
            f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()",
        )
    model: nn.Module = timm.create_model(name, pretrained=False, in_chans=input_shape[0], num_classes=classes, **kwargs)
    return model
