"""The models by name. Importing this package needs no torch; ``create`` does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tbn.errors import TBNError

if TYPE_CHECKING:
    from torch import nn

_BUILDERS = {  # model -> module with a function of the model's name
    "mlp": "mlp",
    "cnn": "cnn",
    "vgg_small": "vgg",
    "resnet18": "resnet",
    "resnet34": "resnet",
    "resnet50": "resnet",
    "mlp_mixer": "mixer",
    "convmixer": "convmixer",
    "vit": "vit",
    "swin_t": "swin",
}


def names() -> tuple[str, ...]:
    """All model names."""
    return tuple(_BUILDERS)


def check(name: str) -> None:
    """Raise TBNError where there is no such model."""
    if name not in _BUILDERS:
        raise TBNError(f"unknown model {name!r}", f"choose one of {', '.join(_BUILDERS)}")


def create(name: str, **kwargs: Any) -> nn.Module:
    """Build a dense model; its name and arguments travel with it (``tbn_model``), so that a packed file can rebuild it.

    Args:
        name: one of ``names()``.
        kwargs: ``input_shape`` (channels, height, width), ``classes``, and what the model itself takes (see its module).

    Raises:
        TBNError: unknown name or argument.
    """
    check(name)
    builder = getattr(import_module(f"tbn.models.{_BUILDERS[name]}"), name)
    try:
        model: nn.Module = builder(**kwargs)
    except TypeError as error:
        raise TBNError(f"model {name!r}: {error}", f"see help(tbn.models.{_BUILDERS[name]}.{name})") from error
    model.tbn_model = {"name": name, "kwargs": kwargs}  # type: ignore[assignment]
    return model
