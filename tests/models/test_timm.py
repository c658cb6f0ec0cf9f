"""timm's image classifiers by name: trained by the same loop, rebuilt from the packed file, of the same size as ours where both have a model."""

import pytest
import torch
from torch import nn

import tbn
from tbn import TBNError, models, train
from tbn.config import RunConfig
from tbn.evaluate import evaluate

TIMM = {"task": "fashion_mnist", "data": "embedded", "limit": 32, "epochs": 1, "batch_size": 16}


def test_trained_packed_and_rebuilt(tmp_path):
    config = RunConfig(**TIMM, model="timm:mobilenetv3_small_050", min_layer_size=10_000)
    run = train.fit(config, tmp_path)
    assert run.id.startswith("fashion_mnist-timm-mobilenetv3_small_050-p4-s0-")
    assert evaluate(run.path, "packed").max_relative_difference < 1e-5
    assert tbn.load(run.path / "packed.safetensors").tbn_model["name"] == config.model


def test_names_and_arguments_that_timm_does_not_know():
    with pytest.raises(TBNError, match=r"has no model 'resnet19'; did you mean resnet1"):
        models.create("timm:resnet19", input_shape=[3, 32, 32], classes=10)
    with pytest.raises(TBNError, match=r"'timm:resnet18'.*unexpected keyword argument 'magic'"):
        models.create("timm:resnet18", input_shape=[3, 32, 32], classes=10, magic=1)
    with pytest.raises(TBNError, match="is for tasks of kind images"):
        RunConfig(task="beijing", model="timm:resnet18")


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        ("resnet18", "resnet18", {"stem": "imagenet"}),
        ("resnet34", "resnet34", {"stem": "imagenet"}),
        ("swin_t", "swin_tiny_patch4_window7_224", {"window": 7, "factors": [4, 2, 2, 2]}),
    ],
)
def test_imagenet_models_have_timms_weights(ours, theirs, arguments):
    with torch.device("meta"):
        pair = [
            models.create(name, input_shape=[3, 224, 224], classes=1000, **more)
            for name, more in ((ours, arguments), (f"timm:{theirs}", {}))
        ]
    counts = [
        sorted(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)) for model in pair
    ]
    assert counts[0] == counts[1]
