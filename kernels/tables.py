"""A benchmark's record (``kernels.records``) as text for a terminal, and as README's Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from kernels import records
from kernels.records import Record


def text(record: Record) -> str:
    """The record as text: a block for each case, a line for each engine, fastest first within its kind."""
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    lines = [
        f"{record['machine']}, {records.threads_text(record['threads'])}, {record['date']}, load {record['load']}; {versions}"
    ]
    block = _kernel_block if record["kind"] == "kernels" else _model_block
    for _, group in groupby(record["rows"], key=_case):
        lines += ["", *block(list(group))]
    return "\n".join([*lines, "", *(f"not measured here: {what}" for what in record["not_measured"])])


def _case(row: Record) -> tuple[Any, ...]:
    return tuple(
        row.get(key)
        for key in ("op", "shape", "model", "batch", "baseline", "timing", *(["p"] if "model" in row else []))
    )


def inputs_text(op: str, batch: int) -> str:
    """``batch 64``, or the tokens that go through an mlp."""
    return f"{batch:,} tokens" if op == "mlp" else f"batch {batch}"


def _kernel_block(rows: list[Record]) -> list[str]:
    first = rows[0]
    head = f"{first['op']} {first['shape']}, {inputs_text(first['op'], first['batch'])}, {first['timing']}"
    dense = f"{first['baseline']} {first['baseline_us']:,.1f} us"
    lines = [f"{head}: {dense}, fastest dense {first['fastest_dense']} {first['fastest_dense_us']:,.1f} us"]
    for row in sorted(rows, key=lambda row: (row["ours"], row["p"] or 0, row["median_us"])):
        name = row["engine"] + (f" p={row['p']}" if row["ours"] else "")
        least = "" if row["floor_us"] is None else f"   floor {row['floor_us']:,.1f} us ({row['bound']})"
        lines.append(
            f"  {name:36}{row['median_us']:12,.1f} us {row['ratio']:8.2f} x   {row['ratio_fastest']:7.2f} x of the fastest dense{least}"
        )
    return lines


def _model_block(rows: list[Record]) -> list[str]:
    first = rows[0]
    lines = [f"{first['model']} p={first['p']} batch {first['batch']}: fastest dense {first['baseline']} {first['baseline_ms']:,.2f} ms, "
             f"limit by MACs {first['limit']:.2f} x"]  # fmt: skip
    for row in sorted(rows, key=lambda row: (row["ours"], row["median_ms"])):
        lines.append(
            f"  {row['engine']:36}{row['median_ms']:12,.2f} ms {row['ratio']:8.2f} x   {100 * row['ratio'] / row['limit']:5.0f} % of the limit"
        )
    return lines


def _grid(head: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(
        ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *("| " + " | ".join(row) + " |" for row in rows)]
    )


def markdown(record: Record) -> str:
    """A record as a Markdown table, as in README."""
    return kernels_markdown(record) if record["kind"] == "kernels" else models_markdown(record)


def kernels_markdown(record: Record) -> str:
    """How many times as fast as torch's dense layer: the fastest of each sort, at p = 4 the torch engine too; of convolutions the larger batch."""
    baseline = record["rows"][0]["baseline"]
    where = records.threads_text(record["threads"]) if record["device"] == "cpu" else record["machine"]
    head = [where, baseline, "fastest dense", "fastest of fewer bits",
            "ggml Q1_0", "p = 4, torch alone", "p = 4", "p = 8", "p = 16"]  # fmt: skip
    lines = []
    kept = (row for row in record["rows"] if row["baseline"] == baseline and (row["op"] != "conv" or row["batch"] > 1))
    for _, group in groupby(kept, key=_case):
        rows = list(group)
        first, ours = rows[0], [row for row in rows if row["ours"] and not row["engine"].startswith("memory-only")]
        fewer = [row for row in rows if not row["ours"] and row["dtype"] != ours[0]["dtype"]]
        ours = [row for row in ours if row["dtype"] == ours[0]["dtype"]]  # like with like: no rounded inputs
        once = [row for row in ours if row["p"] == 4 and row["engine"].endswith("(torch)")]
        cells = [_best([row for row in rows if row["engine"] == first["fastest_dense"]], True), _best(fewer, True),
                 _best([row for row in rows if row["engine"] == "ggml Q1_0"]), _best(once),
                 *(_best([row for row in ours if row["p"] == p]) for p in (4, 8, 16))]  # fmt: skip
        what = {"linear": "linear", "conv": "conv", "mlp": "ViT-B MLP"}[first["op"]]
        lines.append(
            [
                f"{what} {first['shape']}, {inputs_text(first['op'], first['batch'])}",
                f"{first['baseline_us']:,.0f} us",
                *cells,
            ]
        )
    return _grid(head, lines)


def _best(rows: list[Record], named: bool = False) -> str:
    """The fastest row's ratio, e.g. ``12.3x`` or ``12.3x torch int4``; a dash if there is none."""
    if not rows:
        return "-"
    best = max(rows, key=lambda row: row["ratio"])
    return f"{best['ratio']:.1f}x" + (f" {best['engine']}" if named else "")


def models_markdown(record: Record) -> str:
    """How many times as fast as the fastest dense engine each engine of ours is, beside the limit that the MACs set. As in README."""
    engines = list(dict.fromkeys(row["engine"] for row in record["rows"] if row["ours"]))
    head = [
        f"{records.threads_text(record['threads'])}: network, p, batch",
        "fastest dense",
        *engines,
        "limit by MACs",
        "weights, fp32 → packed",
    ]
    lines = []
    for _, group in groupby(record["rows"], key=_case):
        rows = {row["engine"]: row for row in group}
        first = next(iter(rows.values()))
        size = record["models"][f"{first['model']} p={first['p']}"]
        lines.append([
            f"{first['model']}, {first['p']}, {first['batch']}", f"{first['baseline_ms']:,.2f} ms {first['baseline']}",
            *(f"{rows[name]['ratio']:.2f}x" if name in rows else "-" for name in engines), f"{first['limit']:.2f}x",
            f"{size['dense_bytes']:,} → {size['packed_bytes']:,}",
        ])  # fmt: skip
    return _grid(head, lines)
