"""Charts of a sweep: its front, its parameters side by side, and how it came to its best. Values in, plotly figure out, as in ``tbn.charts``.

Frames are those of ``tbn.sweep.status`` (a row a trial) and ``tbn.sweep.aggregate`` (a row a point: means over its seeds); their ``attrs`` say
which columns are objectives and which way is better. Parallel coordinates: Inselberg, The plane with parallel coordinates, 1985.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from tbn.charts import COLOURS, CROWD, MARGIN, NEUTRAL, faded, label_of, legend, method_of, with_alt
from tbn.errors import TBNError
from tbn.labels import placed
from tbn.sweep_words import NAMES, described, differing, factors, hover_texts, objective_scale, objectives_of, scale_of

MOST_LINES = 400


def front(points: pd.DataFrame) -> go.Figure:
    """The main objective against the second, a mark a point with the spread of its seeds; those on the front stand out.

    A mark's ``customdata`` begins with the number of the point.

    Args:
        points: ``tbn.sweep.aggregate``, with two objectives or more.

    Raises:
        TBNError: no point has a result, or there is one objective only.
    """
    up, *others = objectives_of(points)
    if not others:
        raise TBNError("a sweep with one objective has no front", "look at its history")
    if points.empty:
        raise TBNError("no trial has a result yet", "wait for the first one")
    across = others[0]
    points = points.sort_values(across.name)
    points = points.assign(method=[method_of(p) for p in factors(points)])
    figure = go.Figure()
    winners = points[points["on_front"]]
    if len(others) == 1:
        shape = "hv" if not across.maximise else "vh"
        figure.add_scatter(
            x=winners[across.name] * across.factor, y=winners[up.name] * up.factor, mode="lines", name="Pareto front", hoverinfo="skip",
            line={"color": NEUTRAL, "width": 1.5, "dash": "dot", "shape": shape},
        )  # fmt: skip
    named = points["on_front"] | ((len(points) <= CROWD) & (differing(points) == ["p"]))
    labels = pd.Series([label_of(p) for p in factors(points)], points.index).where(named, "")
    log = across.axis is not None and bool((points[across.name] > 0).all())
    layout = across.axis.layout(points[across.name], log) if across.axis is not None else {}
    spreads = points[f"{up.name}_std"].fillna(0) * up.factor
    texts = placed(
        points[across.name] * across.factor, points[up.name] * up.factor, spreads, labels, points["on_front"], layout
    )
    ordered = points.sort_values(
        "on_front", ascending=False, kind="stable"
    )  # a legend looks like the first of its marks
    for method, group in ordered.groupby("method", sort=False):
        figure.add_scatter(
            x=group[across.name] * across.factor, y=group[up.name] * up.factor, name=str(method), mode="markers+text",
            text=texts["text"][group.index], cliponaxis=False, textposition=list(texts["side"][group.index]),
            error_y={"type": "data", "array": group[f"{up.name}_std"] * up.factor, "thickness": 1.5, "width": 0},
            marker={"size": 13, "color": COLOURS[str(method)], "opacity": [1.0 if on else 0.4 for on in group["on_front"]]},
            customdata=[list(data) for data in zip(group["point"].map(int), hover_texts(group, points), strict=True)],
            hovertemplate="%{customdata[1]}<extra></extra>", unselected={"marker": {"opacity": 0.3}},
        )  # fmt: skip
    title = across.axis.title(log, *across.name.partition(":")[2:]) if across.axis is not None else across.words
    figure.update_xaxes(title=title, **layout)
    figure.update_yaxes(title=up.words + ("" if up.maximise else ", lower is better"))
    figure.update_layout(height=430, margin=MARGIN, legend=legend(), clickmode="event+select", dragmode="zoom")
    told = "; ".join(
        f"{words} {up.text(high)} at {across.text(far)}"
        for words, high, far in zip(described(winners, points), winners[up.name], winners[across.name], strict=True)
    )
    return with_alt(figure, f"{up.words} against {across.words} of {len(points)} points of a sweep. Front: {told}.")


def parallel(points: pd.DataFrame) -> go.Figure:
    """Each point as a line over the parameters that differ and the objectives, which are turned so that up is better.

    Args:
        points: ``tbn.sweep.aggregate``; at most ``MOST_LINES`` of them are drawn, those of the front first.

    Raises:
        TBNError: no point has a result.
    """
    if points.empty:
        raise TBNError("no trial has a result yet", "wait for the first one")
    points = points.sort_values("on_front", ascending=False, kind="stable").head(MOST_LINES)
    scales = [scale_of(points[name], NAMES.get(name, name.removeprefix("model_args."))) for name in differing(points)]
    scales += [objective_scale(points[aim.name], aim) for aim in objectives_of(points)]
    methods = pd.Series([method_of(p) for p in factors(points)], points.index)
    figure, across = go.Figure(), list(range(len(scales)))
    for method in methods.unique():  # the legend, in full colour
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines+markers",
            name=method,
            legendgroup=method,
            line={"color": COLOURS[method], "width": 2.5},
        )
    each = list(
        zip(points.index, points["point"].map(int), points["on_front"], hover_texts(points, points), strict=True)
    )
    for place, number, on_front, told in reversed(each):  # the front lies on top
        figure.add_scatter(
            x=across, y=[scale.places[place] for scale in scales], mode="lines+markers", name=methods[place], legendgroup=methods[place],
            showlegend=False, opacity=0.95 if on_front else 0.3, customdata=[[number, told]] * len(scales),
            line={"color": COLOURS[methods[place]], "width": 2.5 if on_front else 1.2}, marker={"size": 7},
            hovertemplate="%{customdata[1]}<extra></extra>",
        )  # fmt: skip
    for place, scale in enumerate(scales):
        figure.add_shape(
            type="line", x0=place, x1=place, y0=0, y1=1, line={"color": NEUTRAL, "width": 1}, layer="below"
        )
        last = place == len(scales) - 1 and place > 0
        side = {"xanchor": "right" if last else "left", "xshift": -8 if last else 8}
        for y, text in scale.ticks:  # lines run together where there are few values, so their words stand above
            where = {"yshift": 13} if scale.few else side
            ground = {"bgcolor": faded(NEUTRAL, 0.3), "borderpad": 1}
            figure.add_annotation(x=place, y=y, text=text, showarrow=False, font={"size": 11}, **ground, **where)
        end = "left" if place == 0 else "right" if last else "center"
        figure.add_annotation(
            x=place,
            y=1.07,
            text=scale.title,
            showarrow=False,
            xanchor=end,
            yanchor="bottom",
            align=end,
            xshift=-12 * (place == 0),
        )
    figure.update_xaxes(visible=False, range=[-0.12, len(scales) - 0.95])
    figure.update_yaxes(visible=False, range=[-0.06, 1.3])
    figure.update_layout(height=430, margin=MARGIN, hovermode="closest", legend=legend())
    told = "; ".join(described(points[points["on_front"]], points))
    names = ", ".join(scale.title.replace("<br>", " ") for scale in scales)
    return with_alt(
        figure, f"{len(points)} points of a sweep as lines over {names}; up is better. On the front: {told}."
    )


def history(trials: pd.DataFrame) -> go.Figure:
    """The main objective of each finished trial in the order in which they ended, and the best so far.

    Args:
        trials: ``tbn.sweep.status``.

    Raises:
        TBNError: no trial has a result.
    """
    main = objectives_of(trials)[0]
    done = trials[(trials["state"] == "complete") & trials[main.name].notna()].sort_values("ended")
    if done.empty:
        raise TBNError("no trial has a result yet", "wait for the first one")
    done = done.assign(number=range(1, len(done) + 1), method=[method_of(p) for p in factors(done)])
    best = done[main.name].cummax() if main.maximise else done[main.name].cummin()
    figure = go.Figure()
    figure.add_scatter(
        x=done["number"], y=best * main.factor, mode="lines", name="best so far", hoverinfo="skip",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot", "shape": "hv"},
    )  # fmt: skip
    for method, group in done.groupby("method", sort=False):
        figure.add_scatter(
            x=group["number"], y=group[main.name] * main.factor, mode="markers", name=str(method), marker={"size": 10, "color": COLOURS[str(method)]},
            customdata=[list(data) for data in zip(group["run"], hover_texts(group, trials), strict=True)],
            hovertemplate="%{customdata[1]}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="Finished trials", rangemode="tozero", tickformat="d")
    figure.update_yaxes(title=main.words + ("" if main.maximise else ", lower is better"))
    figure.update_layout(height=360, margin=MARGIN, legend=legend())
    first, last = main.text(done[main.name].iloc[0]), main.text(best.iloc[-1])
    return with_alt(
        figure, f"{main.words} of {len(done)} finished trials in the order of time; the first {first}, the best {last}."
    )
