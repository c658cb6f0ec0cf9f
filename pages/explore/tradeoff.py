"""Trade-off: score against size of every finished run of a task, and what the chosen run is made of."""

import streamlit as st

from pages.parts import data, figures, measure_panel, names, run_panel, tradeoff_choices, tradeoff_code, words
from pages.parts.choose import from_chart, from_table, remember, run_box, shared_box, turn
from tbn import charts, runs, tasks

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
    "setup": st.column_config.TextColumn("Setup", help="what else sets its configuration apart"),
    "source": st.column_config.TextColumn("From", help="zoo = came with the package; runs = trained here"),
    "run": "Run",
}
ORDER = [*list(COLUMNS)[:3], "score", *list(COLUMNS)[3:]]


def show(run: str) -> None:
    """The panel of a run, with the runs of its configuration."""
    row = of_task[of_task["run"] == run].iloc[0]
    keys = [name for name in charts.CONFIGURATION if name in of_task]
    run_panel.draw(row, of_task.merge(row[keys].to_frame().T.astype(of_task[keys].dtypes), on=keys))


everything, broken, stamp = data.look()
for path in broken:
    st.warning(
        f"`{path}` cannot be read as a run and is left out. Remove the folder, or restore its files.",
        icon=":material/folder_off:",
    )
if everything.empty:
    words.nothing_yet(f"There is no finished run in `{runs.runs_root()}` yet.")
    words.copy_as("from tbn import runs\n\nprint(runs.frame())", "tbn runs --json")
    st.stop()

counts = everything["task"].value_counts()
known = sorted([*tasks.names(), *(set(counts.index) - set(tasks.names()))], key=lambda task: -counts.get(task, 0))
task_of = dict(zip(everything["run"], everything["task"], strict=True))
asked = st.query_params.get("run")
if "task" not in st.query_params and asked in task_of:  # a link to a run opens its task
    remember("task", task_of[asked])
head = st.container(horizontal=True, vertical_alignment="bottom", key="choices")
with head:
    task = shared_box("Task", known, "task", known[0], width=340, words=names.title) or known[0]
of_task = everything[everything["task"] == task]
if of_task.empty:
    words.nothing_yet(
        f"There is no finished run of **{names.title(task)}** yet.{names.wanted(task)}", query={"task": task}
    )
    config = {"task": task, "model": names.models_for(task)[0], "p": 4, "data_root": names.example_folder(task)}
    st.code(words.train_command(config), language="bash")
    words.copy_as(
        f'from tbn import runs\n\nframe = runs.frame()\nprint(frame[frame["task"] == {task!r}])',
        words.train_command(config),
    )
    st.stop()
if task_of.get(asked, task) != task:  # another task was chosen since
    remember("run", None)
with head:
    chosen = tradeoff_choices.choose(of_task)
words.copy_as(tradeoff_code.as_python(task, chosen), "tbn runs --json")
if chosen.rows.empty:
    st.info("No run passes the filters. Open **Filter and scale** and take one back.", icon=":material/filter_alt_off:")
    st.stop()
if chosen.axis.column not in of_task:
    measure_panel.draw(chosen)
x, metric = chosen.axis.column, chosen.metric
scored = charts.scored(chosen.rows, metric.name)
points = charts.configurations(scored)
points = points[points[x] > 0]
keys = [name for name in charts.CONFIGURATION if name in scored]
if points.empty:  # nothing is measured yet: the panel above says how
    if (run := run_box(of_task)) is not None:
        show(run)
    st.stop()
winners = points[charts.front_of(points, x)]
ids_on_front = set(scored.merge(winners[keys], on=keys)["run"])
columns = COLUMNS | {
    "score": st.column_config.NumberColumn(
        metric.label[:1].upper() + metric.label[1:], format="%.2f %%" if metric.percent else "%.4f"
    ),
    x: COLUMNS.get(x, st.column_config.NumberColumn(f"{chosen.axis.short} ({chosen.axis.unit})", format="localized")),
}
order = list(dict.fromkeys([*ORDER[:4], x, *ORDER[4:]]))

left, right = st.columns([3, 2], gap="medium")
with left:
    key = f"chart_{turn('chart')}_{task}_{chosen.key}"
    figure = tradeoff_choices.figure(task, chosen.key, stamp, chosen)
    with st.container(key="chart"):
        figures.draw(
            figure, key, f"tradeoff-{task}", on_select=lambda: from_chart(key), selection_mode="points",
            config={"modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]},
        )  # fmt: skip
    st.caption(
        f"Test {metric.label} of the last epoch, mean over seeds with one standard deviation; faded = beaten on both axes. "
        f"Data: {words.escape(str(scored['data_source'].iloc[0]))}. Click a point or a row to see its run."
    )
    table = scored.sort_values([x, "score", "seed"]).reset_index(drop=True)
    table["score"] *= metric.factor
    table["front"] = ["★" if run in ids_on_front else "" for run in table["run"]]
    table_key = f"table_{turn('table')}_{task}_{chosen.key}"
    rows = list(table.index[table["run"] == st.query_params.get("run", st.session_state.get("last_run"))])
    with st.container(key="table"):
        figures.table(
            table[order], table_key, f"tradeoff-{task}", alt="The runs of the chart, one a row",
            export=table.drop(columns=["metrics", "baselines", "path"]),
            on_select=lambda: from_table(table_key, list(table["run"])), selection_mode="single-row",
            selection_default={"selection": {"rows": rows}}, column_order=order, column_config=columns,
            height=min(320, 38 + 35 * len(table)), placeholder="-",
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
        kept = ["model", "p", "score", *dict.fromkeys([x, "weight_bytes", "bits_per_weight", "compression", "seeds"])]
        figures.table(
            best[kept],
            "front_table",
            f"front-{task}",
            column_config=columns | {"seeds": "Seeds"},
            alt="The Pareto front",
        )
    else:
        show(run)
