"""Bringing a data set, and what was found in it."""

import io
from pathlib import Path

import streamlit as st

from pages.parts import choose, figures, live, names, words
from tbn import data_charts, tasks, uploads
from tbn.tasks import table

LAYOUTS = """\
import numpy as np

# images: (N, height, width[, channels]), 0..255 or 0..1; classes as numbers or words
np.savez_compressed("mine.npz", x_train=x, y_train=y, x_test=x2, y_test=y2)
np.savez_compressed("mine.npz", x=x, y=y, classes=["cat", "dog"])  # one in five is drawn for testing
# images with masks: y is (N, height, width), 0, 1, ... and 255 for pixels that do not count
# point clouds: x is (N, points, 3)

# table.csv: a line of names, then numbers with a class in each row       a,b,label
#                                                                         0.3,7,yes
# series.csv: the date first, then a column a channel                     date,load
#                                                                         2024-01-31 23:00,41.2"""


def bring_data() -> None:
    """The uploader for data sets, with the button that checks and keeps the file."""
    file = st.file_uploader(
        "An .npz or .csv file", type=["npz", "csv"], key="data_file", max_upload_size=uploads.MOST_MB,
        help="It is checked here, kept on the machine that runs this server, and read by the training. Nothing is unpickled.",
    )  # fmt: skip
    label = _label_box(file) if file is not None and file.name.lower().endswith(".csv") else None
    st.button(
        "Check and keep",
        type="primary",
        icon=":material/inventory:",
        key="keep",
        disabled=file is None,
        on_click=_keep,
        args=(file, label),
    )
    _tell()
    with st.expander("How a file has to look", icon=":material/description:"):
        st.code(LAYOUTS, language="python", wrap_lines=True)
        st.download_button(
            "An example: 1,797 digits",
            example,
            "digits-example.npz",
            key="example",
            on_click="ignore",
            icon=":material/download:",
        )


def example() -> bytes:
    """A small data set as an .npz: scikit-learn's digits."""
    import numpy as np

    digits, found = tasks.create("digits"), io.BytesIO()
    np.savez_compressed(
        found, x_train=digits.train_inputs[:, 0] * 15, y_train=digits.train_targets, x_test=digits.test_inputs[:, 0] * 15, y_test=digits.test_targets
    )  # fmt: skip
    return found.getvalue()


def draw_data(upload: uploads.Upload) -> None:
    """One kept data set: what is in it, and what can be done with it."""
    st.subheader(upload.name, anchor=False)
    shape = " x ".join(map(str, upload.shape))
    with st.container(horizontal=True):
        st.metric("Training", f"{upload.train:,}", width="content")
        st.metric("Test", f"{upload.test:,}", width="content")
        st.metric("One input", shape, width="content")
        st.metric(
            "Channels" if upload.task == "csv_forecast" else "Classes", f"{len(upload.classes):,}", width="content"
        )
    st.caption(
        words.escape(f"{names.title(upload.task)}: {upload.source}. {upload.bytes:,} bytes, kept {upload.date[:10]}.")
    )
    here = {"task": upload.task, "file": upload.name}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("pages/run/train.py", label="Train on it", icon=":material/model_training:", query_params=here)
        st.page_link(
            "pages/explore/tradeoff.py",
            label="Its runs",
            icon=":material/scatter_plot:",
            query_params={"task": upload.task},
        )
        with st.popover("Delete", icon=":material/delete:", type="tertiary", key="delete"):
            st.markdown("Runs that were trained on it stay, but cannot be tested again.")
            st.button("Delete it", key="delete_it", on_click=_remove, args=(upload.name,))
    for number, figure in enumerate(_figures(upload.name, str(upload.folder), upload.date)):
        figures.draw(figure, f"data_{number}", f"data-{upload.name}-{number}", bar=False)


@st.cache_resource(max_entries=8, show_spinner="Reading")
def _figures(name: str, folder: str, date: str) -> list:  # type: ignore[type-arg]
    upload = uploads.read(Path(folder) / name)
    return data_charts.overview(upload.load()) if upload is not None else []


def _label_box(file: io.BytesIO) -> str | None:
    """The column of classes of a table; None for a series."""
    path = Path(str(getattr(file, "name", "table.csv")))
    columns = list(table.read(io.BytesIO(file.getvalue()), rows=1, name=path.name).columns)
    if columns[0].strip().lower() == "date":
        st.caption("The first column is a date: a series to forecast.")
        return None
    usual = table.label_column(columns, None, path)
    return st.selectbox("Column of classes", columns, index=columns.index(usual), key="label")


def _keep(file: io.BytesIO, label: str | None) -> None:
    def work() -> None:
        kept = uploads.keep(str(getattr(file, "name", "")), file.getvalue(), label=label)
        choose.remember("dataset", kept.name)
        st.session_state["kept"] = f"**{words.escape(kept.name)}** is kept: {words.escape(kept.source)}."

    live.trying(work)


def _tell() -> None:
    live.notice()
    if (told := st.session_state.pop("kept", None)) is not None:
        st.success(told, icon=":material/check_circle:")


def _remove(name: str) -> None:
    uploads.remove(name)
    choose.remember("dataset", None)
