"""The console of the Device page: this visitor's open line to a board, what went over it, and what can be sent."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from pages.parts import live, words
from pages.parts.target import DRIVE
from tbn.boards.building import Place
from tbn.boards.console import Console, open_console
from tbn.boards.ports import is_emulator

LINES = 200
SELF_TEST_SEED, SELF_TEST_COUNT = 1, 8


@dataclass
class Held:
    """The console of one visitor, who has at most one."""

    console: Console | None = None
    place: Place | None = None

    def close(self) -> None:
        """Let go of the port."""
        if self.console is not None:
            self.console.close()
            self.console = self.place = None

    def at(self, place: Place, port: str | None) -> bool:
        """Whether it is this one: an emulated board is the run's own, a real port is everybody's."""
        if self.console is None or self.place is None or port is None:
            return False
        own = not is_emulator(port) or self.place.folder == place.folder
        return own and self.console.port == port

    def leave(self) -> None:
        """The visitor is gone: let go of the port without keeping the server waiting, should the board be computing."""
        threading.Thread(target=self.close, name="console without a visitor", daemon=True).start()


@st.cache_resource(scope="session", on_release=Held.leave, show_spinner=False)
def _held() -> Held:
    return Held()


def console_at(place: Place, port: str | None) -> Console | None:
    """This visitor's console of the chosen board; one of another board is closed."""
    held = _held()
    if held.console is not None and not (held.at(place, port) and held.place == place):
        held.close()
    return held.console


def hang_up(place: Place, port: str | None) -> None:
    """A flash of this visitor is to come: his console lets go of the port (of any, where a drive is written: the board is asked afterwards)."""
    if _held().at(place, port) or (port or "").startswith(DRIVE):
        _held().close()


def connect(place: Place, port: str | None) -> None:
    """Open the console and ask the board what it is. What fails is said on the page."""
    held = _held()
    held.close()

    def begin() -> None:
        held.console, held.place = open_console(place, port), place
        held.console.meet()

    live.trying(begin, "connect")


def disconnect() -> None:
    """Let go of the port."""
    _held().close()


def draw_state(place: Place, port: str | None, console: Console | None) -> None:
    """Connect, disconnect, reset; and what the board says it is."""
    live.notice("connect")
    if console is None:
        st.button(
            "Connect", type="primary", icon=":material/usb:", key="connect", on_click=connect, args=(place, port), disabled=not port
        )  # fmt: skip
        st.caption("One at a time: a flash, an evaluation or another console of this port is refused meanwhile.")
        return
    with st.container(horizontal=True):
        st.button("Disconnect", icon=":material/usb_off:", key="disconnect", on_click=disconnect)
        st.button(
            "Reset", icon=":material/restart_alt:", key="reset", on_click=connect, args=(place, port),
            help="Closes the port and opens it again, which resets the board",
        )  # fmt: skip
    if console.closed:
        st.warning(
            f"{words.escape(console.closed[:1].upper() + console.closed[1:])}. **Reset** connects again.",
            icon=":material/usb_off:",
        )
    elif console.info is None:
        st.warning(
            "The port is open, but nothing answers in our protocol. The console below shows what comes.",
            icon=":material/help:",
        )
    else:
        info = console.info
        st.caption(
            f"Connected to **{words.escape(info.board)}**: model `{info.model_hash}`, {info.input_bytes:,} bytes in, {info.outputs} "
            f"{info.output_type} out; "
            f"weights {info.weight_bytes:,} bytes, arena {info.arena_bytes:,} bytes; {info.ticks_per_second:,} {info.tick_unit} a second."
        )


def draw_console(console: Console | None) -> None:
    """Everything that went over the line, looked at every second; buttons and a line to send."""
    st.subheader("Console", anchor=False)
    if console is None:
        st.caption("Not connected. Frames in both directions and plain lines will be here.")
        return
    live.notice("console")
    tip = "Below each frame its payload in hexadecimal"
    with_bytes = st.toggle("Bytes", key="bytes", bind="query-params", help=tip)
    open_now = not console.closed

    def look() -> None:
        if open_now and console.closed:  # the line broke, or nobody asked for too long
            st.rerun()
        with words.errors_as_sentences():  # a fragment's own rerun does not pass through app.py
            lines = [entry.line(with_bytes) for entry in console.entries()[-LINES:]]
            st.code("\n".join(lines) or "nothing yet", language=None, wrap_lines=True)

    with st.container(height=300, autoscroll=True, key="traffic"):
        st.fragment(look, run_every=1.0 if open_now else None)()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("INFO", key="info", on_click=_try, args=(console.meet,), disabled=not open_now, help="What are you?")
        st.button(
            "SELF_TEST", key="self_test", on_click=_try, args=(lambda: console.self_test(SELF_TEST_SEED, SELF_TEST_COUNT),), disabled=not open_now,
            help=f"{SELF_TEST_COUNT} inputs that the board makes itself; it answers with the CRC-32 of all outputs",
        )  # fmt: skip
        st.text_input(
            "Line", key="line", placeholder="a plain line, sent with Enter", label_visibility="collapsed", disabled=not open_now,
            on_change=_send, args=(console,), width=260, help="Our firmware answers frames only; other programs may answer a line.",
        )  # fmt: skip
    st.caption(
        "Seconds since the port was opened; `->` sent, `<-` received, `--` of the line itself. "
        "The protocol is described in `pio_firmware/PROTOCOL.md`."
    )


def _send(console: Console) -> None:
    text = str(st.session_state["line"])
    if text:
        _try(lambda: console.send(text))
    st.session_state["line"] = ""


def _try(action: Callable[[], object]) -> None:
    live.trying(action, "console")
