"""The small data sets that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray


def arrays(name: str) -> dict[str, NDArray[Any]]:
    """All arrays of ``tbn/tasks/data/<name>.npz``."""
    with as_file(files("tbn.tasks") / "data" / f"{name}.npz") as path, np.load(path, allow_pickle=False) as archive:
        return dict(archive)
