"""Train: choose a network, start it in the background, watch it. The job belongs to its folder, not to this page."""

import streamlit as st

from pages.parts import live, run_panel, train_form, words
from tbn import jobs, runs, tasks
from tbn.charts import method_of, score_text
from tbn.errors import TBNError
from tbn.scores import HEADLINE, METRICS


def launch(config: dict[str, object]) -> None:
    """Start a training job in a run folder of its own, and show it."""
    try:
        folder = runs.new_folder(config)
        begin(folder, [*words.train_arguments(config), "--folder", str(folder.resolve())])
    except TBNError as error:
        st.session_state["train_error"] = error


def go_on(job: jobs.Job) -> None:
    """Resume a run that was killed or cancelled."""
    try:
        begin(job.folder, ["--resume", str(job.folder)])
    except TBNError as error:
        st.session_state["train_error"] = error


def begin(folder: "runs.Path", arguments: list[str]) -> None:
    """Start ``tbn train`` on a folder and make it the job that is shown."""
    job = jobs.start(folder, ["train", *arguments, "--json"], kind="train")
    st.session_state["job"] = live.name(job)


def draw_result(job: jobs.Job) -> None:
    """The curves so far and, at the end, the way to the run."""
    run = runs.Run(job.folder)
    if not (job.folder / "config.json").is_file():
        return
    metric = HEADLINE[tasks.kind_of(run.config["task"])]
    if job.state == "done":
        scores, size = (run.result or {})["metrics"], (run.result or {})["size"]
        st.success(
            f"Test {METRICS[metric].label} **{score_text(metric, scores[metric])}**, weights **{size['weight_bytes']:,} bytes**, "
            f"{size['bits_per_weight']:.3g} bits a weight.",
            icon=":material/check_circle:",
        )
        there = {"run": run.id, "task": run.config["task"]}
        st.page_link(
            "pages/explore/tradeoff.py",
            label="See it in the trade-off",
            icon=":material/scatter_plot:",
            query_params=there,
        )
    run_panel.draw_curves(run.metrics(), metric, method_of(run.config["p"]))


left, right = st.columns([2, 3], gap="large")
with left, st.container(border=True), words.errors_as_sentences():
    config = train_form.choose()
    st.button(
        "Train",
        type="primary",
        icon=":material/play_arrow:",
        key="start",
        on_click=launch,
        args=(config,),
        width="stretch",
    )
    st.code(words.train_command(config), language="bash", wrap_lines=True)

with right:
    if (error := st.session_state.pop("train_error", None)) is not None:
        words.sentence(error)
    known = {live.name(job): job for job in live.every_job() if job.kind == "train"}
    if not known:
        st.info("No training has been started here yet. Choose on the left and press **Train**; it goes on when you leave this page.",
                icon=":material/model_training:")  # fmt: skip
    else:
        asked = st.query_params.get("job")
        if asked and asked not in known:
            st.warning(
                f"There is no job `{asked}` in `{runs.runs_root()}`; the newest is shown.", icon=":material/link_off:"
            )
        if st.session_state.get("job") not in known:
            st.session_state.pop("job", None)
        running = [name for name, job in known.items() if job.running]
        chosen = st.selectbox(f"Job ({len(running)} running, {len(known)} in all)", list(known), key="job", bind="query-params",
                              index=list(known).index(running[0]) if running else 0)  # fmt: skip
        job = known[chosen]
        live.panel(job, draw_result)
        if not job.running and job.state != "done" and (job.folder / "config.json").is_file():
            st.button("Go on where it stopped", icon=":material/resume:", key="resume", on_click=go_on, args=(job,))
            st.code(f"tbn train --resume {job.folder}", language="bash", wrap_lines=True)
