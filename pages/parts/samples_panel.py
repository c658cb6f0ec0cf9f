"""The same test samples through one to four networks, with their answers side by side; and where each of them errs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from pages.parts import data, figures, words
from tbn import comparing, prediction_charts
from tbn.errors import TBNError
from tbn.marks import Network
from tbn.predictions import Predictions, predict
from tbn.room import with_room
from tbn.scores import METRICS

LABELS = {"images": "images", "segmentation": "pixels", "points": "shapes"}
HELP = {
    "test set": "as they lie in the test set",
    "they differ": "only those with different answers, most different first",
    "hardest": "those that most networks have wrong first",
}


@st.cache_resource(max_entries=8, show_spinner="Asking the network")
def _predictions(path: str, stamp: tuple[int, ...]) -> Predictions:
    return predict(path)


def predictions_of(path: str) -> Predictions:
    """A run's predictions, kept while its weights do not change.

    Raises:
        TBNError: as ``tbn.predictions.predict``.
    """
    return _predictions(path, data.weights_stamp(Path(path)))


def draw(paths: Sequence[str], networks: Sequence[Network]) -> None:
    """The panel for these run folders. What cannot be predicted is said in a sentence."""
    found, kept = [], []
    for path, network in zip(paths, networks, strict=True):
        try:
            found.append(predictions_of(path))
            kept.append(network)
        except TBNError as error:
            st.info(words.told(f"{network.name}: {error.message}", error.fix), icon=":material/visibility_off:")
    if not found:
        return
    try:
        found = comparing.aligned(found)
    except TBNError as error:
        st.info(words.told(error.message, error.fix), icon=":material/visibility_off:")
        return
    _draw_samples(found, kept)
    _draw_agreement(found, kept)


@st.fragment
def _draw_samples(found: Sequence[Predictions], networks: Sequence[Network]) -> None:
    first = found[0]
    several = len(found) > 1
    with st.container(horizontal=True, vertical_alignment="bottom"):
        orders = [name for name in comparing.ORDERS if several or name != "they differ"]
        told = "; ".join(f"{name}: {HELP[name]}" for name in orders)
        by = st.segmented_control(
            "Samples", orders, default=orders[0], required=True, key="samples_by", bind="query-params", help=told
        )
        places = comparing.order(found, str(by or orders[0]))
        if not len(places):
            st.info(f"All of them give the same answers to all {len(first):,} test samples.", icon=":material/equal:")
            return
        at = st.number_input(
            f"Which of {len(places):,}", 1, len(places), 1, key="sample", bind="query-params", width=170, help="plus and minus step through them"
        )  # fmt: skip
        channel = 0
        if first.kind == "forecasting":
            chosen = st.selectbox("Channel", first.classes, key="channel", bind="query-params", width=240)
            channel = first.classes.index(str(chosen)) if chosen in first.classes else 0
    panels = prediction_charts.sample(found, int(places[int(at) - 1]), networks, channel)
    with st.container(horizontal=True, gap="medium"):
        for number, panel in enumerate(panels):
            with st.container(width="stretch" if panel.wide and len(panels) == 1 else 560 if panel.wide else 290):
                st.markdown(f"**{words.escape(panel.title)}**")
                figures.draw(
                    with_room(panel.figure),
                    f"panel_{number}",
                    f"sample-{first.task}-{number}",
                    bar=False,
                    width="stretch" if panel.wide else "content",
                )
    notes = [f"{first.source}; {first.credit}"]
    if len(first) < first.total:
        notes.append(f"{len(first):,} of {first.total:,} test samples, evenly spaced")
    if first.kind in ("segmentation", "parts", "scenes"):
        notes.append("Colour is the class; opaque pixels, or crosses, are wrong")
    st.caption(words.escape(". ".join(notes)) + ".")


def _draw_agreement(found: Sequence[Predictions], networks: Sequence[Network]) -> None:
    """How many labels are right for one network only, and where each errs."""
    first = found[0]
    if first.kind == "forecasting":
        st.markdown(
            "**The further ahead, the harder**: error of each step of the forecast, over all windows and channels"
        )
        figure = with_room(prediction_charts.forecast_errors(found, networks))
        figures.draw(figure, "errors", f"forecast-errors-{first.task}", bar=False)
        return
    what = LABELS.get(first.kind, "points")
    if len(found) > 1:
        table = comparing.agreement(found)
        st.markdown("\n".join(
            f"- **{row['pair']}** agree on {row['same']:.1%} of {row['labels']:,} {what}; only {row['pair'][0]} is right on {row['only_first']:.1%}, "
            f"only {row['pair'][-1]} on {row['only_second']:.1%}."
            for row in table.to_dict("records")
        ))  # fmt: skip
    st.markdown("**What each class is taken for**")
    with st.container(horizontal=True, gap="medium"):
        for number, (one, network) in enumerate(zip(found, networks, strict=True)):
            with st.container(width="stretch" if len(found) == 1 else 520):
                share = np.average(one.per_sample)
                right = f": {METRICS['accuracy'].text(float(share))} right" if one.kind in ("images", "points") else ""
                st.markdown(f"{words.escape(network.name)}{right}")
                figure = with_room(prediction_charts.confusion(one))
                figures.draw(figure, f"confusion_{number}", f"confusion-{one.run}", bar=False)
