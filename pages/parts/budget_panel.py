"""The budget half of the Sweep page: what a network may take, and the best one that was found."""

from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import figures, names, words
from pages.parts.choose import shared_box
from tbn import boards, budget_charts, charts, jobs, tasks
from tbn.scores import HEADLINE, METRICS

ANY = "none"
USUAL = "the usual one"


def choose() -> list[str]:
    """Draw the form; returns the words of ``tbn fit``."""
    known = tasks.names()
    task = shared_box("Task", known, "task", "digits", words=names.title) or known[0]
    model = st.selectbox("Model", [USUAL, *names.models_for(task)], key="fit_model", bind="query-params")
    first, second = st.columns(2)
    budget = first.text_input(
        "Budget",
        "3200B",
        key="budget",
        bind="query-params",
        help="Bytes of the packed network: 3200B, 4KiB; empty: what the board has",
    ).strip()
    emulated = [board.name for board in boards.list_boards() if board.emulated]
    board = second.selectbox(
        "Board", [ANY, *emulated], key="fit_board", bind="query-params", help="Its flash and RAM have to be enough, too"
    )
    first, second = st.columns(2)
    epochs = int(
        first.number_input(
            "Epochs",
            1,
            1000,
            10,
            key="epochs",
            bind="query-params",
            help="Of the winner; candidates are trained for less",
        )
    )
    seeds = int(second.number_input("Seeds", 1, 20, 2, key="seeds", bind="query-params"))
    against = st.toggle("Compare with the same factor everywhere", key="against", bind="query-params")
    argv = [
        "fit",
        "--task",
        task,
        *(["--model", str(model)] if model != USUAL else []),
        *(["--budget", budget] if budget else []),
    ]
    argv += ["--board", str(board)] * (board != ANY) + ["--set", f"epochs={epochs}", "--seeds", str(seeds)]
    return argv + ["--against-uniform"] * against


def python(argv: list[str]) -> str:
    """The same search in Python."""
    given = dict(zip(argv[1::2], argv[2::2], strict=False))
    limits = [f'bytes=parse_bytes("{given["--budget"]}")'] * ("--budget" in given) + [
        f'board="{given.get("--board")}"'
    ] * ("--board" in given)
    goal = [
        repr(given["--task"]),
        f"Limits({', '.join(limits)})",
        *([f"model={given['--model']!r}"] if "--model" in given else []),
    ]
    goal += [f"fixed={{'epochs': {given['--set'].removeprefix('epochs=')}}}", f"seeds={given['--seeds']}"]
    return (
        "from tbn.sweep.budget import Goal, search\nfrom tbn.sweep.factors import parse_bytes\nfrom tbn.sweep.limits import Limits\n\n"
        f"found = search(Goal({', '.join(goal)}), against_uniform={'--against-uniform' in argv}, say=print)\nprint(found.best, *found.runs)"
    )


def draw(job: jobs.Job) -> None:
    """What the search answered."""
    answer = jobs.output(job.folder)
    if job.state != "done" or "best" not in answer:
        return
    metric, best, other = HEADLINE[tasks.kind_of(answer["task"])], answer["best"], answer.get("uniform")
    label = METRICS[metric].label
    score, name = charts.score_text(metric, best["mean"]), words.escape(budget_charts.described(best))
    st.success(
        f"The best network found: **{name}**, test {label} **{score}** in **{best['bytes']:,} bytes**.",
        icon=":material/check_circle:",
    )
    if other:
        st.markdown(
            f"With the same factor everywhere ({words.escape(budget_charts.described(other))}): test {label} "
            f"{charts.score_text(metric, other['mean'])} in {other['bytes']:,} bytes."
        )
    if taken := answer.get("board"):
        counted = f", {taken['instructions']:,} instructions" if taken["instructions"] else ""
        st.markdown(
            f"On {words.escape(taken['name'])}: {taken['flash_bytes']:,} of {taken['flash_limit']:,} bytes of flash, "
            f"{taken['ram_bytes']:,} of {taken['ram_limit']:,} of RAM{counted}."
        )
    st.caption(
        "Mean over "
        + _seeds(len(best["scores"]))
        + ". Only these last trainings saw the test set; the choice was made on held-out samples."
    )
    with st.container(horizontal=True, key="budget_runs"):
        for path in best["runs"]:
            run = path.rpartition("/")[2]
            st.page_link("pages/explore/tradeoff.py", label=words.escape(run), icon=":material/scatter_plot:",
                         query_params={"run": run, "task": answer["task"]})  # fmt: skip
    figures.draw(budget_charts.candidates(answer["candidates"]), "budget_candidates")
    figures.draw(budget_charts.layers(best["layers"], answer["sensitivity"]), "budget_layers")
    rows: list[dict[str, Any]] = [
        {
            "network": budget_charts.described(row),
            "bytes": row["bytes"],
            "held-out score": row["score"],
            "short trainings": row["trainings"],
        }
        for row in answer["candidates"]
    ]
    figures.table(
        pd.DataFrame(rows), "budget_table", "budget", alt=f"{len(rows)} candidates with bytes and held-out score"
    )


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"
