"""What keeps Python's garbage collector out of the visitors' way.

Streamlit collects garbage after every run of a page, before it sends the last of it. Each time the collector looks at every object there is, and
those of torch, pandas and Plotly, which stay as long as the server, take it longer than most pages take to answer. Frozen objects are not looked at.
"""

import gc
import sys

MODULES = 20  # so many new ones are worth it
_seen = 0


def set_aside() -> None:
    """Freeze what is there, if modules were imported since the last time. Whatever nobody refers to is still freed, but for cycles."""
    global _seen
    if len(sys.modules) >= _seen + MODULES:
        _seen = len(sys.modules)
        gc.collect()
        gc.freeze()
