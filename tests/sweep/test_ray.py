"""Ray as the engine, on a real cluster of two nodes on this machine: the same results as without it, also when a node is killed."""

import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

pytest.importorskip("ray")

from tbn.errors import TBNError
from tbn.runs import Run
from tbn.sweep import Sweep, run, workers
from tbn.sweep.artefacts import Store, files_of, write_files
from tbn.sweep.desk import Desk
from tbn.sweep.ray_cluster import Needs
from tbn.sweep.ray_engine import _Crew, engine
from tbn.sweep.ray_task import carried_out

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own
RESULT = ["p", "seed", "state", "score", "weight_bytes"]
HEALTH = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0}


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine()  # sets what must be set before Ray is imported
        import ray
        from ray.cluster_utils import Cluster

        found = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": HEALTH}
        )
        ray.init(address=found.address, log_to_driver=False, logging_level="ERROR")
    yield found
    ray.shutdown()
    found.shutdown()


def sweep_in(folder: Path, name: str, **changes) -> Sweep:
    folder.mkdir(parents=True, exist_ok=True)
    usual = {"space": {"p": (1, 4)}, "fixed": {"epochs": 2, "min_layer_size": 1000}, "seeds": 2}
    return Sweep("digits", "mlp", name=name, storage=str(folder / "sweep.db"), **(usual | changes))


def test_two_nodes_give_what_one_process_gives(cluster, tmp_path):
    node = cluster.add_node(num_cpus=1)
    alone = run(sweep_in(tmp_path / "alone", "one"), tmp_path / "alone", workers=0)
    spread = run(sweep_in(tmp_path / "ray", "one"), tmp_path / "ray", engine=engine("ignored: it is connected"))
    assert spread.trials[RESULT].equals(alone.trials[RESULT]) and set(spread.trials["state"]) == {"complete"}
    for name in spread.trials["run"]:  # the same weights, bit for bit
        first, second = (tmp_path / where / name / "model.safetensors" for where in ("alone", "ray"))
        assert first.read_bytes() == second.read_bytes()
    again = run(sweep_in(tmp_path / "ray", "one"), tmp_path / "ray", engine=engine())
    assert again.seconds < spread.seconds and again.trials[RESULT].equals(spread.trials[RESULT])
    cluster.remove_node(node)


def test_a_node_that_is_killed_loses_nothing(cluster, tmp_path):
    node, root, said = cluster.add_node(num_cpus=1), tmp_path / "runs", []
    chosen = sweep_in(root, "killed", space={"p": (1, 2, 4)}, fixed={"epochs": 12, "min_layer_size": 1000}, seeds=1)

    def kill() -> None:
        while sum((folder / "metrics.jsonl").exists() for folder in root.glob("killed-*")) < 2:  # both nodes are at it
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    found = run(chosen, root, engine=engine(), listener=lambda event: said.append(event["message"]))
    thread.join()
    assert set(found.trials["state"]) == {"complete"} and len(found.trials) == 3
    assert found.retried == 1 and sorted(found.trials["attempts"]) == [1, 1, 2]
    assert any("its worker died" in message and "tried once more" in message for message in said)
    assert all(
        Run(root / name).state == "complete" and len(Run(root / name).metrics()) == 12 for name in found.trials["run"]
    )


def test_trials_are_pruned_as_elsewhere(cluster, tmp_path):
    root = tmp_path / "runs"
    space = {"lr": (2e-3, 3e-3, 1e-3, 4e-3, 5e-3, 1e-9)}  # the last one learns nothing
    chosen = sweep_in(
        root,
        "pruned",
        space=space,
        fixed={"epochs": 4, "min_layer_size": 1000},
        seeds=1,
        objectives=("score",),
        prune=True,
    )
    found = run(chosen, root, engine=engine())
    assert (
        found.trials.set_index("lr").loc[1e-9, "state"] == "pruned" and (found.trials["state"] == "complete").sum() >= 3
    )


def test_what_carries_the_scores_starts_again_when_its_machine_dies(cluster, tmp_path):
    doomed = [cluster.add_node(num_cpus=0) for _ in range(3)]
    for node in doomed:  # the cluster does not know it yet, and may send the actor there
        cluster.remove_node(node, allow_graceful=False)
    chosen = sweep_in(tmp_path, "moved", seeds=1, objectives=("score",), prune=True)
    assert set(run(chosen, tmp_path, engine=engine()).trials["state"]) == {"complete"}
    import ray

    crew = _Crew(ray, tmp_path, "mark", Needs(), None, True)
    trial = type("Trial", (), {"id": 7})
    crew.running["task"] = trial
    ray.kill(crew.talk, no_restart=False)
    until = time.monotonic() + 60
    while not (found := crew.reports()) and time.monotonic() < until:  # what was told before it died may be lost
        ray.get(crew.talk.tell.remote(7, 1, 0.5))
    assert found[0] == (trial, 1, 0.5)


def test_no_machine_is_large_enough(cluster, tmp_path):
    chosen = sweep_in(tmp_path, "large")
    with pytest.raises(
        TBNError, match=r"no machine of the cluster has 1 CPU, 2 GPU for a trial.*largest has 1 CPU, 0 GPU"
    ):
        run(chosen, tmp_path, engine=engine(gpus=2))
    assert Desk.open(chosen, tmp_path).remaining() == 4 and not list((tmp_path / workers.FOLDER).glob("mark-*"))
    assert set(run(chosen, tmp_path, workers=0).trials["state"]) == {
        "complete"
    }  # and nothing is lost: another engine goes on


def trial_of(tmp_path: Path, name: str):
    chosen = sweep_in(tmp_path / "book", name, space={"p": (2, 4)}, fixed={"epochs": 1, "min_layer_size": 1000})
    return Desk.open(chosen, tmp_path / "book").claim("me")


def test_a_machine_without_the_runs_folder_sends_the_files(tmp_path):
    trial = trial_of(tmp_path, "sent")
    outcome, files = carried_out(trial, str(tmp_path / "nowhere"), "no such mark", None, None)
    assert not outcome.error and not (tmp_path / "nowhere").exists()
    assert list(files)[-1] == "result.json" and ".lock" not in files
    write_files(tmp_path / "here" / trial.folder, files)
    arrived = Run(tmp_path / "here" / trial.folder)
    assert arrived.state == "complete" and arrived.result["metrics"]["accuracy"] == outcome.values[0]


@pytest.mark.parametrize("url", ["{}", "file://{}", "memory://runs"])
def test_artefacts_go_through_a_url_and_can_be_gone_on_with(tmp_path, url):
    trial, place = trial_of(tmp_path, "stored"), url.format(tmp_path / "store")
    outcome, files = carried_out(trial, str(tmp_path / "nowhere"), "no such mark", place, None)
    assert files is None and not outcome.error
    store, here = Store(place), tmp_path / "driver" / trial.folder
    assert store.pull(here) and Run(here).state == "complete" and not store.pull(tmp_path / "driver" / "another")
    again, _ = carried_out(
        trial, str(tmp_path / "nowhere"), "no such mark", place, None
    )  # another machine, after a crash
    assert (
        again.values == outcome.values and again.train_seconds == outcome.train_seconds
    )  # it was there: nothing was trained
    half = {name: data for name, data in files_of(here).items() if name != "result.json"}
    write_files(tmp_path / "half" / trial.folder, half)
    assert Run(tmp_path / "half" / trial.folder).state == "interrupted"


def test_what_cannot_be_is_refused(tmp_path, monkeypatch):
    with pytest.raises(TBNError, match="artefacts cannot go to nonsense://there"):
        engine(artefacts="nonsense://there")
    with pytest.raises(TBNError, match="several machines"):
        Needs().of(type("T", (), {"config": {"nodes": 2}, "threads": 1}))
    assert Needs(gpus=0.25).of(type("T", (), {"config": {"device": "cuda"}, "threads": 2})) == {"CPU": 2.0, "GPU": 0.25}
    assert Needs().of(type("T", (), {"config": {"device": "cuda", "devices": 2}, "threads": 2})) == {
        "CPU": 4.0,
        "GPU": 2.0,
    }
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(TBNError, match=r"Ray is not installed.*cluster"):
        engine()
