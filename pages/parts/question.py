"""What a board is asked: a drawing, where the task's pictures can be drawn, or a sample of the test set."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.parts import address, canvas, figures
from tbn import drawing, sample_pictures
from tbn.predictions import Predictions
from tbn.tasks import Task

DRAW, TEST = "draw", "test"
WORDS = {DRAW: "Draw it", TEST: "Test set"}
MOST_SIDE = 64  # pixels of a picture that can be drawn
SIDE = 280  # pixels of a shown picture
CENTRED = ("mnist", "digits")  # tasks whose pictures are in the middle


@dataclass(frozen=True)
class Question:
    """What is asked: a raw sample, and its place in the test set (None: drawn)."""

    sample: NDArray[Any]
    index: int | None = None

    @property
    def key(self) -> tuple[int | None, bytes]:
        """Tells questions apart."""
        return self.index, self.sample.tobytes()

    def truth(self, task: Task) -> int | None:
        """The right class, where there is one."""
        return None if self.index is None or task.kind == "forecasting" else int(task.test_targets[self.index])


def draw(task: Task) -> Question:
    """Choose the input and show it; every choice is in the address but the drawing itself."""
    shape = task.input_shape
    if not (task.kind == "images" and shape[0] == 1 and max(shape[1:]) <= MOST_SIDE):
        return _sample(task)
    if address.buttons("Input", [DRAW, TEST], TEST, "input", WORDS.get) == TEST:
        return _sample(task)
    pixels = canvas.draw(f"Canvas of {shape[2]} x {shape[1]} pixels: draw for {task.name}", shape[1], shape[2])
    centred = st.toggle(
        "Centre it", value=task.name in CENTRED, key="centred", bind="query-params",
        help="Scale and move the drawing as MNIST's digits are: into a box of 20 of 28 pixels, its centre of mass in the middle",
    )  # fmt: skip
    return Question(drawing.prepare(pixels, brightest(task), centred and bool(pixels.any())))


def _sample(task: Task) -> Question:
    count = len(task.test_targets)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = st.number_input(
            "Test sample", 0, count - 1, 0, key="test_image", bind="query-params", help=f"0 to {count - 1:,}", width=150
        )
        st.button("Another", icon=":material/casino:", key="another", on_click=_another, args=(count,))
    question = Question(np.asarray(task.test_inputs[index]), int(index))
    if task.kind == "images":
        picture = question.sample.astype(np.float32).transpose(1, 2, 0) / max(1, brightest(task))
        side = max(1, SIDE // picture.shape[0])
        said = f"Test image {index} of {task.name}: {task.classes[int(task.test_targets[index])]}"
        st.image(np.kron(picture, np.ones((side, side, 1), np.float32)).squeeze(), caption=said, alt=said, clamp=True)
    elif task.kind == "points":
        nothing = as_predictions("", task, question, np.zeros(len(task.classes), np.float32))
        figures.draw(sample_pictures.cloud(nothing, 0, None, ""), "cloud", f"{task.name} {index}", bar=False)
    return question


def _another(count: int) -> None:
    st.session_state["test_image"] = int(np.random.default_rng().integers(count))


def brightest(task: Task) -> int:
    """The largest value of a picture: 255, or 16 of scikit-learn's digits."""
    return int(np.asarray(task.test_inputs[:200]).max())


def as_predictions(who: str, task: Task, question: Question, outputs: NDArray[np.float32]) -> Predictions:
    """One answer to one question in the form that the charts of predictions take."""
    index = question.index or 0
    target = np.asarray(task.test_targets[index : index + 1])
    return Predictions(
        who, task.name, task.kind, "packed", task.source, task.credit, question.sample[None], target, outputs[None], task.classes, np.array([index]),
        len(task.test_targets),
    )  # fmt: skip
