"""Small image files for the tests of folders."""

import numpy as np
from PIL import Image


def write_image(path, size=(8, 8), colour=None, seed=0):
    """An RGB image of random pixels or one colour; ``size`` is (width, height). Returns its (height, width, 3) pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    if colour is not None:
        pixels[:] = colour
    Image.fromarray(pixels).save(path)
    return pixels


def write_mask(path, labels):
    """A grey PNG of class numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(labels, np.uint8)).save(path)


def cut(path):
    """Leave half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
