"""The kernels' chart: the ratios drawn are the ratios measured, and it says where and when."""

from tbn import charts, kernel_charts


def test_kernel_ratios() -> None:
    common = {
        "op": "linear",
        "baseline": "torch fp32 linear",
        "m": 4096,
        "n": 4096,
        "batch": 64,
        "median_us": 10.0,
        "repeats": 31,
    }
    rows = [
        {**common, "engine": e, "p": p, "baseline_us": 10 * r, "ratio": r}
        for e, p, r in (("once", 4, 3.5), ("once", 8, 7.0), ("memory", 4, 0.5))
    ]
    figure = kernel_charts.kernel_ratios(
        {
            "device": "cpu",
            "machine": "AMD",
            "date": "2026-11-23T01:02:03",
            "threads": 2,
            "versions": {"torch": "2"},
            "rows": rows,
        }
    )
    bars = {trace.name: trace for trace in figure.data if trace.type == "bar"}
    assert sorted(bars["once"].x) == [3.5, 7.0] and list(bars["memory"].x) == [0.5]
    assert "times as fast as torch fp32 linear" in figure.layout.xaxis.title.text.lower()
    assert "on AMD, measured 2026-11-23 with 2 threads, torch 2: from 0.50 to 7.00" in charts.alt_text(figure)
