"""Compare: two to four runs of a task beside each other; what differs, how they learned, what they weigh, what they answer."""

from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts import compare_choice, data, figures, later, names, samples_panel, words
from pages.parts.choose import describe
from tbn import charts, compare_charts, comparing, runs
from tbn.marks import Network
from tbn.room import with_room
from tbn.scores import METRICS

frame = data.finished().drop_duplicates("run")
if frame.empty:
    words.nothing_yet(f"There is no finished run in `{runs.runs_root()}` yet, so there is nothing to compare.")
    st.stop()
chosen = compare_choice.run_boxes(frame)
if len(chosen) < 2:
    words.nothing_yet(
        f"Choose {2 - len(chosen)} more run{'s' * (not chosen)} above to compare: two to four." if len(frame) > 1 else
        "There is only one finished run, so there is nothing to compare it with."
    )  # fmt: skip
    st.stop()
rows = frame.set_index("run").loc[chosen].reset_index()
folders = [runs.Run(Path(path)) for path in rows["path"]]
plain = [describe(row) for _, row in rows.iterrows()]
networks = [
    Network(f"{letter} · {text}" + f", seed {row['seed']}" * (plain.count(text) > 1), str(row["method"]), place)
    for place, (letter, text, (_, row)) in enumerate(zip(comparing.LETTERS, plain, rows.iterrows(), strict=False))
]
results = [run.result or {} for run in folders]
metric = str(rows["metric"].iloc[0])

table = pd.DataFrame({
    "": [network.name for network in networks],
    METRICS[metric].label: [charts.score_text(metric, score) for score in rows["score"]],
    "weights (bytes)": rows["weight_bytes"], "bits a weight": rows["bits_per_weight"].round(3), "all (bytes)": rows["total_bytes"],
    "MACs computed": rows["macs_computed"], "trained in (s)": rows["seconds"].round(), "run": rows["run"],
})  # fmt: skip
whole = {
    name: st.column_config.NumberColumn(format="localized")
    for name in ("weights (bytes)", "all (bytes)", "MACs computed")
}
figures.table(table, "compared", "compare", alt="Score and size of each run", export=rows, column_config=whole)
if rows["data_source"].nunique() > 1:
    st.warning("These runs were tested on different data: their scores do not compare.", icon=":material/warning:")

left, right = st.columns(2, gap="large")
with left:
    st.subheader("What differs", anchor=False)
    settings = comparing.differences([run.config for run in folders], results)
    everything = st.toggle("Show equal rows, too", key="equal", bind="query-params")
    apart = settings if everything else settings[~settings["equal"]]
    if apart.empty:
        st.info("Nothing: these runs have one configuration and were made alike.", icon=":material/equal:")
    else:
        figures.table(
            apart.drop(columns="equal"), "settings", "settings", alt="Settings of each run, a row a setting", export=settings,
            column_config={letter: network.name for letter, network in zip(comparing.LETTERS, networks, strict=False)},
        )  # fmt: skip
    st.caption(f"{int(settings['equal'].sum())} of {len(settings)} settings are equal.")
with right:
    st.subheader("What they weigh", anchor=False)
    weights = [result["size"] for result in results]
    figures.draw(with_room(compare_charts.sizes(weights, networks)), "sizes", "compare-sizes", bar=False)

    def layers() -> None:
        """Drawn in an expander."""
        figures.draw(with_room(compare_charts.layers(weights, networks)), "layers", "compare-layers", bar=False)

    later.expander("Layer by layer", layers, icon=":material/layers:", key="by_layer")
st.subheader("How they learned", anchor=False)
metrics = [run.metrics() for run in folders]
for place, what in zip(st.columns(2, gap="large"), (metric, "mae" if metric == "mse" else "loss"), strict=True):
    with place:
        figure = with_room(compare_charts.curves(metrics, networks, what))
        figures.draw(figure, f"curve_{what}", f"compare-{what}", bar=False)
st.caption(
    "Solid lines of full strength: test set; faint: training set. Colour is the method, dashes tell networks of one method apart."
)

st.subheader("The same inputs through each", anchor=False)
st.caption(names.title(str(rows["task"].iloc[0])))
samples_panel.draw(list(rows["path"]), networks)

ids = ", ".join(repr(run) for run in chosen)
words.copy_as(
    f"""from tbn import compare_charts, comparing, prediction_charts, runs
from tbn.marks import Network
from tbn.predictions import predict

found = [runs.find(run) for run in ({ids})]
networks = [Network(run.id, {{0: "fp32", 1: "binary"}}.get(run.config["p"], "tiled"), place) for place, run in enumerate(found)]
table = comparing.differences([run.config for run in found], [run.result for run in found])
print(table[~table["equal"]])
compare_charts.curves([run.metrics() for run in found], networks, {metric!r}).show()
answers = comparing.aligned([predict(run) for run in found])
for panel in prediction_charts.sample(answers, 0, networks):
    panel.figure.show()""",
    "\n".join(
        f"tbn eval {run} --engine {'packed' if p else 'latent'}" for run, p in zip(chosen, rows["p"], strict=True)
    ),
)
