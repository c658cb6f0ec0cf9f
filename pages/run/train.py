"""Train: choose a network, start it in the background, watch it. The job belongs to its folder, not to this page."""

import streamlit as st

from pages.parts import live, run_panel, words
from pages.parts.choose import shared_box
from tbn import jobs, models, runs, tasks
from tbn.charts import method_of
from tbn.errors import TBNError
from tbn.recipes import MIN_LAYER_SIZE, PAPER_MIN_LAYER_SIZE


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
    if job.state == "done":
        result = run.result or {}
        st.success(
            f"Test accuracy **{result['metrics']['accuracy']:.2%}**, weights **{result['size']['weight_bytes']:,} bytes**, "
            f"{result['size']['bits_per_weight']:.3g} bits a weight.",
            icon=":material/check_circle:",
        )
        there = {"run": run.id, "task": run.config["task"]}
        st.page_link(
            "pages/explore/tradeoff.py",
            label="See it in the trade-off",
            icon=":material/scatter_plot:",
            query_params=there,
        )
    if (job.folder / "config.json").is_file():
        run_panel.draw_curves(run.metrics(), method_of(run.config["p"]))


left, right = st.columns([2, 3], gap="large")
with left, st.container(border=True):
    first, second = st.columns(2)
    with first:
        task = shared_box("Task", tasks.names(), "task", tasks.names()[0]) or tasks.names()[0]
    model = second.selectbox("Model", models.names(), key="model", bind="query-params")
    first, second = st.columns(2)
    p = first.number_input(
        "Tiling factor p",
        0,
        32,
        4,
        key="p",
        bind="query-params",
        help="0 = full precision (fp32), 1 = binary, 2 to 32 = tiled",
    )
    epochs = second.number_input("Epochs", 1, 1000, 10, key="epochs", bind="query-params")
    st.caption({"fp32": "p = 0: full precision, 32 bits a weight", "binary": "p = 1: binary, one bit a weight"}.get(
        method_of(p), f"p = {p}: layers are {p} copies of one binary tile, 1/{p} of a bit a weight"))  # fmt: skip
    default = MIN_LAYER_SIZE.get(task, PAPER_MIN_LAYER_SIZE)
    first, second = st.columns(2)
    min_layer_size = first.number_input(
        "Minimum layer size (lambda)", 1, None, None, step=1000, key="lambda", bind="query-params", disabled=p == 0, placeholder=f"{default:,}",
        help=f"Smaller layers are binary, not tiled. Empty: {default:,} weights for this task.",
    )  # fmt: skip
    seed = second.number_input(
        "Seed", 0, 2**31, 0, key="seed", bind="query-params", help="Equal seeds repeat bit for bit on a CPU."
    )
    alpha = st.segmented_control(
        "Alpha per", ["tile", "layer"], default="tile", required=True, key="alpha", bind="query-params", disabled=p == 0,
        help="One scale for each copy of the tile, or one for the whole layer",
    )  # fmt: skip
    source = st.segmented_control(
        "Alpha source", ["separate", "latent"], default="separate", required=True, key="alpha_source", bind="query-params", disabled=p == 0,
        help="Scales from a tensor of their own (W+A), or from the latent weights (W)",
    )  # fmt: skip
    config = {"task": task, "model": model, "p": int(p), "min_layer_size": min_layer_size, "alpha": alpha or "tile",
              "alpha_source": source or "separate", "epochs": int(epochs), "seed": int(seed)}  # fmt: skip
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
