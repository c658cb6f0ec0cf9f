"""Sweeps: many trainings over a space of choices, on one machine or many, and the front that they leave.

``run(sweep)`` trains every trial (one point of the space with one seed: one run folder) and goes on where it was interrupted;
``status`` and ``aggregate`` are what is known so far, as frames. A sweep lives in a storage (SQLite, PostgreSQL) that any number of workers
share. Importing this package needs neither torch nor optuna.
"""

from tbn.sweep.definition import Sweep
from tbn.sweep.report import Report, aggregate, status, sweeps
from tbn.sweep.running import run
from tbn.sweep.space import Range
from tbn.sweep.storage import default_storage

__all__ = ["Range", "Report", "Sweep", "aggregate", "default_storage", "run", "status", "sweeps"]
