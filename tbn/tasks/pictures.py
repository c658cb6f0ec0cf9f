"""Image files as arrays, decoded when they are asked for. Needs Pillow (which torchvision brings), and no torch."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.tasks.base import Samples, data_root

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LARGEST = 4096  # pixels that an image's side may be brought to
COUNTED = 500  # images that give the mean and deviation of a set of files

Bytes = NDArray[np.uint8]


def own_folder(root: Path | None, data: str, task: str) -> Path:
    """The folder of a task that does not come with the package.

    Raises:
        TBNError: none was named, there is none, or data is "embedded".
    """
    root = data_root(root)
    fix = "name the folder that holds it: --data-root FOLDER, or TBN_DATA"
    if root is None or data == "embedded":
        raise TBNError(f"the data of {task} does not come with the package", fix)
    if not root.is_dir():
        raise TBNError(f"there is no folder {root}", fix)
    return root


def is_image(name: str) -> bool:
    """Whether a file name is an image's; names with a dot first are an operating system's."""
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


class Decoded:
    """Files as an array: those of a batch are decoded side by side, for Pillow releases the interpreter's lock.

    Args:
        paths: (N,) files.
        shape: of one decoded file.
        decode: path -> uint8 array of that shape.
    """

    def __init__(self, paths: Sequence[str], shape: tuple[int, ...], decode: Callable[[str], Bytes]) -> None:
        self.paths = paths
        self.shape = (len(paths), *shape)
        self._decode = decode
        self._numbers = np.arange(len(paths))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Bytes:
        """One sample for a number, else (n, ...) for a slice or an array of numbers."""
        numbers = self._numbers[index]
        if numbers.ndim == 0:
            return self._decode(self.paths[int(numbers)])
        batch: Bytes = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        with ThreadPoolExecutor() as pool:
            for row, sample in enumerate(pool.map(self._decode, [self.paths[number] for number in numbers])):
                batch[row] = sample
        return batch

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)


def load(path: str | Path, header: bool = False) -> Image:
    """Open an image and decode its pixels; of ``header`` only its size and mode are good.

    Raises:
        TBNError: Pillow is missing, or the file is missing, cut short, damaged, or no image.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise TBNError("image files are read with Pillow, which is not installed", "pip install pillow") from error
    try:
        with Image.open(path) as image:
            if not header:
                image.load()
            return image
    except (OSError, EOFError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        known = isinstance(error, UnidentifiedImageError)
        reason = "it is no image" if known else getattr(error, "strerror", None) or str(error)
        raise TBNError(f"cannot read image {path}: {reason}", "replace the file, or remove it") from error


def load_rgb(path: str | Path) -> Image:
    """Open an image as 8-bit red, green, blue; grey is repeated, transparency is dropped.

    Raises:
        TBNError: as ``load``, or of 16 or 32 bits a pixel, which would be cut off at 255.
    """
    image = load(path)
    if image.mode[0] in "IF":
        raise TBNError(f"{path} has more than 8 bits a pixel (mode {image.mode})", "convert it to 8 bits")
    return (
        image
        if image.mode == "RGB"
        else image.convert("RGBA" if "transparency" in image.info else "RGB").convert("RGB")
    )


def channels_first(image: Image) -> Bytes:
    """(3, height, width) uint8 of an RGB image."""
    return np.asarray(image).transpose(2, 0, 1)


def normalisation(inputs: Samples) -> tuple[float, float]:
    """Scale and offset that make pixels 0..255 of mean 0 and deviation 1, from at most 500 images, evenly spaced."""
    pixels = inputs[np.unique(np.linspace(0, len(inputs) - 1, COUNTED).astype(int))]
    mean, deviation = float(pixels.mean()), float(pixels.std()) or 1.0
    return 1 / deviation, -mean / deviation
