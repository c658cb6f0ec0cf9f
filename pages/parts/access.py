"""Who may come in. Whoever reaches the explorer can train, delete and flash hardware, so it serves this computer alone unless told otherwise.

- Served on a loopback address: only requests that name this computer in their Host header (a foreign page that rebinds its name to 127.0.0.1
  does not). A tunnel, ``ssh -L 8501:127.0.0.1:8501 machine``, is the easy way from afar.
- Served on any other address: nobody, until Streamlit's login is configured (``[auth]`` in ``.streamlit/secrets.toml``; then only those who are
  logged in, and only those named in ``TBN_USERS`` if that is set), or the network is allowed with ``-- --allow-network`` or TBN_ALLOW_NETWORK=1.
"""

import ipaddress
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
OTHER_ADDRESS = (
    "TBN Explorer is served on {address}, where others can reach it, and whoever reaches it can flash hardware. So it is closed.\n"
    "What to do: leave server.address at 127.0.0.1 and come through ssh -L; or configure Streamlit's login ([auth] in .streamlit/secrets.toml);\n"
    "or, in a network that you trust, start it with: streamlit run app.py -- --allow-network   (or TBN_ALLOW_NETWORK=1)\n"
)
OTHER_HOST = (
    "TBN Explorer serves this computer alone, and this request asks for '{host}'.\n"
    "What to do: open http://127.0.0.1 with the port of the server; behind a proxy of your own start it with:\n"
    "streamlit run app.py -- --allow-network\n"
)


class Guard:
    """ASGI middleware that answers what ``refusal`` refuses with its sentence, before Streamlit sees it: pages, uploads and websockets alike."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        served = str((scope.get("server") or ("",))[0])
        sentence = refusal(str(st.get_option("server.address") or ""), served, host, allowed(), login_configured())
        if sentence is None:
            return await self.app(scope, receive, _unframed(send))
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": "see the page"})
        kind = (b"content-type", b"text/plain; charset=utf-8")
        await send({"type": "http.response.start", "status": 403, "headers": [kind]})
        await send({"type": "http.response.body", "body": sentence.encode()})


def _unframed(send: Send) -> Send:
    """No foreign page may show this one in a frame of its own and have its visitors click there."""

    async def with_header(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"content-security-policy", b"frame-ancestors 'self'")]
        await send(message)

    return with_header


def refusal(configured: str, served: str, host: str, network: bool, login: bool) -> str | None:
    """Why a request is not answered, with what to do; None if it is.

    Args:
        configured: the address that the server was told to listen on; "" means all of them.
        served: the address on which this request arrived, which tells the truth where another server than Streamlit's runs the app.
        host: the request's Host header, "name:port".
        network: other addresses were allowed by hand.
        login: Streamlit's login is configured.
    """
    if network or login:
        return None
    for address in (configured, served):
        if not is_loopback(address):
            return OTHER_ADDRESS.format(address=address or "all addresses")
    return None if is_loopback(_name(host)) else OTHER_HOST.format(host=host)


def is_loopback(address: str) -> bool:
    """Whether a name or number means this computer and nobody else can reach it."""
    try:
        return address.lower().rstrip(".") == "localhost" or ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def allowed() -> bool:
    """Whether this server's owner has opened it to the network."""
    return "--allow-network" in sys.argv[1:] or os.environ.get("TBN_ALLOW_NETWORK", "") not in ("", "0")


def login_configured() -> bool:
    """Whether there is an ``[auth]`` section for Streamlit's login."""
    try:
        return bool(st.secrets.get("auth"))
    except FileNotFoundError:  # no secrets at all
        return False


def check() -> None:
    """With a login: show a visitor the way in, and nothing else, until they are logged in and on the list, if there is one."""
    if not login_configured():
        return
    listed = [name.strip().lower() for name in os.environ.get("TBN_USERS", "").split(",") if name.strip()]
    if not st.user.get("is_logged_in"):
        st.title("TBN Explorer", anchor=False)
        st.markdown("Whoever is in can flash hardware, so please log in first.")
        st.button("Log in", type="primary", icon=":material/login:", key="login", on_click=st.login)
        st.stop()
    name = str(st.user.get("email") or "")
    if listed and not (name.lower() in listed and st.user.get("email_verified", True)):
        st.error(
            f"{name or 'This account'} is not among those who may use this explorer (TBN_USERS).",
            icon=":material/lock:",
        )
        st.button("Log out", key="logout", on_click=st.logout)
        st.stop()
