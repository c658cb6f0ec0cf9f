"""Memory maps as pictures: blocks in address order, drawn to one scale. Values in, plotly figure out, as in ``tbn.charts``."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tbn.charts import COLOURS, MARGIN, NEUTRAL, bytes_text, with_alt

COLUMNS = ["storage", "method", "name", "bytes", "note"]


def memory_map(
    blocks: pd.DataFrame, axis: str = "Address in the weights' memory (bytes)", what: str = "Memory of the weights"
) -> go.Figure:
    """Where the bytes are: a row of blocks a storage, in address order and drawn to one scale.

    Args:
        blocks: columns ``storage`` (row, for instance "binary"), ``method`` (its colour), ``name``, ``bytes``; optionally ``note``.
    """
    figure, totals = go.Figure(), {}
    for storage in list(dict.fromkeys(blocks["storage"]))[::-1]:
        part = blocks[blocks["storage"] == storage]
        start, totals[storage] = part["bytes"].cumsum() - part["bytes"], int(part["bytes"].sum())
        notes = part["note"] if "note" in part else [""] * len(part)
        figure.add_bar(
            y=[f"<b>{storage}</b><br>{bytes_text(totals[storage])}"] * len(part), x=part["bytes"], base=start, orientation="h", name=storage,
            marker={"color": [COLOURS.get(m, NEUTRAL) for m in part["method"]], "opacity": [1.0 if i % 2 == 0 else 0.7 for i in range(len(part))]},
            text=part["name"], textposition="inside", insidetextanchor="middle", textangle=0, showlegend=False,
            customdata=[[n, f"{s:,} to {s + b - 1:,}", f"{b:,}", t] for n, s, b, t in zip(part["name"], start, part["bytes"], notes, strict=True)],
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[2]} bytes, at %{customdata[1]}<br>%{customdata[3]}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title=axis, rangemode="tozero")
    figure.update_layout(
        height=86 + 62 * len(totals),
        margin=MARGIN | {"t": 10},
        barmode="overlay",
        bargap=0.25,
        uniformtext={"mode": "hide", "minsize": 9},
    )
    told = ", ".join(f"{storage} {count:,} bytes" for storage, count in reversed(totals.items()))
    return with_alt(figure, f"{what}, block by block: {told}.")


def layer_blocks(layers: Sequence[Mapping[str, Any]], method: str) -> pd.DataFrame:
    """The blocks of ``memory_map`` for a run's layers (``size.layers`` of its result): fp32, binary, and the run's own when it is tiled."""
    rows: list[dict[str, Any]] = []
    for storage in ("fp32", "binary", "tiled") if method == "tiled" else ("fp32", "binary"):
        for layer in layers:
            weights, own = int(layer["weights"]), storage == "tiled"
            count = {"fp32": 4 * weights, "binary": math.ceil(weights / 8) + 4, "tiled": int(layer["bytes"])}[storage]
            status = layer["status"] if own else storage
            note = {"fp32": "32 bits a weight", "binary": "1 bit a weight and one alpha"}.get(status)
            note = note or f"p = {layer['p']}: a tile of {layer['q']:,} bits, and its alphas"
            rows.append({"storage": storage, "method": status, "name": layer["name"], "bytes": count, "note": note})
    return pd.DataFrame(rows, columns=COLUMNS)


def firmware_blocks(predicted: pd.DataFrame, linked: pd.DataFrame | None, methods: Mapping[str, str]) -> pd.DataFrame:
    """The blocks of ``memory_map`` for a firmware: flash and RAM, predicted beside linked; neighbours of one owner are one block.

    Args:
        predicted, linked: as ``tbn.memory.frame`` gives them: region, address, bytes, symbol, owner; ``linked`` None where nothing is built.
        methods: of each layer; every other owner is drawn as "code".
    """
    rows: list[dict[str, Any]] = []
    for region, name in (("flash", "flash"), ("ram", "RAM")):
        for source, frame in (("predicted", predicted), ("linked", linked)):
            if frame is None:
                continue
            part = frame[frame["region"] == region].sort_values("address", kind="stable", na_position="last")
            if (
                source == "predicted"
            ):  # a prediction has no addresses: one block an owner, in the order in which they come
                part = part.assign(
                    order=part["owner"].map({owner: i for i, owner in enumerate(part["owner"].unique())})
                ).sort_values("order", kind="stable")
            neighbours = part.groupby((part["owner"] != part["owner"].shift()).cumsum())
            for _, group in neighbours:
                owner, symbols = str(group["owner"].iloc[0]), [symbol for symbol in group["symbol"] if symbol]
                note = ", ".join(symbols[:4]) + (f" and {len(symbols) - 4} more" if len(symbols) > 4 else "")
                rows.append(
                    {
                        "storage": f"{name}, {source}",
                        "method": methods.get(owner, "code"),
                        "name": owner,
                        "bytes": int(group["bytes"].sum()),
                        "note": note,
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def comparison(predicted: pd.DataFrame, linked: pd.DataFrame) -> pd.DataFrame:
    """Bytes by region and owner, predicted beside linked; the last row of a region is its total. Columns: region, owner, predicted, linked."""
    rows: list[dict[str, Any]] = []
    for region in ("flash", "ram"):
        sums = [
            frame[frame["region"] == region].groupby("owner", sort=False)["bytes"].sum().to_dict()
            for frame in (predicted, linked)
        ]
        owners = list(dict.fromkeys([*sums[0], *sums[1]]))
        rows += [
            {"region": region, "owner": one, "predicted": int(sums[0].get(one, 0)), "linked": int(sums[1].get(one, 0))}
            for one in owners
        ]
        rows.append(
            {
                "region": region,
                "owner": "all",
                "predicted": int(sum(sums[0].values())),
                "linked": int(sum(sums[1].values())),
            }
        )
    return pd.DataFrame(rows, columns=["region", "owner", "predicted", "linked"])


def arena_plan(parts: pd.DataFrame) -> go.Figure:
    """The plan of the arena: a row for each tensor, drawn where it lies; those that share bytes live at different times.

    Args:
        parts: columns ``name``, ``start``, ``bytes``, in the order in which the operations write them.
    """
    figure = go.Figure()
    total = int((parts["start"] + parts["bytes"]).max()) if len(parts) else 0
    scratch = parts["name"].str.contains(" of an operation|table:")
    figure.add_bar(
        y=[f"{number + 1}. {name}" for number, name in enumerate(parts["name"])], x=parts["bytes"], base=parts["start"], orientation="h",
        marker={"color": [NEUTRAL if one else COLOURS["tiled"] for one in scratch]},
        customdata=[[f"{start:,} to {start + size - 1:,}", f"{size:,}"] for start, size in zip(parts["start"], parts["bytes"], strict=True)],
        hovertemplate="<b>%{y}</b><br>%{customdata[1]} bytes, at %{customdata[0]}<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title=f"Address in the arena (of {total:,} bytes)", rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=110 + 22 * len(parts), margin=MARGIN | {"t": 10}, bargap=0.2)
    told = ", ".join(
        f"{name} at {start:,}" for name, start in list(zip(parts["name"], parts["start"], strict=True))[:12]
    )
    return with_alt(figure, f"Plan of the arena of {total:,} bytes: {told}.")
