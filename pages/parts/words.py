"""The words that pages share: errors as sentences, empty states, and every page's choice as a command."""

import json
import logging
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import streamlit as st

from tbn.errors import TBNError
from tbn.recipes import RECIPES

TRAIN = "pages/run/train.py"
DEFAULTS = {  # of ``tbn train``, in the order in which a command names them
    "warm_start": None, "teacher": None, "distillation": 0.5, "temperature": 2.0, "accumulate": 1, "ema": 0.0,
    "order": "rows", "estimator": "identity", "standardise": False, "progressive": 0.0, "norm_batches": 0, "data": "auto", "data_root": None,
    "device": "cpu", "devices": 1, "nodes": 1, "precision": "32-true",
}  # fmt: skip


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """An error of ours is shown with its fix; a bug goes to the server's log and is shown as one sentence. Never a traceback."""
    try:
        yield
    except TBNError as error:
        sentence(error)
    except ImportError as error:
        extra = "pip install 'tbn-explorer[app,firmware]'"
        sentence(TBNError(f"the Python package {error.name} is not installed", extra))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        logging.getLogger("tbn.explorer").exception("a page failed")
        st.error(
            f"This page could not be drawn ({type(error).__name__}: {error}). The server's log has the details.",
            icon=":material/error:",
        )


def sentence(error: TBNError) -> None:
    """Show an error of ours."""
    st.error(told(error.message, error.fix), icon=":material/error:")


def told(message: str, fix: str) -> str:
    """An error and its fix as two sentences of Markdown."""
    message = message.rstrip(".")
    plain = message.split(" ")[0].isalpha()  # "p=3 ..." and names keep their first letter
    first = escape(message[:1].upper() + message[1:] if plain else message)
    return f"{first}.  \n**What to do:** {escape(fix)}." if fix else f"{first}."


def escape(text: str) -> str:
    """Plain text inside Markdown."""
    return "".join(f"\\{mark}" if mark in "\\`*_[]$<>#~:" else mark for mark in text)


def nothing_yet(
    text: str,
    page: str = TRAIN,
    label: str = "Train a network",
    icon: str = ":material/model_training:",
    query: dict[str, str] | None = None,
) -> None:
    """An empty state: what is missing, and the way to get it."""
    with st.container(border=True, horizontal_alignment="left"):
        st.markdown(text + (" Train one." if page == TRAIN else ""))
        st.page_link(page, label=label, icon=icon, query_params=query)


def place_for_code() -> None:
    """Beside the title: where this page's ``copy_as`` will be."""
    st.session_state["place_for_code"] = st.container(key="code", width="content")


def copy_as(python: str, cli: str | None = None) -> None:
    """What this page shows as code, beside its title: Python that makes it with the public functions, and the command if there is one.

    A page calls it once, outside fragments, with its present choices.
    """
    place = st.session_state.get("place_for_code") or st.container(key="code")
    with place.popover("Copy as code", icon=":material/code:", type="tertiary", key="copy_as"):
        st.markdown("**Python**")
        st.code(python.strip(), language="python", wrap_lines=True)
        if cli is not None:
            st.markdown("**Command line**")
            st.code(cli.strip(), language="bash", wrap_lines=True)


def train_command(config: Mapping[str, Any]) -> str:
    """The command line that trains this configuration."""
    return shlex.join(["tbn", "train", *train_arguments(config)])


def train_arguments(config: Mapping[str, Any]) -> list[str]:
    """Options of ``tbn train``; what is missing, None or the command's own default is left to it."""
    found = ["--task", config["task"], "--model", config["model"], "--p", config["p"]]
    if config["p"]:
        for name in ("min_layer_size", "alpha", "alpha_source"):
            found += [] if config.get(name) is None else [_option(name), config[name]]
        for pattern in config.get("exclude") or ():
            found += ["--exclude", pattern]
        for pattern, factor in (config.get("per_layer") or {}).items():
            found += ["--per-layer", f"{pattern}={factor}"]
    for option in ("task_args", "model_args"):
        for name, value in (config.get(option) or {}).items():
            found += [_option(option[:-1]), f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    if config.get("epochs") is not None:
        found += ["--epochs", config["epochs"]]
    for name, default in (_recipe_defaults(config) | DEFAULTS).items():
        if config.get(name) not in (None, default):
            found += [_option(name), *([] if config[name] is True else [config[name]])]  # a flag has no value
    return [str(word) for word in [*found, "--seed", config.get("seed", 0)]]


def _recipe_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run has when its recipe decides."""
    chosen = RECIPES.get(config.get("recipe") or "adamw", RECIPES["adamw"])
    warm = config.get("warm_start") and config.get("alpha_source", "separate") == "separate"
    return {
        "recipe": "adamw", "batch_size": chosen.batch_size, "lr": chosen.lr, "label_smoothing": chosen.label_smoothing,
        "augment": chosen.augmentation, "alpha_init": "weight" if warm else chosen.alpha_init,
    }  # fmt: skip


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
