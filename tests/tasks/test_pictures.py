import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tbn import TBNError
from tbn.tasks.pictures import Decoded, is_image, load, load_rgb, normalisation, own_folder

from .pictures import write_image


@given(st.lists(st.integers(-20, 19), max_size=30), st.slices(20))
def test_decoded_is_indexed_like_an_array(numbers, part):
    whole = np.arange(20, dtype=np.uint8)[:, None] * np.ones((1, 3), np.uint8)
    decoded = Decoded([str(k) for k in range(20)], (3,), lambda path: np.full(3, int(path), np.uint8))
    assert decoded.shape == (20, 3) and len(decoded) == 20
    for index in (np.array(numbers, int), part, 7, -1):
        assert np.array_equal(decoded[index], whole[index]) and decoded[index].shape == whole[index].shape
    assert np.array_equal(np.asarray(decoded), whole)


def test_an_error_in_one_file_of_a_batch_comes_out(tmp_path):
    for k in range(3):
        write_image(tmp_path / f"{k}.png")
    (tmp_path / "1.png").write_bytes(b"no image")
    decoded = Decoded(
        [str(tmp_path / f"{k}.png") for k in range(3)], (8, 8, 3), lambda path: np.asarray(load_rgb(path))
    )
    assert decoded[[0, 2]].shape == (2, 8, 8, 3)
    with pytest.raises(TBNError, match=r"cannot read image .*1.png: it is no image; replace the file, or remove it"):
        decoded[:]


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "ppm"])
@given(share=st.floats(0, 0.98))
def test_a_file_cut_anywhere_is_an_error(tmp_path_factory, ending, share):
    path = tmp_path_factory.mktemp("cut") / f"a.{ending}"
    write_image(path, (40, 30))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(TBNError, match=f"cannot read image .*a.{ending}: .*; replace the file, or remove it"):
        load(path)


@given(st.integers(0, 5000), st.integers(1, 255))
def test_a_damaged_file_is_an_image_or_an_error(tmp_path_factory, place, change):
    path = tmp_path_factory.mktemp("damaged") / "a.png"
    write_image(path, (40, 30))
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= change
    path.write_bytes(data)
    try:
        assert load(path).size
    except TBNError as error:
        assert "a.png" in error.message


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TBNError, match="cannot read image .*: No such file or directory"):
        load(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(TBNError, match="No such file"):
        load(tmp_path / "b.png")


def test_every_8_bit_kind_becomes_rgb(tmp_path):
    pixels = write_image(tmp_path / "rgb.png")
    grey = pixels[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([pixels, grey])).save(tmp_path / "alpha.png")
    palette = Image.fromarray(pixels).quantize(4)
    palette.save(tmp_path / "palette.png", transparency=bytes([0, 255, 255, 255]))
    assert np.array_equal(np.asarray(load_rgb(tmp_path / "rgb.png")), pixels)
    assert np.array_equal(np.asarray(load_rgb(tmp_path / "grey.png")), np.dstack([grey] * 3))
    assert np.array_equal(np.asarray(load_rgb(tmp_path / "alpha.png")), pixels)
    assert np.array_equal(np.asarray(load_rgb(tmp_path / "palette.png")), np.asarray(palette.convert("RGB")))
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(TBNError, match="deep.png has more than 8 bits a pixel .*; convert it to 8 bits"):
        load_rgb(tmp_path / "deep.png")


def test_the_header_tells_the_size_of_a_damaged_file(tmp_path):
    write_image(tmp_path / "a.png", (40, 30))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-200])
    assert load(tmp_path / "a.png", header=True).size == (40, 30)


def test_names_of_images():
    assert is_image("a.JPEG") and is_image("b.png") and not is_image("._b.png") and not is_image("c.txt")


@pytest.mark.parametrize("count", [1, 10, 1300])
def test_normalisation(count):
    pixels = np.random.default_rng(count).integers(20, 90, (count, 3, 4, 4), dtype=np.uint8)
    scale, offset = normalisation(pixels)
    values = pixels * scale + offset
    assert abs(values.mean()) < 0.03 and abs(values.std() - 1) < 0.03
    assert normalisation(np.full((2, 3, 4, 4), 7, np.uint8)) == (1, -7)


def test_a_folder_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.delenv("TBN_DATA", raising=False)
    for root, data in ((None, "auto"), (tmp_path, "embedded")):
        with pytest.raises(
            TBNError, match="the data of mask_folder does not come with the package; name the folder .*TBN_DATA"
        ):
            own_folder(root, data, "mask_folder")
    with pytest.raises(TBNError, match="there is no folder .*gone"):
        own_folder(tmp_path / "gone", "auto", "mask_folder")
    monkeypatch.setenv("TBN_DATA", str(tmp_path))
    assert own_folder(None, "full", "mask_folder") == tmp_path


def test_without_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(TBNError, match="not installed; pip install pillow"):
        load(tmp_path / "a.png")
