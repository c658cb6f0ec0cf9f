"""What was collapsed and what not, a row a producer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CollapseRow:
    """One layer that writes copies, or whose tile repeats without giving copies.

    Attributes:
        name: of the producer.
        outputs, distinct: its rows m and distinct rows R.
        consumers: the layers that were contracted; empty where it was refused.
        macs_before, macs_after: multiply-accumulates of producer and consumers for one output position each, with each distinct row computed
            once, and collapsed.
        reason: why it was refused, one sentence; empty where it was collapsed.
    """

    name: str
    outputs: int
    distinct: int
    consumers: tuple[str, ...]
    macs_before: int
    macs_after: int
    reason: str = ""


@dataclass(frozen=True)
class CollapseReport:
    """What ``collapse`` did; ``str()`` is the printed table.

    Attributes:
        rows: one a producer, in the order of the model.
        macs_dense, macs_before, macs_after: of all layers for one output position each: every row, each distinct row once, collapsed.
        bytes_before, bytes_after: of the state dicts. They grow: a contracted weight is float32.
        untraced: modules whose forward has no graph, and why.
    """

    rows: tuple[CollapseRow, ...]
    macs_dense: int
    macs_before: int
    macs_after: int
    bytes_before: int
    bytes_after: int
    untraced: tuple[str, ...] = ()

    @property
    def collapsed(self) -> tuple[CollapseRow, ...]:
        """The rows that were collapsed."""
        return tuple(row for row in self.rows if not row.reason)

    @property
    def refused(self) -> tuple[CollapseRow, ...]:
        """The rows that were refused."""
        return tuple(row for row in self.rows if row.reason)

    def __str__(self) -> str:
        width = max((len(row.name) for row in self.rows), default=0)
        lines = []
        for row in self.rows:
            line = f"{row.name:{width}}  {row.outputs:>6,} -> {row.distinct:>6,} rows  "
            if row.reason:
                lines.append(f"{line}refused    {row.reason}")
            else:
                into = ", ".join(row.consumers)
                lines.append(f"{line}collapsed  into {into}: MACs {row.macs_before:,} -> {row.macs_after:,}")
        lines += [f"not traced: {text}" for text in self.untraced]
        ratio = self.macs_before / self.macs_after if self.macs_after else 1.0
        return "\n".join(
            [
                *lines,
                f"{len(self.collapsed)} of {len(self.rows)} collapsed; MACs for one position of each layer: {self.macs_dense:,} dense, "
                f"{self.macs_before:,} with each row once, {self.macs_after:,} now ({ratio:.2f}x fewer)",
                f"state dict {self.bytes_before:,} -> {self.bytes_after:,} bytes: contracted weights are float",
            ]
        )
