const signed = (value, digits = 2) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
const cells = (where = "") => document.querySelectorAll(`svg rect[data-part]${where}`);  // of the three pictures
const kept = { place: null };  // where the pointer is: which symbol (part), which copy i (null: all), which place j of the tile

function numbers({ part, i, j }, { p, q, columns, blocks, sums, tile, alphas }) {
  const on = (yes, text) => `<span class="${yes ? "on" : ""}">${text}</span>`;
  const terms = blocks.map((block, k) => on(part === "x" && k === i, signed(block[j]))).join(" ");
  const first = `<i>t</i><sub>${j}</sub> = sign(${on(part === "s", `${terms} = ${signed(sums[j])}`)}) = ${on(part === "t" || part === "w", signed(tile[j], 0))}`;
  if (i === null) return `${first}<br>This bit stands at ${p} place${p > 1 ? "s" : ""} of the weight.`;
  const k = i * q + j, alpha = alphas[alphas.length > 1 ? i : 0];
  const second = `<i>Ŵ</i><sub>${Math.floor(k / columns)},${k % columns}</sub> = <i>α</i><sub>${alphas.length > 1 ? i : ""}</sub> <i>t</i><sub>${j}</sub>`
    + ` = ${on(part === "w", alpha.toFixed(2))} · ${on(part === "w" || part === "t", signed(tile[j], 0))} = ${on(part === "w", signed(alpha * tile[j]))}`;
  return `${first}<br>${second}`;
}

// frames around all cells of one place of the tile
function frame(j) {
  for (const cell of cells('.framed')) {
    cell.classList.remove("framed");
    cell.removeAttribute("stroke");
    cell.removeAttribute("stroke-width");
  }
  for (const cell of j === undefined ? [] : cells(`[data-j="${j}"]`)) {
    cell.classList.add("framed");
    cell.setAttribute("stroke", "#10141A");  // as the numbers: cells are light in both themes
    cell.setAttribute("stroke-width", 2.5);
  }
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".formula");
  const show = (place) => {
    kept.place = place;
    const lit = place ? { w: ["w", "a", "t"] }[place.part] ?? [place.part] : [];
    for (const span of root.querySelectorAll(".symbols span")) span.classList.toggle("on", lit.includes(span.classList[0]));
    if (place) root.querySelector(".numbers").innerHTML = numbers(place, data);
    frame(place?.j);
  };
  root.listening?.abort();
  root.listening = new AbortController();
  document.addEventListener("pointerover", ({ target }) => {
    const { part, i, j } = target.closest?.("svg rect[data-part]")?.dataset ?? {};
    if (part) show({ part, i: Number(i) < 0 ? null : Number(i), j: Number(j) });
  }, { signal: root.listening.signal });
  root.onkeydown = (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const { i, j } = kept.place ?? { i: 0, j: -1 };
    show({ part: "x", i: ((i ?? 0) + step[0] + data.p) % data.p, j: (j + step[1] + data.q) % data.q });
  };
  if (kept.place && (kept.place.j >= data.q || kept.place.i >= data.p)) kept.place = null;
  if (kept.place) setTimeout(() => kept.place && show(kept.place), 100);  // once the pictures have their new numbers
  return () => root.listening.abort();
}
