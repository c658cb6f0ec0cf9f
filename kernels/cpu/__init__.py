"""The native CPU kernels of tiled linear layers and convolutions: C, built at first use. ``kernels.dispatch`` calls them; ``status`` says what runs
here."""

from kernels.cpu.engine import status

__all__ = ["status"]
