"""Sweeps in a real PostgreSQL server, which goes away in the middle."""

import tempfile
import threading
import time
from pathlib import Path

import pytest

from tbn.errors import TBNError
from tbn.sweep import Sweep, run, status, sweeps
from tbn.sweep.desk import Desk
from tbn.sweep.storage import close_storages
from tests.sweep import servers
from tests.sweep.conftest import outcome

pytestmark = pytest.mark.skipif(servers.program("initdb") is None, reason="PostgreSQL is not installed")
AWAY_SECONDS = 10


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with servers.running(Path(folder)) as started:
            yield started
            close_storages()


def test_workers_outlast_a_server_that_is_away_for_ten_seconds(server, tmp_path):
    """Trials train on; what they found is told when it is back. Nothing is lost, nothing done twice."""
    sweep = Sweep("digits", "mlp", {"p": (1, 2, 4), "lr": (0.001, 0.002)}, {"epochs": 3}, seeds=2, storage=server.url)
    said = []

    def trip() -> None:
        while not (name in sweeps(server.url) and (status(server.url, name)["state"] == "complete").sum() >= 3):
            time.sleep(0.2)
        server.stop()
        time.sleep(AWAY_SECONDS)
        server.start()

    name = sweep.name
    thread = threading.Thread(target=trip)
    thread.start()
    done = run(sweep, tmp_path, workers=2, listener=lambda event: said.append(event["message"]))
    thread.join()
    assert done.finished == 12 and set(done.trials["state"]) == {"complete"} and set(done.trials["attempts"]) == {1}
    assert any("the storage does not answer" in message for message in said)
    assert len(list(tmp_path.glob("digits-*/result.json"))) == 12
    assert (
        "secret" not in str(done.to_dict())
        and "secret" not in (tmp_path / done.trials["run"].iloc[0] / "sweep.json").read_text()
    )


def test_two_teams_on_one_server(server, tmp_path):
    sweep = Sweep("digits", "mlp", {"p": (1, 2, 4, 8)}, method="search", trials=4, seeds=2, storage=server.url)
    desks = [Desk.open(sweep, tmp_path / name) for name in ("here", "there")]
    taken = [desk.claim("w") for desk in desks * 4]
    assert len({trial.key for trial in taken if trial}) == 8
    for trial in taken:
        desks[0].tell(trial, outcome(trial))
    assert desks[1].remaining() == 0 and set(status(server.url, sweep.name)["state"]) == {"complete"}


def test_a_server_that_is_not_there_is_told_without_the_password(server):
    away = server.url.replace(str(server.port), "1")
    with pytest.raises(TBNError) as told:
        Desk.open(Sweep("digits", "mlp", {"p": (1, 2)}, storage=away), Path("unused"))
    assert (
        "cannot be reached" in str(told.value)
        and "start the server" in told.value.fix
        and "secret" not in str(told.value)
    )
