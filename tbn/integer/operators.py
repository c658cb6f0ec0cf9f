"""How torch writes what integer networks have: modules, functions and methods by kind, and why others have no twin."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from tbn.packed import PackedLinear

LINEAR = (nn.Linear, PackedLinear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
ONE_BY_ONE = (
    nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.SiLU, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.Softplus, nn.Mish, nn.SELU,
)  # fmt: skip
FUNCTIONS = frozenset({
    F.gelu, F.hardswish, F.hardsigmoid, torch.sigmoid, F.sigmoid, F.silu, torch.tanh, F.tanh, F.leaky_relu, F.elu, F.softplus, F.mish, F.selu,
})  # fmt: skip
METHODS = frozenset({"sigmoid", "tanh"})
CLIPS: dict[Any, tuple[float, float]] = {
    nn.ReLU: (0.0, float("inf")), F.relu: (0.0, float("inf")), torch.relu: (0.0, float("inf")), "relu": (0.0, float("inf")),
    F.relu_: (0.0, float("inf")), torch.relu_: (0.0, float("inf")), "relu_": (0.0, float("inf")), nn.ReLU6: (0.0, 6.0), F.relu6: (0.0, 6.0),
}  # fmt: skip
ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
FACTORS = (operator.mul, operator.imul, torch.mul, "mul", "mul_")
PRODUCTS = (operator.matmul, torch.matmul, torch.bmm, "matmul", "bmm")
MEANS = (torch.mean, "mean")
MAXIMA = (torch.amax, "amax")
VIEWS = (torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.unflatten, "flatten", "reshape", "view", "squeeze", "unsqueeze",
         "unflatten", "contiguous")  # fmt: skip
SELECTIONS = (operator.getitem,)
TURNS = (torch.transpose, torch.permute, "transpose", "permute")
REASONS = {
    "RMSNorm": "it divides by a size that it measures on every sample, and only LayerNorm is in this version",
    "scaled_dot_product_attention": "attention weighs activations with a softmax of activations, which is not in this version",
    "Upsample": "only chains, sums, products and poolings are in this version",
    "interpolate": "only chains, sums, products and poolings are in this version",
    "Softmax": "the largest output is the same without it",
    "softmax": "the largest output is the same without it",
}
TWO_SCALES = "tensors of two scales in one are not in this version"
