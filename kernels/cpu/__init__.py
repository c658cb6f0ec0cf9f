"""The native CPU kernel of the tiled linear layer: C, built at first use. ``kernels.dispatch`` calls it; ``status`` says what runs here."""

from kernels.cpu.engine import status

__all__ = ["status"]
