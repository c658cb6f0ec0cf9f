"""One answer, everywhere: every engine gives the trained model's logits."""

import shutil

import numpy as np
import pytest
import torch

from kernels.cpu.engine import engine
from tbn import TBNError, runs
from tbn.evaluate import evaluate
from tbn.export.report import PRECISIONS
from tbn.restore import deployed_model, latent_model, logits_of, task_of


@pytest.mark.parametrize("kind", ["tiled", "binary", "cnn"])
def test_packed_equals_latent(trained, kind):
    found = evaluate(trained[kind], "packed")
    assert found.max_relative_difference < 1e-5 and found.reference == "latent"
    assert (
        found.score == runs.Run(trained[kind]).result["metrics"]["accuracy"] == evaluate(trained[kind], "latent").score
    )


@pytest.mark.parametrize("kind", ["tiled", "binary", "cnn"])
def test_native_equals_latent(trained, kind):
    found = evaluate(trained[kind], "native")
    assert found.max_relative_difference < 1e-5 and found.reference == "latent"
    assert found.score == runs.Run(trained[kind]).result["metrics"]["accuracy"]


def test_no_native_kernel_here(trained, monkeypatch):
    monkeypatch.setenv("TBN_CPU", "torch")
    engine.cache_clear()
    with pytest.raises(
        TBNError, match="needs the C kernel, and there is none: torch: forced by TBN_CPU; use --engine packed"
    ):
        evaluate(trained["tiled"], "native")
    monkeypatch.undo()
    engine.cache_clear()


@pytest.mark.parametrize("kind", ["tiled", "binary", "cnn", "fp32"])
def test_onnx_equals_latent(trained, kind):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    found = evaluate(trained[kind], "onnx")
    assert found.max_relative_difference < 1e-5 and found.reference == "latent"
    assert found.score == runs.Run(trained[kind]).result["metrics"]["accuracy"]


@pytest.mark.board
@pytest.mark.parametrize("kind", ["tiled", "binary", "fp32"])
def test_generated_float_c_equals_latent(trained, kind):
    found = evaluate(trained[kind], "c", precision="float32")
    assert found.max_relative_difference < 1e-5 and found.samples == 1000 and found.precision == "float32"
    assert found.score == runs.Run(trained[kind]).result["metrics"]["accuracy"]


@pytest.mark.board
@pytest.mark.parametrize("kind", ["tiled", "binary", "fp32", "cnn"])
def test_generated_integer_c_is_near_latent(trained, kind):
    """What is generated unless asked: accuracy within 0.3 points (1 point of digits' 360 images, which are 1.1)."""
    found = evaluate(trained[kind], "c")
    assert found.precision == "integer" and 0 < found.max_relative_difference < 0.2
    lost = runs.Run(trained[kind]).result["metrics"]["accuracy"] - found.score
    assert abs(lost) <= (0.012 if kind == "cnn" else 0.004)


@pytest.mark.board
def test_the_board_equals_the_host_and_counts_instructions(trained):
    found = {precision: evaluate(trained["tiled"], "board", limit=40, precision=precision) for precision in PRECISIONS}
    for precision, own in found.items():
        same = evaluate(trained["tiled"], "c", limit=40, precision=precision)
        assert (own.score, own.max_difference, own.precision) == (same.score, same.max_difference, precision)
        assert own.samples == 40 and own.instructions is not None
    assert found["float32"].max_relative_difference < 1e-5
    assert found["integer"].instructions < found["float32"].instructions < 5 * 26_368  # 26,368 multiply-accumulates


@pytest.mark.board
@pytest.mark.parametrize("engine", ["c", "board"])
def test_a_cnn_has_no_float_firmware_and_says_so(trained, engine):
    with pytest.raises(TBNError, match="conv1") as caught:
        evaluate(trained["cnn"], engine, precision="float32")
    assert caught.value.fix


def test_only_generated_c_has_a_precision(trained):
    with pytest.raises(TBNError, match="the packed engine has no precision to choose; leave --precision out"):
        evaluate(trained["tiled"], "packed", precision="integer")


def test_gradients_are_on_afterwards(trained):
    evaluate(trained["tiled"], "packed", limit=10)
    assert torch.is_grad_enabled()


def test_a_zoo_entry_is_compared_with_its_packed_model():
    found = evaluate("fashion_mnist-mlp-p4-s0", "packed")
    assert found.reference == "packed" and found.max_difference == 0
    with pytest.raises(TBNError, match="keeps no latent weights; use --engine packed"):
        evaluate("fashion_mnist-mlp-p4-s0", "latent")
    assert found.score == runs.find("fashion_mnist-mlp-p4-s0").result["metrics"]["accuracy"]


def test_other_data_than_it_was_trained_on(trained, tmp_path):
    shutil.copytree(trained["tiled"], tmp_path / "run")
    path = tmp_path / "run" / "result.json"
    path.write_text(path.read_text().replace("embedded subset, the first 5,000", "full set of another planet, 5,000"))
    with pytest.raises(TBNError, match="was trained on the full set of another planet.*bring the data back"):
        task_of(runs.Run(tmp_path / "run"))


def test_bad_input(trained):
    with pytest.raises(TBNError, match="unknown engine 'magic'; choose one of latent, packed"):
        evaluate(trained["tiled"], "magic")
    with pytest.raises(TBNError, match="limit=0 leaves no test input"):
        evaluate(trained["tiled"], limit=0)
    with pytest.raises(TBNError, match="full precision: there is nothing packed"):
        evaluate(trained["fp32"], "packed")


def test_without_a_gpu_triton_says_so(trained, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(TBNError, match="needs an NVIDIA GPU"):
        evaluate(trained["tiled"], "triton")


@pytest.mark.gpu
def test_triton_equals_latent(trained):
    assert evaluate(trained["tiled"], "triton").max_relative_difference < 1e-5


def test_the_latent_model_is_rebuilt_from_the_folder(trained):
    run = runs.Run(trained["tiled"])
    task = task_of(run)
    np.testing.assert_allclose(
        logits_of(latent_model(run), task, 10), logits_of(deployed_model(run), task, 10), rtol=1e-4, atol=1e-5
    )
