"""A trained model as source code for a board, and the same source compiled for this computer.

``tbn.export.c_source`` writes it, ``tbn.export.run`` does so for a run folder and only when something changed. Importing this package
imports no torch.
"""

import os
from pathlib import Path

from tbn.errors import TBNError


def firmware_root() -> Path:
    """The PlatformIO project ``pio_firmware`` of this checkout (or the folder that TBN_FIRMWARE names)."""
    root = Path(os.environ.get("TBN_FIRMWARE") or Path(__file__).parents[2] / "pio_firmware").resolve()
    if not (root / "platformio.ini").is_file():
        raise TBNError(
            f"the firmware project is not at {root}",
            "work in a clone of the repository, or name its pio_firmware in TBN_FIRMWARE",
        )
    return root
