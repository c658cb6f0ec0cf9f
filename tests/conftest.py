"""Shared by all tests: one small trained run of each kind, and no clock in property tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("tests", deadline=None, max_examples=60)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders of short trainings: "tiled", "binary" and "fp32" MLPs on Fashion-MNIST's embedded subset, "cnn" on digits."""
    from tbn.config import RunConfig
    from tbn.train import fit

    root = tmp_path_factory.mktemp("trained")
    mlp = {"task": "fashion_mnist", "model": "mlp", "epochs": 1, "data": "embedded"}
    configs = {
        "tiled": RunConfig(p=4, **mlp),
        "binary": RunConfig(p=1, **mlp),
        "fp32": RunConfig(p=0, **mlp),
        "cnn": RunConfig(task="digits", model="cnn", p=4, epochs=1),
    }
    return {name: fit(config, root).path for name, config in configs.items()}


@pytest.fixture
def runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs folder, set as TBN_RUNS."""
    monkeypatch.setenv("TBN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked gpu are skipped where there is no GPU."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU on this machine"))
