"""What the zoo trains: every model family on data that comes with the package, and three fronts on full sets.

A family is one model on one task in several versions: full precision, p = 1, 2, 4, ... with one configuration, and further ones that change a field
or two of it. ``narrow4`` is the honest rival of p = 4: the same model at p = 1, so narrow that its weights take the bytes of p = 4: the nearest width
below, or up to 2 % above.
``min_layer_size`` is set so that the layers that make up most of a network are tiled. Test windows of a forecast begin every 25 steps, which is
prime to the steps of a day: all hours are tested. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SEEDS = (0, 1, 2)
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """One model on one task.

    Attributes:
        task, model: names of the registries.
        options: further fields of ``RunConfig``, the same for all versions.
        factors: the values of p; 0 is full precision.
        narrow: p -> ``model_args`` of the binary network of these bytes.
        more: name -> fields of ``RunConfig`` of further versions.
        seeds: of every version.
        full: trained on the full set, which does not come along; its entries' names say so.
        folds: the data's folds, if it is cross-validated: seed k tests on fold k.
    """

    task: str
    model: str
    options: Options = field(default_factory=dict)
    factors: tuple[int, ...] = (0, 1, 4, 8)
    narrow: Mapping[int, Options] = field(default_factory=dict)
    more: Mapping[str, Options] = field(default_factory=dict)
    seeds: tuple[int, ...] = SEEDS
    full: bool = False
    folds: int = 0

    @property
    def title(self) -> str:
        """How tables and charts call it: ``fashion_mnist (full), mlp``."""
        return f"{self.task}{' (full)' * self.full}, {self.model}"

    def versions(self) -> dict[str, Options]:
        """name -> the fields of ``RunConfig`` that tell the family's versions apart."""
        return {
            **{version_of(p): {"p": p} for p in self.factors},
            **{f"narrow{p}": {"p": 1, "model_args": arguments} for p, arguments in self.narrow.items()},
            **self.more,
        }

    def entry(self, version: str, seed: int) -> str:
        """The name of an entry: ``fashion_mnist-full-mlp-p4-s0``."""
        return f"{self.task}{'-full' * self.full}-{self.model}-{version}-s{seed}"

    def name(self, p: int, seed: int) -> str:
        """The name of the entry with tiling factor ``p``."""
        return self.entry(version_of(p), seed)

    def fields(self, version: str, seed: int) -> dict[str, Any]:
        """All fields of an entry's ``RunConfig``."""
        found = {**self.options, **self.versions()[version]}
        if self.folds and seed:  # fold 0 is the task's own default
            found["task_args"] = {**found.get("task_args", {}), "fold": seed}
        return {
            "task": self.task,
            "model": self.model,
            "seed": seed,
            "data": "full" if self.full else "embedded",
            **found,
        }

    def entries(self) -> Iterator[tuple[str, str, int]]:
        """(entry, version, seed) of all entries."""
        for version in self.versions():
            for seed in self.seeds:
                yield self.entry(version, seed), version, seed


def version_of(p: int) -> str:
    """What an entry's name says of its tiling factor: "fp32", "binary", "p4"."""
    return {0: "fp32", 1: "binary"}.get(p, f"p{p}")


def _forecast(task: str, model: str, epochs: int, model_args: Options, **more: Any) -> Family:
    shared = {"recipe": "forecast", "min_layer_size": 4_000, "task_args": {"stride": 25}}
    return Family(task, model, {"model_args": model_args, "epochs": epochs, **shared}, **more)


MLP_LAYERS: Options = {"hidden": [128, 128]}
TRANSFORMER: Options = {"dim": 64, "depth": 1, "heads": 4, "hidden": 128}
NARROW_TRANSFORMER: Options = {"dim": 32, "depth": 1, "heads": 4, "hidden": 64}
ALL = (0, 1, 2, 4, 8, 16, 32)

# fmt: off
FULL = (
    Family("fashion_mnist", "mlp", {"epochs": 6, "batch_size": 128}, ALL, full=True, narrow={
        p: {"hidden": [hidden]} for p, hidden in ((2, 64), (4, 33), (8, 17), (16, 10))
    }),
    *(Family(task, "micro_cnn", {
        "model_args": {"channels": [32, 64, 64]}, "min_layer_size": 4_000, "epochs": 2, "batch_size": 128, "lr": 4e-3,
    }, ALL, full=True, narrow={
        p: {"channels": channels}
        for p, channels in ((2, [23, 46, 46]), (4, [17, 34, 34]), (8, [14, 26, 26]), (16, [12, 22, 22]))
    }) for task in ("fashion_mnist", "mnist")),
)
SMALL = (
    Family("fashion_mnist", "mlp", factors=(0, 1, 2, 4, 8, 16), narrow={4: {"hidden": [33]}}, more={
        "p4-one_alpha": {"p": 4, "alpha": "layer"},
        "p4-latent": {"p": 4, "alpha_source": "latent"},
        "p4-latent-one_alpha": {"p": 4, "alpha": "layer", "alpha_source": "latent"},
    }),
    Family("fashion_mnist", "cnn", factors=(0, 1, 2, 4, 8, 16), narrow={4: {"width": 17}}),
    Family("fashion_mnist", "vgg_small", {"model_args": {"width": 16}, "min_layer_size": 2_000, "epochs": 8}, narrow={4: {"width": 8}}),
    Family("fashion_mnist", "resnet18", {"model_args": {"width": 6}, "min_layer_size": 2_000, "epochs": 8}, narrow={4: {"width": 3}}),
    Family("fashion_mnist", "mlp_mixer", {
        "model_args": {"dim": 64, "depth": 2, "patch": 4, "token_hidden": 64, "channel_hidden": 128}, "min_layer_size": 1_000, "epochs": 15,
    }, narrow={4: {"dim": 28, "depth": 2, "patch": 4, "token_hidden": 28, "channel_hidden": 56}}, more={
        f"p4-lambda{least}": {"p": 4, "min_layer_size": least} for least in (2_000, 4_000)
    }),
    Family("fashion_mnist", "convmixer", {
        "model_args": {"dim": 64, "depth": 4, "kernel": 5, "patch": 4}, "min_layer_size": 4_000, "epochs": 10,
    }, narrow={4: {"dim": 42, "depth": 4, "kernel": 5, "patch": 4}}),
    Family("fashion_mnist", "vit", {
        "model_args": {"dim": 64, "depth": 3, "heads": 4, "hidden": 128, "patch": 7}, "min_layer_size": 3_000, "epochs": 15,
    }, narrow={4: {"dim": 32, "depth": 3, "heads": 4, "hidden": 64, "patch": 7}}),
    Family("fashion_mnist", "swin_t", {
        "model_args": {"dim": 24, "depths": [2, 2], "heads": [2, 4], "window": 4, "factors": [4, 2]}, "min_layer_size": 1_000, "epochs": 10,
    }, narrow={4: {"dim": 12, "depths": [2, 2], "heads": [2, 4], "window": 4, "factors": [4, 2]}}),
    Family("earthcover", "unet", {
        "model_args": {"width": 8, "depth": 3}, "min_layer_size": 4_000, "epochs": 20, "batch_size": 8, "lr": 4e-3, "augment": "flips",
    }, ALL, {4: {"width": 4, "depth": 3}, 16: {"width": 3, "depth": 3}}),
    Family("sweethome", "pointnet_cls", {
        "model_args": {"width": 8}, "min_layer_size": 6_000, "epochs": 25, "batch_size": 8, "augment": "scale_shift",
    }, ALL, {4: {"width": 6}, 16: {"width": 5}}, seeds=(0, 1, 2, 3), folds=4),
    Family("kicad_parts", "pointnet_part", {
        "model_args": {"width": 8}, "min_layer_size": 6_000, "epochs": 12, "batch_size": 16,
    }, ALL, {2: {"width": 6}, 4: {"width": 5}, 16: {"width": 4}}),
    Family("composed_rooms", "pointnet_sem", {
        "model_args": {"width": 8}, "min_layer_size": 6_000, "epochs": 30, "batch_size": 6, "lr": 4e-3, "task_args": {"points": 512},
    }, narrow={4: {"width": 6}}),
    _forecast("appliances", "forecaster_mlp", 8, MLP_LAYERS, factors=ALL, narrow={4: {"hidden": [73, 73]}, 16: {"hidden": [59, 59]}}),
    _forecast("appliances", "forecaster_transformer", 6, TRANSFORMER, narrow={4: NARROW_TRANSFORMER}),
    _forecast("beijing", "forecaster_mlp", 6, MLP_LAYERS, factors=ALL, narrow={4: {"hidden": [64, 64]}, 16: {"hidden": [47, 47]}}),
    _forecast("beijing", "forecaster_transformer", 5, TRANSFORMER, narrow={4: NARROW_TRANSFORMER}),
    _forecast("household", "forecaster_mlp", 8, MLP_LAYERS, factors=ALL, narrow={4: {"hidden": [64, 64]}, 16: {"hidden": [47, 47]}}),
    _forecast("household", "forecaster_transformer", 6, TRANSFORMER, narrow={4: NARROW_TRANSFORMER}),
)
FAMILIES = (*FULL, *SMALL)
# fmt: on
