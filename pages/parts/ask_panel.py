"""A board is asked, and the float model beside it: both answers, the ticks, and whether the same C here gives the same bits."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.parts import address, figures, question, words
from pages.parts.question import Question
from tbn import answer_charts, prediction_charts, predictions, runs
from tbn.boards import asking
from tbn.boards.building import Place
from tbn.boards.console import Console
from tbn.errors import TBNError
from tbn.export.report import INTEGER, PRECISIONS, ExportReport
from tbn.export.run import exported
from tbn.tasks import Task


@dataclass(frozen=True)
class Told:
    """A question with its answers.

    Attributes:
        run, model_hash: whose network the board runs.
        model: outputs of the model in floating point.
        exact: whether the same C on this computer gives the same bits; None: not asked.
    """

    question: Question
    run: str
    model_hash: str
    board: asking.Answer
    model: NDArray[np.float32] | None = None
    exact: bool | None = None


@st.cache_resource(max_entries=2, show_spinner=False)
def _task(path: str, changed: int) -> Task:
    return predictions.task_of(runs.Run(runs.Path(path)))


@st.cache_resource(max_entries=2, show_spinner="Loading the model in floating point")
def _float_model(path: str, changed: int) -> Any:
    return asking.float_model(runs.Run(runs.Path(path)))


def flashed(place: Place, console: Console | None) -> ExportReport | None:
    """The export that the board runs: of the precisions that were generated the one with the board's hash."""
    if console is None or console.closed or console.info is None:
        return None
    found = (exported(place.run, precision) for precision in PRECISIONS)
    hash_of = console.info.model_hash
    return next((report for report in found if report is not None and report.model_hash == hash_of), None)


def draw(place: Place, console: Console | None, method: str, unit: str) -> None:
    """The whole panel, redrawn by itself when something in it changes.

    Args:
        method: how the run's weights are stored, which gives the colour.
        unit: what a tick of this board is.
    """

    def look() -> None:
        with words.errors_as_sentences():  # a fragment's own rerun does not pass through app.py
            _panel(place, console, method, unit)

    st.subheader("Ask it", anchor=False)
    st.fragment(look)()


def _panel(place: Place, console: Console | None, method: str, unit: str) -> None:
    changed = (place.run.path / "result.json").stat().st_mtime_ns
    try:
        task = _task(str(place.run.path), changed)
    except TBNError as error:  # the line can be used all the same
        st.info(words.told(error.message, error.fix), icon=":material/database_off:")
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        asked_of = question.draw(task)
    with right:
        export = flashed(place, console)
        with st.container(horizontal=True, vertical_alignment="center"):
            asked = st.button(
                "Ask the board", type="primary", icon=":material/send:", key="ask", disabled=export is None
            )
            live = st.toggle(
                "At every change", value=True, key="live", bind="query-params", help="Ask whenever the input changes"
            )
            compare = st.toggle(
                "The same C here", key="same_c", bind="query-params",
                help="Compile the same C on this computer, once, and compare its answer with the board's: bit for bit in whole numbers",
            )  # fmt: skip
        if console is None or console.closed or console.info is None:
            st.info("**Connect** to the board first; then it answers here.", icon=":material/usb:")
            return
        if export is None:
            st.warning(
                f"The board runs model `{console.info.model_hash}`, which is not this run's. Flash it first.",
                icon=":material/bolt:",
            )
            return
        told: Told | None = st.session_state.get("told")
        if told is not None and (told.run, told.model_hash) != (place.run.id, export.model_hash):
            told = None
        new = told is None or told.question.key != asked_of.key
        if asked or (live and new and asked_of.sample.any()):
            told = Told(asked_of, place.run.id, export.model_hash, asking.ask(console, export, asked_of.sample))
        if told is None:
            st.caption("Draw something, or press **Ask the board**.")
            return
        model = (str(place.run.path), changed)
        st.session_state["told"] = _answers(told, task, export, (method, unit), model, compare)
        if told.question.key != asked_of.key:
            st.caption("This was the answer to an earlier input.")


def _answers(
    told: Told, task: Task, export: ExportReport, drawn: tuple[str, str], model: tuple[str, int], compare: bool
) -> Told:
    """Show the board's answer at once and the float model's when it is there; returns what is known then."""
    (method, unit), board = drawn, told.board
    with st.container(horizontal=True):
        _said("The board", board.outputs, told, task)
        second = st.empty()  # where the float model's will be
        st.metric(unit.capitalize(), f"{board.ticks:,}", width="content", help="Of one inference, as the board counts")
        seconds = "From the question to the answer, on this computer's clock"
        st.metric("Round trip", f"{1000 * board.seconds:,.0f} ms", width="content", help=seconds)
    if told.model is None:
        told = replace(told, model=_float_model(*model)(told.question.sample))
    assert told.model is not None
    with second:
        _said("The float model", told.model, told, task)
    answers = {"the board": board.outputs, "the float model": told.model}
    if task.kind == "forecasting":
        channel = task.classes.index(address.buttons("Channel", list(task.classes), task.classes[0], "channel"))
        found = [question.as_predictions(who, task, told.question, outputs) for who, outputs in answers.items()]
        networks = [prediction_charts.Network(who, method, place) for place, who in enumerate(answers)]
        figure = prediction_charts.forecast(found, 0, networks, channel)
    else:
        shares = {who: asking.probabilities(outputs) for who, outputs in answers.items()}
        figure = answer_charts.classes(task.classes, shares, told.question.truth(task), method)
    figures.draw(figure, "answer", f"{task.name} answer", bar=False)
    difference = float(np.abs(board.outputs - told.model).max() / max(1e-9, float(np.abs(told.model).max())))
    st.caption(
        f"The board computes in {'whole numbers' if export.precision == INTEGER else 'float32'}; the float model has the same signs and alphas. "
        f"Largest difference {difference:.1e} of the largest output."
    )
    if compare:
        if told.exact is None:
            with st.spinner("Compiling the same C here"):
                told = replace(told, exact=bool(np.array_equal(board.raw, asking.same_c(export, told.question.sample))))
        exact = "**bit for bit the board's answer**" if told.exact else "another answer than the board's"
        st.caption(f"The same C on this computer gives {exact}.")
    return told


def _said(who: str, outputs: NDArray[np.float32], told: Told, task: Task) -> None:
    """A classifier's answer as a word, and whether it is right."""
    if task.kind == "forecasting":
        return
    best, truth = int(outputs.argmax()), told.question.truth(task)
    mark = "" if truth is None else " ✓" if best == truth else " ✗"
    st.metric(who, task.classes[best] + mark, width="content")


def python_of(place: Place, port: str | None) -> str:
    """What the page does, in Python."""
    return f"""from tbn.boards.asking import ask, float_model
from tbn.boards.building import place_of
from tbn.boards.console import open_console
from tbn.export.run import export_run
from tbn.tasks.of_run import task_of

place = place_of("{place.run.id}", "{place.board.name}")
sample = task_of(place.run).test_inputs[{st.query_params.get("test_image", 0)}]
console = open_console(place, "{port or "emulator"}")
answer = ask(console, export_run(place.run), sample)
print(answer.outputs, answer.ticks, float_model(place.run)(sample))
print(*(entry.line() for entry in console.entries()), sep="\\n")
console.close()"""


def unit_of(console: Console | None, emulated: bool) -> str:
    """What a tick is: emulated boards count instructions."""
    return "instructions" if emulated or console is None or console.info is None else console.info.tick_unit
