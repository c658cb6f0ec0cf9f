const PICTURES = ["latent", "fold", "tiled"];
const kept = { place: null };
const chart = (name) => document.querySelector(`.st-key-${name} .js-plotly-plot`)
  ?? document.querySelector(`.st-key-figure_plain_${name} .js-plotly-plot`);
const signed = (value, digits = 2) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);

// where the pointer is: which symbol (part), which copy i, which place j of the tile
function placeOf(name, point, { p, q, columns }) {
  if (name === "fold") {
    const part = { 0: "x", 2: "s", 3: "t" }[point.curveNumber];
    return part && { part, i: part === "x" ? point.y : null, j: point.x };
  }
  const k = point.y * columns + point.x;
  return { part: name === "latent" ? "x" : "w", i: Math.floor(k / q), j: k % q };
}

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

// frames around cells [axis number, row, column] of a chart, laid over it
function frame(name, cells) {
  const plot = chart(name), ground = plot?.querySelector(".svg-container"), layout = plot?._fullLayout;
  ground?.querySelector(".tbn-frames")?.remove();
  if (!ground || !layout || !cells.length) return;
  const over = document.createElement("div");
  over.className = "tbn-frames";
  over.style.cssText = "position:absolute;inset:0;pointer-events:none;z-index:5";
  for (const [axis, row, column] of cells) {
    const x = layout["xaxis" + axis], y = layout["yaxis" + axis];
    if (!x || !y) return;
    const left = x._offset + x.l2p(column - 0.5), top = y._offset + y.l2p(row - 0.5);
    const box = document.createElement("div");
    box.style.cssText = `position:absolute;box-sizing:border-box;border:2px solid currentColor;left:${left}px;top:${top}px;`
      + `width:${x.l2p(column + 0.5) - x.l2p(column - 0.5)}px;height:${y.l2p(row + 0.5) - y.l2p(row - 0.5)}px`;
    over.append(box);
  }
  ground.append(over);
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".formula");
  const show = (place) => {
    kept.place = place;
    const lit = place ? { w: ["w", "a", "t"] }[place.part] ?? [place.part] : [];
    for (const span of root.querySelectorAll(".symbols span")) span.classList.toggle("on", lit.includes(span.classList[0]));
    if (!place) return PICTURES.forEach((name) => frame(name, []));
    root.querySelector(".numbers").innerHTML = numbers(place, data);
    const copies = [...Array(data.p).keys()];
    const laid = copies.map((i) => i * data.q + place.j).map((k) => ["", Math.floor(k / data.columns), k % data.columns]);
    frame("latent", laid);
    frame("tiled", laid);
    frame("fold", [...copies.map((i) => ["", i, place.j]), ["2", 0, place.j], ["3", 0, place.j]]);
  };
  const listen = () => {
    for (const name of PICTURES) {
      const plot = chart(name);
      if (!plot?.on || plot.tbnListens === root) continue;
      plot.tbnListens = root;
      plot.on("plotly_hover", (event) => {
        if (plot.tbnListens === root && event.points?.length) {
          const place = placeOf(name, event.points[0], root.data);
          if (place) root.show(place);
        }
      });
      if (kept.place) root.show(kept.place);
    }
  };
  root.data = data;
  root.show = show;
  root.onkeydown = (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const { i, j } = kept.place ?? { i: 0, j: -1 };
    show({ part: "x", i: ((i ?? 0) + step[0] + data.p) % data.p, j: (j + step[1] + data.q) % data.q });
  };
  if (kept.place && (kept.place.j >= data.q || kept.place.i >= data.p)) kept.place = null;
  listen();
  if (kept.place) setTimeout(() => kept.place && show(kept.place), 150);  // once the pictures have their new numbers
  const timer = setInterval(listen, 300);  // pictures may come later than the formula
  return () => clearInterval(timer);
}
