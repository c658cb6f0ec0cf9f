"""Train: choose a network, start it in the background, watch it. The job belongs to its folder, not to this page."""

import streamlit as st

from pages.parts import choose, cost_panel, live, scores_panel, train_form, words
from tbn import job_keeping, jobs, runs, tasks
from tbn.charts import method_of, score_text
from tbn.scores import HEADLINE, METRICS


def launch(config: dict[str, object]) -> None:
    """Start a training job in a run folder of its own, and show it."""

    def begin() -> None:
        folder = runs.new_folder(config).resolve()
        job = jobs.start(folder, ["train", *words.train_arguments(config), "--folder", str(folder), "--json"], "train")
        choose.remember("job", live.key(job))

    live.trying(begin)


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
    scores_panel.draw_curves(run.metrics(), metric, method_of(run.config["p"]))


left, right = st.columns([2, 3], gap="large")
config = None
with left, st.container(border=True, key="form"), words.errors_as_sentences():
    config = train_form.choose()
    st.button("Train", type="primary", icon=":material/play_arrow:", key="start", on_click=launch, args=(config,), width="stretch")  # fmt: skip
    cost_panel.draw(config)
    st.code(words.train_command(config), language="bash", wrap_lines=True)

with right:
    live.notice()
    known = live.of_kind("train")
    if not known:
        st.info("No training has been started here yet. Choose what to train and press **Train**; it goes on when you leave this page.",
                icon=":material/model_training:")  # fmt: skip
    else:
        job = live.box(known)
        live.panel(job, draw_result)
        with st.container(horizontal=True, vertical_alignment="center", key="job_links"):
            if not job.running and job.state != "done" and (job.folder / "config.json").is_file():
                st.button("Go on where it stopped", icon=":material/resume:", key="resume",
                          on_click=live.trying, args=(lambda: job_keeping.retry(job.folder),))  # fmt: skip
            running = sum(job.running for job in known.values())
            others = f"All {len(known)} trainings, {running} running" if len(known) > 1 else "All jobs"
            st.page_link(live.JOBS, label=others, icon=":material/list:", query_params={"kind": "train"})
if config is not None:
    chosen = ", ".join(
        f"{name}={value!r}" for name, value in cost_panel.plain(config).items() if value not in ({}, None)
    )
    words.copy_as(
        f"from tbn.config import RunConfig\nfrom tbn.train import fit\n\nrun = fit(RunConfig({chosen}))\nprint(run.path, run.result['metrics'])",
        words.train_command(config),
    )
