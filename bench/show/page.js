"use strict";
// Sort a table by a column: a click on its head, or Enter. Numbers are compared with their units.
const units = {ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, kB: 1e3, MB: 1e6, GB: 1e9};
function sortKey(text) {
  if (/^-?inf$/.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  const found = text.replace(/,/g, "").match(/(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([a-zµA-Z]+)?/);
  return found ? Number(found[1]) * (units[found[2]] || 1) : NaN;
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if ([...table.tBodies[0].rows].some((row) => row.cells[column].matches(".bar"))) return;
    const button = document.createElement("button");
    button.type = "button";
    if (!head.textContent) button.setAttribute("aria-label", "Sort by the name of the row");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [p, q] = [a, b].map((row) => row.cells[column].textContent.trim());
        const [x, y] = [sortKey(p), sortKey(q)];
        const order = isNaN(x) || isNaN(y) ? (isNaN(x) - isNaN(y)) || p.localeCompare(q) : x - y;
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

function seconds(value) {
  const [unit, size] = [["h", 3600], ["min", 60], ["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]]
    .find(([unit, size]) => value >= (unit === "min" ? 180 : unit === "h" ? 7200 : size)) || ["ns", 1e-9];
  return `${Number((value / size).toPrecision(3)).toLocaleString("en")} ${unit}`;
}
function make(name, attributes = {}, text = "") {
  const svg = ["svg", "polyline", "circle", "path", "title", "text", "line"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}
// A slider on a logarithmic scale, and beside it a field for an exact number.
function slider(label, low, high, start, write, onInput) {
  const input = make("input", {type: "range", min: 0, max: 1000, step: "any", "aria-label": label});
  const field = make("input", {type: "number", min: low, max: high, step: "any"});
  const row = make("label", {}, `${label}: `);
  let chosen = start;
  const show = () => {
    input.value = 1000 * Math.log(chosen / low) / Math.log(high / low);
    input.setAttribute("aria-valuetext", write(chosen));
    if (document.activeElement !== field) field.value = write(chosen).replace(/,/g, "");
  };
  input.addEventListener("input", () => {
    chosen = low * Math.pow(high / low, input.value / 1000);
    show(); onInput();
  });
  field.addEventListener("input", () => {
    if (!(Number(field.value) > 0)) return;
    chosen = Math.min(high, Math.max(low, Number(field.value)));
    show(); onInput();
  });
  row.append(field);
  const both = make("div");
  both.append(row, input);
  return {row: both, value: () => chosen, set: (value) => { chosen = value; show(); }, show};
}
// The powers of ten between two logarithms, at most seven of them.
function powers(low, high) {
  const first = Math.ceil(low), count = Math.floor(high) - first + 1;
  const step = Math.max(1, Math.ceil(count / 7));
  return Array.from({length: Math.max(0, Math.ceil(count / step))}, (_, i) => first + i * step);
}
const whole = (value) => Math.round(value).toLocaleString("en");

const tools = {
  // What does a job take, compiling included? Total = first + runs · (set-up + passes · time).
  total(box, data) {
    const table = make("table"), choice = make("select"), sizes = make("label", {}, "Size: ");
    data.jobs.forEach((job, i) => choice.append(make("option", {value: i}, job.size)));
    sizes.append(choice);
    const draw = () => {
      const count = Math.round(runs.value()), passes = Math.round(epochs.value()) + 1;
      const rows = data.jobs[choice.value].backends.map((entry) => ({
        name: entry.name,
        fresh: entry.cold + count * (entry.setup + passes * entry.pass),
        cached: entry.cached + count * (entry.setup + passes * entry.pass),
      })).sort((a, b) => a.cached - b.cached);
      table.replaceChildren();
      const head = table.createTHead().insertRow();
      for (const text of ["backend", "with saved machine code", "compiling first"]) {
        head.append(make("th", {scope: "col"}, text));
      }
      const body = table.createTBody();
      for (const row of rows) {
        const line = body.insertRow();
        for (const text of [row.name, seconds(row.cached), seconds(row.fresh)]) {
          line.insertCell().textContent = text;
        }
      }
    };
    const last = data.jobs.length - 1;
    const runs = slider("Training runs", 1, 1e6, 1, whole, draw);
    const epochs = slider("Epochs per run", 1, 1e6, data.jobs[last].epochs, whole, draw);
    choice.value = last;
    choice.addEventListener("input", () => { epochs.set(data.jobs[choice.value].epochs); draw(); });
    const wide = make("div", {class: "wide"});
    wide.append(table);
    box.append(sizes, runs.row, epochs.row, wide);
    runs.show(); epochs.show(); draw();
  },
  // What does a rate do? In the eigenbasis, an error c becomes c·(1 − αλ)ᵏ.
  rate(box, data) {
    const view = make("svg", {viewBox: "0 0 640 320", role: "img", "aria-label": "loss and path"});
    const said = make("p", {"aria-live": "polite"});
    const draw = () => {
      const alpha = rate.value();
      const points = gradrace.losses(data, alpha);
      view.replaceChildren();
      const least = Math.max(data.least, points[0][1] * 1e-16);
      const top = Math.log10(points[0][1] * 10), bottom = Math.log10(least / 2);
      const end = Math.log10(data.epochs + 1);
      const x = (k) => 60 + 250 * Math.log10(k + 1) / end;
      const y = (loss) => 280 - 250 * (Math.log10(Math.max(loss, least)) - bottom) / (top - bottom);
      const text = (words, place) => view.append(make("text", {"font-size": 11, ...place}, words));
      for (const power of powers(0, end)) {
        const k = 10 ** power - 1;
        view.append(make("line", {x1: x(k), x2: x(k), y1: 30, y2: 280, stroke: "var(--line)"}));
        text(whole(10 ** power), {x: x(k), y: 294, "text-anchor": "middle"});
      }
      for (const power of powers(bottom, top)) {
        const loss = 10 ** power;
        view.append(make("line", {x1: 60, x2: 310, y1: y(loss), y2: y(loss), stroke: "var(--line)"}));
        text(Math.abs(power) < 5 ? String(Number(loss.toPrecision(1))) : `1e${power}`,
          {x: 56, y: y(loss) + 4, "text-anchor": "end"});
      }
      view.append(make("line", {x1: 60, x2: 310, y1: y(least), y2: y(least),
        stroke: "var(--ink)", "stroke-dasharray": "4 3"}));
      text("least", {x: 306, y: y(least) - 4, "text-anchor": "end"});
      const inside = points.filter(([, loss]) => Math.log10(loss) <= top);
      const gone = points.length < data.epochs && inside.length < points.length;
      view.append(make("polyline", {fill: "none", stroke: "var(--mark)", "stroke-width": 2,
        points: inside.map(([k, loss]) => `${x(k)},${y(loss)}`).join(" ")}));
      if (gone || alpha >= data.limit) {
        const [k] = inside[inside.length - 1];
        text("↑ diverges", {x: Math.min(x(k), 250), y: 26, fill: "var(--mark)"});
      }
      text("loss", {x: 60, y: 14}); text("epoch + 1", {x: 310, y: 310, "text-anchor": "end"});
      drawPath(view, data, alpha);
      const last = points[points.length - 1][1];
      const limit = data.limit.toPrecision(4);
      said.textContent = alpha >= data.limit
        ? `α = ${alpha.toPrecision(4)} diverges: the limit is 2/λmax = ${limit}, where λmax is the largest curvature of the loss.`
        : `α = ${alpha.toPrecision(4)}: the loss after ${whole(data.epochs)} epochs is ` +
          `${last.toPrecision(6)}; the least is ${data.least.toPrecision(6)}.`;
    };
    const rate = slider("Learning rate α", data.limit / 1000, data.limit * 1.2, data.recommended,
      (value) => value.toPrecision(4), draw);
    box.append(rate.row, said, view);
    rate.show(); draw();
  },
};
function drawPath(view, data, alpha) {
  const [first, last] = [0, data.values.length - 1];
  const largest = Math.max(Math.abs(data.errors[first]), Math.abs(data.errors[last]), 1e-300);
  const [across, up] = [last, first].map((i) => 1.3 * (Math.abs(data.errors[i]) || largest));
  const at = (u, v) => `${140 + 140 * u / across},${140 - 140 * v / up}`;
  const inner = make("svg", {x: 340, y: 20, width: 280, height: 280, viewBox: "0 0 280 280"});
  view.append(inner, make("text", {x: 340, y: 14, "font-size": 11},
    "path; across: the flattest direction, up: the steepest"));
  for (const level of [0.05, 0.2, 0.5, 1]) {
    const ellipse = [];
    const radius = level * (data.values[first] * data.errors[first] ** 2
      + data.values[last] * data.errors[last] ** 2);
    for (let step = 0; step <= 72; step += 1) {
      const angle = step * Math.PI / 36;
      ellipse.push(at(Math.sqrt(radius / data.values[last]) * Math.cos(angle),
        Math.sqrt(radius / data.values[first]) * Math.sin(angle)));
    }
    inner.append(make("polyline", {points: ellipse.join(" "), fill: "none", stroke: "var(--line)"}));
  }
  const path = [];
  for (let k = 0; k <= Math.min(data.epochs, 300); k += 1) {
    const [u, v] = [last, first].map((i) => data.errors[i] * (1 - alpha * data.values[i]) ** k);
    if (Math.max(Math.abs(u) / across, Math.abs(v) / up) > 3) break;
    path.push(at(u, v));
  }
  inner.append(make("polyline", {points: path.join(" "), fill: "none", stroke: "var(--mark)",
    "stroke-width": 1}));
}
const gradrace = {
  losses(data, alpha) {
    const found = [];
    const last = data.epochs;
    for (let k = 0; k <= last; k = k === last ? k + 1 : Math.min(last, Math.max(k + 1, Math.floor(k * 1.05)))) {
      let loss = data.least;
      data.values.forEach((value, i) => {
        loss += data.unit * 0.5 * value * (data.errors[i] * (1 - alpha * value) ** k) ** 2;
      });
      if (!isFinite(loss)) break;
      found.push([k, loss]);
    }
    return found;
  },
};
for (const box of document.querySelectorAll("[data-tool]")) {
  tools[box.dataset.tool](box, JSON.parse(box.querySelector("script").textContent));
}
