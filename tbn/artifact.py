"""A packed model as one .safetensors file: tensors, and in the header everything needed to read them. No pickle anywhere.

Header: ``format`` "tbn", ``format_version``, ``sha256`` over tensors and description, and ``model``, a JSON text with the packed layers (name,
weight shape, p, alphas, bias, order of the blocks, and ``transposed`` where the shape is (inputs, outputs)), tied names and, for a registry model,
its name and arguments; after quantisation-aware training also ``ranges``, those of its integer tensors (``tbn.integer``).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.fx import GraphModule

import tbn.models
from kernels.orders import ORDERS
from tbn.errors import TBNError
from tbn.files import write_bytes
from tbn.layers import TiledLayer, is_layer, is_transposed
from tbn.packed import PackedLayer, packed_like

FORMAT_VERSION = 1


def save(packed: nn.Module, path: str | Path) -> None:
    """Write a packed model, atomically; tied tensors are written once.

    Args:
        packed: what ``freeze`` returned (other layers in float are kept as they are).
        path: of the file, by habit ``*.safetensors``.

    Raises:
        TBNError: the model is not packed, its state holds something else than tensors, or the file cannot be written (nothing half-written is left).
    """
    if any(isinstance(module, TiledLayer) for module in packed.modules()):
        raise TBNError("the model has latent weights, so its file would not be small", "save tbn.freeze(model)")
    if any(isinstance(module, GraphModule) for module in packed.modules()):
        raise TBNError(
            "a collapsed or fused model has another architecture than its class says",
            "save the packed model, and collapse or fuse it after loading",
        )
    if not any(isinstance(module, PackedLayer) for module in packed.modules()):
        raise TBNError(
            f"{type(packed).__name__} has no packed layer", "call tbn.tile_(model), train, then save tbn.freeze(model)"
        )
    tensors: dict[str, Tensor] = {}
    owner: dict[int, str] = {}
    tied: dict[str, str] = {}
    memory: set[int] = set()
    for name, tensor in packed.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            raise TBNError(
                f"{name!r} of the model's state is no tensor but {type(tensor).__name__}, and the file holds tensors only",
                "leave it out of the state (get_extra_state)",
            )
        if id(tensor) in owner:
            tied[name] = owner[id(tensor)]
            continue
        owner[id(tensor)] = name
        tensor = tensor.detach().contiguous().cpu()
        shared = (
            tensor.untyped_storage().data_ptr() in memory
        )  # a part of another tensor: safetensors wants its own memory
        tensors[name] = tensor.clone() if shared else tensor
        memory.add(tensor.untyped_storage().data_ptr())
    layers = {
        name: {
            "shape": list(module.weight_shape),
            "p": module.p,
            "alphas": module.alphas.numel(),
            "bias": module.bias is not None,
            "order": module.order,
            **({"transposed": True} if module.transposed else {}),
        }
        for name, module in packed.named_modules(remove_duplicate=False)
        if isinstance(module, PackedLayer)
    }
    about: dict[str, Any] = {"layers": layers, "tied": tied, "registry": getattr(packed, "tbn_model", None)}
    if ranges := getattr(packed, "tbn_ranges", None):
        about["ranges"] = ranges
    description = json.dumps(about, sort_keys=True)
    metadata = {
        "format": "tbn",
        "format_version": str(FORMAT_VERSION),
        "model": description,
        "sha256": _digest(tensors, description),
    }
    write_bytes(path, _steady(to_bytes(tensors, metadata)))


def _steady(file: bytes) -> bytes:
    """A safetensors file with its metadata in the order of their names: the library's order differs from call to call."""
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + file[8 + size :]


def _digest(tensors: dict[str, Tensor], description: str) -> str:
    digest = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load(path: str | Path, into: nn.Module | None = None) -> nn.Module:
    """Read a packed model.

    Args:
        path: file written by ``save``.
        into: a module of the same architecture, dense or tiled, whose layers are replaced by packed ones in place; a registry model
            needs none, it is rebuilt.

    Returns:
        the packed model in eval mode (``into`` itself where given).

    Raises:
        TBNError: no such file, not a packed model, truncated, damaged, of a newer format, or it does not fit ``into``; ``into`` is then unchanged.
    """
    tensors, description, _ = read(path)
    registry = description["registry"]
    if into is None:
        if not registry:
            raise TBNError(
                f"{path} holds a model that is not in the registry", "build it and pass load(path, into=model)"
            )
        into = tbn.models.create(registry["name"], **registry["kwargs"])
    if not isinstance(into, nn.Module):
        raise TBNError(
            f"into={into!r} is no module", "pass the model itself, or leave it out: a registry model is rebuilt"
        )
    modules = dict(into.named_modules(remove_duplicate=False))
    twins: dict[int, PackedLayer] = {}
    swaps: list[tuple[nn.Module, str, PackedLayer]] = []
    for name, spec in description["layers"].items():
        target = modules.get(name)
        if target is None or not is_layer(target) or is_transposed(target) != spec.get("transposed", False):
            found = type(target).__name__ if target is not None else "nothing"
            raise TBNError(
                f"{path} has a packed layer {name!r}, the model has {found} there",
                "load it into the architecture that it was saved from",
            )
        shape, bias = tuple(spec["shape"]), target.bias is not None
        if tuple(target.weight.shape) != shape or bias != spec["bias"]:
            raise TBNError(
                f"layer {name!r} is {shape}{' with bias' * spec['bias']} in {path}, {tuple(target.weight.shape)}{' with bias' * bias} "
                "in the model",
                "load it into the architecture that it was saved from",
            )
        parent, _, child = name.rpartition(".")
        twin = twins.setdefault(id(target), packed_like(target, spec["p"], spec["alphas"], spec["order"]))
        swaps.append((modules[parent], child, twin))
    packed_names = set(description["layers"])
    rest = {name: tensor for name, tensor in into.state_dict().items() if name.rpartition(".")[0] not in packed_names}
    expected = {
        **rest,
        **{
            f"{name}.{key}": tensor
            for name, spec in description["layers"].items()
            for key, tensor in twins[id(modules[name])].state_dict().items()
        },
    }
    state = {**tensors, **{name: tensors[first] for name, first in description["tied"].items()}}
    if other := sorted(set(state) ^ set(expected)):
        first, second = (
            (path, "the model does not have") if other[0] in state else ("the model", f"{path} does not have")
        )
        raise TBNError(
            f"{first} has {other[0]!r}, which {second}", "load it into the architecture that it was saved from"
        )
    for name, tensor in expected.items():
        held = state[name]
        if held.shape != tensor.shape or (held.dtype != tensor.dtype and not tensor.is_floating_point()):
            raise TBNError(
                f"{name!r} is {tuple(held.shape)} {held.dtype} in {path}, {tuple(tensor.shape)} {tensor.dtype} in the model",
                "load it into the architecture that it was saved from",
            )
    for parent_module, child, twin in swaps:
        setattr(parent_module, child, twin)
    into.load_state_dict(state)
    if "ranges" in description:
        into.tbn_ranges = {name: tuple(limits) for name, limits in description["ranges"].items()}  # type: ignore[assignment]
    return into.eval()


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """The checked content of a packed file: tensors by name, description, sha256 (hexadecimal)."""
    again = "save it again with tbn.save, or fetch it again"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != "tbn":
                raise TBNError(
                    f"{path} is a safetensors file, but not a packed tiled network",
                    "make one with tbn.save(tbn.freeze(model), path)",
                )
            version = metadata.get("format_version", "")
            if not version.isdigit() or int(version) > FORMAT_VERSION:
                raise TBNError(
                    f"{path} has format version {version}, this tbn reads up to {FORMAT_VERSION}", "upgrade tbn"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a handle, not a dict)
    except FileNotFoundError as error:
        raise TBNError(
            f"there is no file {path}", "check the path; tbn train writes packed.safetensors into the run folder"
        ) from error
    except (SafetensorError, OSError) as error:
        raise TBNError(f"{path} is truncated or not a safetensors file ({error})", again) from error
    description = metadata.get("model", "")
    if _digest(tensors, description) != metadata.get("sha256"):
        raise TBNError(f"{path} is damaged: its content does not match its sha256", again)
    try:
        parsed = json.loads(description)
        for name, spec in parsed["layers"].items():
            tile, alphas = (tensors[parsed["tied"].get(f"{name}.{key}", f"{name}.{key}")] for key in ("tile", "alphas"))
            count = torch.Size(spec["shape"]).numel()
            if (
                count % spec["p"]
                or tile.shape != ((count // spec["p"] + 7) // 8,)
                or tile.dtype != torch.uint8
                or alphas.shape != (spec["alphas"],)
            ):
                raise TBNError(
                    f"{path} says layer {name!r} is {tuple(spec['shape'])} with p={spec['p']} but its tile is {tuple(tile.shape)} "
                    f"{tile.dtype} and its alphas are {tuple(alphas.shape)}",
                    again,
                )
            if spec["order"] not in ORDERS:
                raise TBNError(
                    f"{path} lays the tiles of {name!r} in order {spec['order']!r}, this tbn knows {', '.join(ORDERS)}",
                    "upgrade tbn",
                )
    except (KeyError, TypeError, ValueError) as error:
        raise TBNError(f"{path} has a header that makes no sense ({error!r})", again) from error
    return tensors, parsed, metadata["sha256"]
