"""The trade-off's choices as Python: the same figure by the public functions."""

from pages.parts.tradeoff_choices import OF_TILES, PLACES, Choices


def as_python(task: str, chosen: Choices) -> str:
    """A script that draws the figure of these choices."""
    measured = chosen.axis.unit == "ms" or chosen.axis.on_board
    lines = ["from tbn import charts, runs"] + ["from tbn.measured import with_measured"] * measured
    lines += [
        "",
        "frame = runs.frame()",
        f'shown = frame[(frame["state"] == "complete") & (frame["task"] == {task!r})]',
    ]
    if chosen.data is not None:
        lines.append(f'shown = shown[shown["data_source"] == {chosen.data!r}]')
    for column, values in chosen.filters.items():
        plain = [_plain(column, value) for value in values]
        also = ' | (shown["p"] == 0)' if column in OF_TILES else ""
        lines.append(f'shown = shown[shown["{column}"].isin({plain!r}){also}]')
    if measured:
        lines.append(f"shown = with_measured(shown, board={chosen.board!r})")
    more = [f"x={chosen.axis.column!r}", f"y={chosen.metric.name!r}"]
    more += (
        ["log=False"] * (not chosen.log)
        + ["only_front=True"] * chosen.only_front
        + [f"where={chosen.where!r}"] * bool(chosen.where)
    )
    return "\n".join([*lines, f"charts.tradeoff(shown, {', '.join(more)}).show()"])


def _plain(column: str, value: str) -> str | int:
    """What the frame has for a word of a box."""
    if column == "p":
        return {"fp32": 0, "binary": 1}[value] if value[1:] and not value[1:].isdigit() else int(value[1:])
    return {told: name for name, told in PLACES.items()}.get(value, value) if column == "source" else value
