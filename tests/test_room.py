"""Room beside the axes: enough for words, numbers, slanted names and a bar of colours; wider margins and other pictures are left alone."""

import plotly.graph_objects as go

from tbn.palette import MARGIN
from tbn.room import text_width, with_room


def margins(figure: go.Figure) -> tuple[int, int, int, int]:
    margin = with_room(figure.update_layout(margin=MARGIN)).layout.margin
    return margin.l, margin.r, margin.t, margin.b


def test_words_and_titles_take_room() -> None:
    plain = margins(go.Figure(go.Bar(x=[1, 2], y=[3, 4])))
    named = margins(go.Figure(go.Bar(x=[1, 2], y=["a long name", "b"], orientation="h")))
    longer = margins(go.Figure(go.Bar(x=[1, 2], y=["a much longer name", "b"], orientation="h")))
    assert plain[0] < named[0] < longer[0] and plain[1:] == named[1:]
    titled = margins(go.Figure(go.Bar(x=[1, 2], y=[3, 4])).update_xaxes(title="x").update_yaxes(title="y"))
    assert titled[0] > plain[0] and titled[3] > plain[3] and titled[2] == MARGIN["t"]
    ticks = go.Figure(go.Bar(x=[1, 2], y=[3, 4])).update_yaxes(tickvals=[3], ticktext=["a much longer name"])
    assert margins(ticks)[0] == longer[0]


def test_slanted_names_and_a_bar_of_colours() -> None:
    heat = go.Figure(go.Heatmap(z=[[1, 2]], x=["one class", "another class"], y=["row"]))
    flat = margins(heat)
    assert margins(heat.update_xaxes(tickangle=-45))[3] > flat[3]
    assert margins(go.Figure(go.Heatmap(z=[[1]], showscale=False)))[1] < flat[1]


def test_what_is_left_alone() -> None:
    wide = go.Figure(go.Bar(x=[1], y=[2])).update_layout(margin={"l": 300, "r": 90})
    assert (with_room(wide).layout.margin.l, wide.layout.margin.r) == (300, 90)
    solid = go.Figure(go.Scatter3d(x=[1], y=[1], z=[1]))
    assert with_room(solid).layout.margin.l is None
    bare = go.Figure(go.Scatter(x=[1], y=[1])).update_xaxes(visible=False)
    assert with_room(bare).layout.margin.l is None
    assert with_room(go.Figure()).layout.margin.l is None


def test_a_label_is_as_wide_as_its_longest_line() -> None:
    assert text_width("short<br>much longer") == text_width("much longer") > text_width("short")
    assert text_width("ill") < text_width("now") < text_width("MWM") and text_width("") == 0
