"""How far a job is: ``progress.json`` in its folder, replaced whole at every word (see ``tbn.jobs``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tbn.files import write_json

PROGRESS = "progress.json"


class Progress:
    """What a job's own code uses to say how far it is; each call replaces ``progress.json``."""

    def __init__(self, folder: str | Path, steps: Sequence[str] = ()) -> None:
        self.folder = Path(folder)
        self.fraction = 0.0
        self.message = ""
        self.steps: list[dict[str, str]] = [{"name": name, "state": "waiting", "message": ""} for name in steps]

    def update(self, fraction: float | None = None, message: str | None = None) -> None:
        self.fraction = self.fraction if fraction is None else fraction
        self.message = self.message if message is None else message
        self._write()

    def step(self, name: str, state: str, message: str = "") -> None:
        """Set a step's state: "waiting", "running", "done" or "failed". The fraction follows from the steps that are done."""
        known = next((step for step in self.steps if step["name"] == name), None)
        if known is None:
            self.steps.append(known := {"name": name})
        known.update(state=state, message=message)
        self.fraction = sum(step["state"] == "done" for step in self.steps) / max(1, len(self.steps))
        self.message = message
        self._write()

    def _write(self) -> None:
        write_json(self.folder / PROGRESS, {"fraction": self.fraction, "message": self.message, "steps": self.steps})
