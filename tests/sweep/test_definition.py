"""A sweep says what is wrong with it before anything is trained."""

import json

import pytest

from tbn import tasks
from tbn.errors import TBNError
from tbn.objectives import score_baselines
from tbn.scores import HEADLINE
from tbn.sweep import Range, Sweep, objectives
from tbn.sweep.definition import check_points


def sweep(**changes):
    return Sweep(**({"task": "digits", "model": "mlp", "space": {"p": (1, 2, 4)}} | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"space": {}}, "the space is empty: nothing varies; give several values"), ({"space": {"p": ()}}, "'p' has no values"),
     ({"task": "nope"}, "unknown task 'nope'"), ({"model": "unet"}, "is of kind images; use mlp"), ({"method": "luck"}, "method='luck' is unknown"),
     ({"seeds": 0}, "seeds=0 is not a whole number"), ({"threads": 1.5}, "threads=1.5"), ({"method": "random"}, "goes on for ever; say how many"),
     ({"method": "search", "trials": 0}, "trials=0"), ({"space": {"lr": Range(0.1, 0.2)}}, "a grid takes single values"),
     ({"objectives": ()}, "needs an objective"), ({"objectives": ("mse",)}, "'mse' is not measured on tasks of kind images; they have accuracy"),
     ({"objectives": ("beauty",)}, "unknown objective 'beauty'"), ({"objectives": ("score", "score")}, "given twice"),
     ({"objectives": ("flash",)}, "names no board; write it as flash:BOARD"), ({"objectives": ("flash:toaster",)}, "toaster"),
     ({"prune": True}, "only a sweep with one objective"), ({"prune": True, "objectives": ("macs",)}, "only a sweep with one objective"),
     ({"space": {"seed": (1, 2)}}, "'seed' cannot be varied or set here; say how many: --seeds 3"),
     ({"fixed": {"model": "cnn"}}, "make a sweep for each"),
     ({"space": {"model_args": ({"width": 1},)}}, "write it as model_args.NAME"), ({"space": {"lr.x": (1, 2)}}, "names with a dot begin with"),
     ({"fixed": {"p": 4}}, "either vary it or set it"), ({"name": "../up"}, "cannot name folders"),
     ({"name": ".hidden"}, "cannot name")],
)  # fmt: skip
def test_what_makes_no_sense_is_told(changes, words):
    with pytest.raises(TBNError, match=words):
        sweep(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"space": {"colour": (1, 2)}}, "a training has no option 'colour'; it has accumulate"), ({"space": {"p": (1, -3)}}, r'point \{"p": -3\}: p=-3'),
     ({"fixed": {"lr": -1}}, "lr=-1 is not a positive number"), ({"space": {"alpha": ("tile", "whole")}}, "alpha='whole' is unknown")],
)  # fmt: skip
def test_points_that_cannot_be_trained_are_told(changes, words):
    with pytest.raises(TBNError, match=words):
        check_points(sweep(**changes))


@pytest.mark.parametrize("kind", HEADLINE)
def test_the_metrics_of_a_kind_are_those_that_its_tasks_measure(kind):
    name = next(name for name in tasks.names() if tasks.kind_of(name) == kind)
    measured = score_baselines(tasks.create(name, data="embedded", limit=20))
    assert {objectives.OF_KIND[kind]} == {tuple(found) for found in measured.values()}
    assert objectives.metric("score", kind) == objectives.OF_KIND[kind][0]


def test_a_device_that_only_the_workers_have_is_no_mistake():
    check_points(sweep(fixed={"device": "cuda"}))


def test_names_come_from_what_decides_the_result():
    base = sweep()
    assert base.name == sweep(storage="x.db").name == sweep(seeds=3).name and base.name.startswith("digits-mlp-")
    for other in (sweep(space={"p": (1, 2)}), sweep(fixed={"lr": 0.1}), sweep(threads=2), sweep(objectives=("score",))):
        assert other.name != base.name


def test_the_plan_has_every_point_with_every_seed_and_keys_decide_results():
    plan = list(sweep(seeds=2).plan())
    assert [(trial.params["p"], trial.seed) for trial in plan] == [(1, 0), (2, 0), (4, 0), (1, 1), (2, 1), (4, 1)]
    assert len({trial.key for trial in plan}) == 6
    assert [trial.key for trial in sweep(space={"p": (4, 2)}).plan()] == [plan[2].key, plan[1].key], (
        "the same training, the same key"
    )
    assert {trial.key for trial in sweep(threads=2).plan()}.isdisjoint(trial.key for trial in plan)


def test_dotted_names_reach_the_configuration():
    chosen = sweep(
        space={"model_args.width": (8, 16), "per_layer.blocks.0.*": (2, 4)}, fixed={"model_args.depth": 2, "p": 1}
    )
    assert chosen.config(next(chosen.points()), 7) == {
        "task": "digits", "model": "mlp", "seed": 7, "p": 1, "model_args": {"depth": 2, "width": 8}, "per_layer": {"blocks.0.*": 2},
    }  # fmt: skip


def test_a_sweep_survives_json():
    chosen = sweep(
        space={"p": (1, 2), "lr": Range(1e-4, 1e-2, log=True), "hidden": ([8, 8], [16])},
        method="random",
        trials=5,
        prune=False,
    )
    again = Sweep.from_dict(json.loads(json.dumps(chosen.to_dict())))
    assert again == chosen and list(again.plan()) == list(chosen.plan()) and chosen.difference(again) == ""
    assert "seeds" not in chosen.difference(Sweep.from_dict({**chosen.to_dict(), "seeds": 9}))
    assert chosen.difference(
        Sweep.from_dict({**chosen.to_dict(), "fixed": {"lr": 1}, "space": {"p": [1, 2]}})
    ).startswith("space ")
