"""A canvas to draw a small grey picture on: with the mouse, a finger or a pen, and with the keyboard alone.

The browser shows what the network will see: each stroke is drawn finely and averaged into the picture's pixels. When a stroke ends, the pixels
go to the page.
"""

import base64
import binascii
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

HTML = """
<div class="frame">
  <canvas tabindex="0" role="application" aria-roledescription="drawing canvas" aria-describedby="tbn-how"></canvas>
</div>
<div class="row">
  <button type="button" class="clear">Clear</button>
  <label>Pen <input type="range" class="pen" min="6" max="40" step="1" aria-label="Width of the pen"></label>
</div>
<p class="how" id="tbn-how">Draw with the mouse or a finger. By keyboard: arrows move, the space bar puts the pen down and up, Delete clears.</p>
<p class="said" role="status" aria-live="polite"></p>
"""
CSS = """
:host, .frame { display: block; }
canvas { width: 100%; max-width: 308px; aspect-ratio: var(--shape, 1); display: block; image-rendering: pixelated; touch-action: none;
         cursor: crosshair; background: #000; border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); }
canvas:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
.row { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center; margin-top: 0.5rem; font-size: 0.875rem; }
.row label { display: flex; gap: 0.5rem; align-items: center; }
button { font: inherit; color: var(--st-text-color); background: var(--st-secondary-background-color); cursor: pointer; padding: 0.25rem 0.75rem;
         border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); }
button:focus-visible, input:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
input { accent-color: var(--st-primary-color); width: 7rem; }
.how, .said { font-size: 0.8rem; color: var(--st-text-color); margin: 0.4rem 0 0; }
.said { min-height: 1.2em; }
"""
JS = """
const FINE = 10;                                  // fine pixels a pixel of the picture, each way

function begin(root, rows, columns) {
  const shown = root.querySelector("canvas"), fine = document.createElement("canvas");
  shown.width = columns; shown.height = rows;
  shown.style.setProperty("--shape", `${columns} / ${rows}`);
  fine.width = columns * FINE; fine.height = rows * FINE;
  const pen = fine.getContext("2d", { willReadFrequently: true });
  pen.lineCap = pen.lineJoin = "round";
  return { shown, fine, pen, rows, columns, pixels: new Uint8Array(rows * columns), sent: "", last: null, cursor: null, down: false };
}

function toText(pixels) { return btoa(String.fromCharCode(...pixels)); }

function average(it) {                            // the fine picture into the pixels
  const { data } = it.pen.getImageData(0, 0, it.fine.width, it.fine.height);
  for (let y = 0; y < it.rows; y++) for (let x = 0; x < it.columns; x++) {
    let sum = 0;
    for (let i = 0; i < FINE; i++) for (let j = 0; j < FINE; j++) sum += data[4 * ((y * FINE + i) * it.fine.width + x * FINE + j) + 3];
    it.pixels[y * it.columns + x] = Math.round(sum / (FINE * FINE));
  }
}

function show(it) {
  const view = it.shown.getContext("2d"), image = view.createImageData(it.columns, it.rows);
  it.pixels.forEach((value, k) => image.data.set([value, value, value, 255], 4 * k));
  if (it.cursor) image.data.set(it.down ? [217, 96, 26, 255] : [43, 135, 209, 255], 4 * (it.cursor.y * it.columns + it.cursor.x));
  view.putImageData(image, 0, 0);
}

function take(it, text) {                         // pixels that the page kept when the canvas was away
  const raw = atob(text);
  it.pen.clearRect(0, 0, it.fine.width, it.fine.height);
  for (let k = 0; k < it.pixels.length; k++) {
    it.pixels[k] = raw.charCodeAt(k) || 0;
    it.pen.fillStyle = `rgba(255, 255, 255, ${it.pixels[k] / 255})`;
    it.pen.fillRect((k % it.columns) * FINE, Math.floor(k / it.columns) * FINE, FINE, FINE);
  }
  it.sent = text;
  show(it);
}

function stroke(it, from, to, width) {
  it.pen.strokeStyle = "#fff";
  it.pen.lineWidth = width * FINE / 10;
  it.pen.beginPath();
  it.pen.moveTo(from.x, from.y);
  it.pen.lineTo(to.x + 0.01, to.y);
  it.pen.stroke();
  average(it);
  show(it);
}

export default function (component) {
  const { data, setStateValue, parentElement: root } = component;
  const canvas = root.querySelector("canvas"), said = root.querySelector(".said"), width = root.querySelector(".pen");
  canvas.setAttribute("aria-label", data.label);
  let it = root.tbn;
  if (!it || it.rows !== data.rows || it.columns !== data.columns) {
    it = root.tbn = begin(root, data.rows, data.columns);
    width.value = Math.max(12, Math.round(data.rows * 0.8));
    take(it, data.pixels);
  }

  const send = () => {
    const text = toText(it.pixels);
    if (text === it.sent) return;
    it.sent = text;
    setStateValue("pixels", text);
  };
  const clear = () => { it.pen.clearRect(0, 0, it.fine.width, it.fine.height); it.pixels.fill(0); show(it); said.textContent = "Clear."; send(); };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width * it.fine.width, y: (event.clientY - box.top) / box.height * it.fine.height };
  };
  const middle = (cell) => ({ x: (cell.x + 0.5) * FINE, y: (cell.y + 0.5) * FINE });

  canvas.onpointerdown = (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    it.cursor = null;
    it.last = at(event);
    stroke(it, it.last, it.last, +width.value);
  };
  canvas.onpointermove = (event) => {
    if (!it.last) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) { const next = at(part); stroke(it, it.last, next, +width.value); it.last = next; }
  };
  canvas.onpointerup = canvas.onpointercancel = () => { if (it.last) { it.last = null; send(); } };

  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.onkeydown = (event) => {
    const step = steps[event.key];
    if (!step && ![" ", "Delete", "Backspace", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    it.cursor ??= { x: it.columns >> 1, y: it.rows >> 1 };
    const before = { ...it.cursor };
    if (step) {
      it.cursor.x = Math.min(it.columns - 1, Math.max(0, it.cursor.x + step[0]));
      it.cursor.y = Math.min(it.rows - 1, Math.max(0, it.cursor.y + step[1]));
      if (it.down) stroke(it, middle(before), middle(it.cursor), +width.value);
    } else if (event.key === " ") {
      it.down = !it.down;
      if (it.down) stroke(it, middle(it.cursor), middle(it.cursor), +width.value);
      else send();
    } else if (event.key === "Escape") { if (it.down) { it.down = false; send(); } }
    else { it.down = false; clear(); }
    show(it);
    if (event.key !== "Delete" && event.key !== "Backspace")
      said.textContent = `Row ${it.cursor.y + 1}, column ${it.cursor.x + 1}, pen ${it.down ? "down" : "up"}.`;
  };
  canvas.onblur = () => { if (it.down) { it.down = false; send(); } it.cursor = null; show(it); };
  root.querySelector(".clear").onclick = clear;
  width.onkeydown = (event) => event.stopPropagation();
}
"""
_canvas = st.components.v2.component("tbn_canvas", html=HTML, css=CSS, js=JS)
Pixels = NDArray[np.uint8]


def draw(label: str, rows: int, columns: int, key: str = "canvas") -> Pixels:
    """The canvas; returns what is drawn, (rows, columns) uint8: 0 is paper, 255 is ink."""
    kept = f"{key}_{rows}x{columns}"
    text = st.session_state.get(kept) or _text(np.zeros((rows, columns), np.uint8))
    data = {"label": label, "rows": rows, "columns": columns, "pixels": text}
    found: Any = _canvas(key=key, data=data, default={"pixels": text}, on_pixels_change=lambda: None, height="content")
    pixels = _pixels(found.pixels, rows, columns)
    if pixels is None:  # of a canvas of another shape
        pixels = np.zeros((rows, columns), np.uint8)
    st.session_state[kept] = _text(pixels)
    return pixels


def _text(pixels: Pixels) -> str:
    return base64.b64encode(pixels.tobytes()).decode()


def _pixels(text: object, rows: int, columns: int) -> Pixels | None:
    """What a browser sent, if it is a picture of this shape."""
    try:
        raw = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        return None
    return np.frombuffer(raw, np.uint8).reshape(rows, columns).copy() if len(raw) == rows * columns else None
