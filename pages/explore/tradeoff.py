"""Trade-off: score against size of every finished run of a task, and what the chosen run is made of."""

import streamlit as st

from pages.parts import data, names, run_panel, words
from pages.parts.choose import from_chart, from_table, remember, run_box, shared_box, turn
from tbn import charts, models, runs, tasks
from tbn.scores import METRICS

AXES = {"weight bytes": "weight_bytes", "bits per weight": "bits_per_weight", "total bytes": "total_bytes"}
COLUMNS = {
    "front": st.column_config.TextColumn(
        "Front", help="★ = on the Pareto front of the configurations shown", width="small"
    ),
    "model": "Model",
    "p": st.column_config.NumberColumn("p", help="tiling factor: 0 = full precision, 1 = binary"),
    "weight_bytes": st.column_config.NumberColumn("Weight bytes", format="localized"),
    "bits_per_weight": st.column_config.NumberColumn("Bits a weight", format="%.3f"),
    "compression": st.column_config.NumberColumn("Times smaller", format="%.1f"),
    "seed": "Seed",
    "epochs": "Epochs",
    "alpha": "Alpha per",
    "source": st.column_config.TextColumn("From", help="zoo = came with the package; runs = trained here"),
    "run": "Run",
}

ORDER = [*list(COLUMNS)[:3], "score", *list(COLUMNS)[3:]]

everything = data.finished()
for path in data.broken():
    st.warning(
        f"`{path}` cannot be read as a run and is left out. Remove the folder, or restore its files.",
        icon=":material/folder_off:",
    )
if everything.empty:
    words.nothing_yet(f"There is no finished run in `{runs.runs_root()}` yet.")
    st.stop()

counts = everything["task"].value_counts()
known = sorted([*tasks.names(), *(set(counts.index) - set(tasks.names()))], key=lambda task: -counts.get(task, 0))
task_of = dict(zip(everything["run"], everything["task"], strict=True))
asked = st.query_params.get("run")
if "task" not in st.query_params and asked in task_of:  # a link to a run opens its task
    remember("task", task_of[asked])
head = st.container(horizontal=True, vertical_alignment="bottom")
with head:
    task = shared_box("Task", known, "task", known[0], width=380, words=names.title) or known[0]
of_task = everything[everything["task"] == task]
if of_task.empty:
    words.nothing_yet(
        f"There is no finished run of **{names.title(task)}** yet.{names.wanted(task)}", query={"task": task}
    )
    model = models.names(tasks.kind_of(task))[0]
    st.code(
        words.train_command({"task": task, "model": model, "p": 4, "data_root": names.example_folder(task)}),
        language="bash",
    )
    st.stop()
if task_of.get(asked, task) != task:  # another task was chosen since
    remember("run", None)
with head:
    of_models = sorted(of_task["model"].unique())
    wanted = (
        st.pills(
            "Models", of_models, selection_mode="multi", key="models", bind="query-params", help="none chosen = all"
        )
        or of_models
    )
    axis = (
        st.segmented_control(
            "Size as", list(AXES), required=True, default="weight bytes", key="size", bind="query-params"
        )
        or "weight bytes"
    )
x = AXES[axis]
shown = of_task[of_task["model"].isin(wanted)]
points = charts.configurations(shown)
winners = points[charts.front_of(points, x)]
metric = METRICS[points["metric"].iloc[0]]
score = st.column_config.NumberColumn(
    metric.label[:1].upper() + metric.label[1:], format="%.2f %%" if metric.percent else "%.4f"
)
columns = COLUMNS | {"score": score}
keys = [name for name in charts.CONFIGURATION if name in shown]
ids_on_front = set(shown.merge(winners[keys], on=keys)["run"])

left, right = st.columns([3, 2], gap="medium")
with left:
    key = f"chart_{turn('chart')}_{task}_{axis}_{'_'.join(wanted)}"
    figure = charts.tradeoff(shown, x, data.baselines(shown))
    st.plotly_chart(
        figure, key=key, on_select=lambda: from_chart(key), selection_mode="points", alt=charts.alt_text(figure),
        config={"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]},
    )  # fmt: skip
    sources = sorted(shown["data_source"].dropna().unique())
    apart = f" **{len(sources)} different data sets: scores compare only within one.**" if len(sources) > 1 else ""
    st.caption(
        f"Test {metric.label} of the last epoch, mean over seeds with one standard deviation; faded = beaten on both axes. "
        f"Data: {words.escape('; '.join(sources))}.{apart} Click a point or a row to see its run."
    )
    table = shown.sort_values(["weight_bytes", "score", "seed"]).reset_index(drop=True)
    table["score"] *= metric.factor
    table["front"] = ["★" if run in ids_on_front else "" for run in table["run"]]
    table_key = f"table_{turn('table')}_{task}_{'_'.join(wanted)}"
    chosen_rows = list(table.index[table["run"] == st.query_params.get("run", st.session_state.get("last_run"))])
    st.dataframe(
        table, key=table_key, on_select=lambda: from_table(table_key, list(table["run"])), selection_mode="single-row", hide_index=True,
        selection_default={"selection": {"rows": chosen_rows}}, column_order=ORDER, column_config=columns,
        height=min(320, 38 + 35 * len(table)), alt="The runs of the chart, one a row",
    )  # fmt: skip
with right:
    run = run_box(of_task)
    if run is None:
        st.info(
            "Click a point of the chart or a row of the table: its configuration, sizes and curve are shown here.",
            icon=":material/ads_click:",
        )
        st.markdown("**On the Pareto front**, smallest first")
        best = winners.sort_values(x).assign(score=winners["score"] * metric.factor)
        kept = ["model", "p", "score", "weight_bytes", "bits_per_weight", "compression", "seeds"]
        st.dataframe(
            best, column_order=kept, column_config=columns | {"seeds": "Seeds"}, hide_index=True, alt="The Pareto front"
        )
    else:
        row = of_task[of_task["run"] == run].iloc[0]
        same = of_task.merge(row[keys].to_frame().T.astype(of_task[keys].dtypes), on=keys)
        run_panel.draw(row, same)
