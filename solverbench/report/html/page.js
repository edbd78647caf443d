"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const COLOURS = 8, SVG = "http://www.w3.org/2000/svg";
// outlines about the origin; a family has a colour and a shape
const SHAPES = [
  "M4 0A4 4 0 1 1-4 0 4 4 0 1 1 4 0Z", "M-3.5-3.5H3.5V3.5H-3.5Z", "M0-5 5 0 0 5-5 0Z",
  "M0-4.6 4.6 3.6H-4.6Z", "M0 4.6 4.6-3.6H-4.6Z",
];

function make(name, attributes = {}, ...children) {
  const drawn = ["svg", "path", "line", "text", "g", "rect", "circle", "clipPath", "defs"].includes(name);
  const node = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
const colour = (family) => `c${data.families.indexOf(family) % COLOURS}`;
const shape = (family) => SHAPES[data.families.indexOf(family) % SHAPES.length];
function short(value) {  // as in the tables
  if (value === null) return "-";
  const size = Math.abs(value);
  return value && (size < 1e-3 || size >= 999.5) ? value.toExponential(2).replace("e+", "e") : value.toPrecision(3);
}

// theme: the system's until the button is pressed
const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
function themed(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  $("theme").setAttribute("aria-pressed", dark());
}
let kept = null;
try { kept = localStorage.getItem("solverbench-theme"); } catch { /* a file may have no storage */ }
themed(kept);
$("theme").addEventListener("click", () => {
  themed(dark() ? "light" : "dark");
  try { localStorage.setItem("solverbench-theme", document.documentElement.dataset.theme); } catch { /* not kept */ }
});

// sorting: numbers before words, and what is no value at the end either way
const MISSING = ["", "-", "div", "fail"];
function order(rows, column, sign) {
  const key = (row) => row.cells[column].textContent.trim();
  const number = (text) => Number.parseFloat(text.replace("∞", "Infinity").replace(/^<|\(\d+\)/g, ""));
  return rows.sort((a, b) => {
    const [x, y] = [key(a), key(b)], gone = MISSING.includes(x) - MISSING.includes(y);
    if (gone) return gone;
    const [p, q] = [number(x), number(y)];
    return sign * (Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y, "en", { numeric: true }) : p - q);
  });
}
document.addEventListener("click", (event) => {
  const head = event.target.closest("table.sortable thead button")?.parentElement;
  if (!head) return;
  const rising = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const body = head.closest("table").tBodies[0];
  body.append(...order([...body.rows], head.cellIndex, rising ? 1 : -1));
});

// filters of the tables
const rows = [...document.querySelectorAll("table[data-find] tbody tr")];
const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
function filter() {
  const text = $("find").value.trim().toLowerCase(), family = $("family").value;
  let shown = 0;
  for (const row of rows) {
    row.hidden = !words.get(row).includes(text) || (family !== "" && row.dataset.family !== family);
    shown += !row.hidden;
  }
  $("found").textContent = text || family ? `${shown} of ${rows.length} rows` : "";
}
$("family").append(...data.families.map((name) => make("option", { value: name }, name)));
$("find").addEventListener("input", filter);
$("family").addEventListener("change", filter);

// a link to a solver opens it
function unfold() {
  const place = location.hash && $(decodeURIComponent(location.hash.slice(1)));
  for (let node = place; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  if (place) place.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();
for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());

if (!data.problems.length) {
  $("explore").hidden = true;
  return;
}

// the chart
const AXES = { nfe: "NFE", seconds: "seconds of sampling", gflops: "GFLOPs per sample" };
const hidden = new Set();
let at = null;  // {solver, point} under the pointer or the keys
const problem = () => data.problems[$("problem").value];
const quantity = () => problem().quantities[$("metric").value];

function fill(select, pairs, wanted) {
  select.replaceChildren(...pairs.map(([value, text]) => make("option", { value }, text)));
  if (pairs.some(([value]) => String(value) === String(wanted))) select.value = wanted;
}
function choose() {
  const now = problem(), budgets = [...new Set(now.budget)].sort((a, b) => a - b);
  fill($("metric"), now.quantities.map((q, i) => [i, q.name]), 0);
  fill($("axis"), Object.keys(now.axes).map((key) => [key, AXES[key]]), $("axis").value);
  fill($("budget"), budgets.map((b) => [b, `NFE ${b}`]), budgets.includes(10) ? 10 : budgets[budgets.length >> 1]);
  fill($("highlight"), [["", "none"], ...now.solvers.map((s) => [s.name, s.name])], $("highlight").value);
  at = null;
}

// every solver with its points; `lead` are those drawn in colour: first at a budget, or of their family at the chosen one
function lines() {
  const now = problem(), q = quantity(), x = now.axes[$("axis").value], budget = Number($("budget").value);
  const all = now.solvers.map((s) => ({ ...s, points: [], lead: false }));
  const first = new Map();
  now.solver.forEach((i, cell) => {
    const line = all[i];
    const point = { cell, x: x[cell], y: q.value[cell], se: q.se[cell], below: q.below[cell], budget: now.budget[cell], best: q.best[cell] };
    if (point.y === null || point.x === null) return;
    line.points.push(point);
    if (line.same) return;
    for (const race of [point.budget, ...(point.budget === budget ? [line.family] : [])]) {
      if (!(distance(first.get(race)?.y, q) <= distance(point.y, q))) first.set(race, { line, y: point.y });
    }
  });
  for (const { line } of first.values()) line.lead = true;
  return all.filter((line) => !hidden.has(line.family));
}
const distance = (y, q) => y === undefined ? Infinity : Math.max(Math.abs(y - (q.floor ?? 0)), q.resolution ?? 0);

function ticks(low, high, log, few) {
  if (!log) {
    const raw = (high - low) / few, size = 10 ** Math.floor(Math.log10(raw));
    const step = size * [1, 2, 5, 10].find((k) => k * size >= raw);
    return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, i) => (Math.ceil(low / step) + i) * step);
  }
  const found = [], decades = Math.log10(high / low), every = Math.max(1, Math.ceil(decades / few));
  for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++) {
    if (k % every === 0) for (const m of decades < 2.5 ? [1, 2, 5] : [1]) found.push(m * 10 ** k);
  }
  return found.filter((v) => v >= low * 0.999 && v <= high * 1.001);
}
function scale(low, high, log, from, to) {
  const f = log ? Math.log10 : (v) => v;
  return (v) => from + ((f(v) - f(low)) / (f(high) - f(low) || 1)) * (to - from);
}
function power(value) {
  const size = Math.abs(value);
  return value && (size < 1e-3 || size >= 1e5) ? value.toExponential(0).replace("e+", "e") : String(Number(value.toPrecision(6)));
}

let places = [];
function draw() {
  const q = quantity(), logx = $("logx").checked, logy = $("logy").checked, pinned = $("highlight").value;
  const width = Math.max(300, $("chart").clientWidth), narrow = width < 640, height = narrow ? 380 : 500;
  const box = { left: 62, right: width - (narrow ? 12 : 190), top: 14, bottom: height - 46 };
  let shown = lines();
  if (!$("others").checked) shown = shown.filter((line) => line.lead || line.name === pinned);
  for (const line of shown) line.points = line.points.filter((p) => (!logx || p.x > 0) && (!logy || p.y > 0)).sort((a, b) => a.x - b.x);
  const points = shown.flatMap((line) => line.points);
  const old = document.activeElement?.id === "plot";
  $("meaning").textContent = q.meaning;
  if (!points.length) {
    places = [];
    $("chart").replaceChildren(make("p", {}, "Nothing to show: no solver of these families has a value here."));
    return;
  }
  const xs = points.map((p) => p.x), ys = points.map((p) => p.y).sort((a, b) => a - b);
  const start = Math.min(...points.map((p) => p.budget));
  const early = points.filter((p) => p.budget === start).map((p) => p.y).sort((a, b) => a - b);
  const most = logy ? Math.min(ys.at(-1), 40 * early[early.length >> 1]) : Math.min(ys.at(-1), 1.5 * early[early.length >> 1]);
  const lines_ = [q.resolution, q.floor].filter((v) => v !== null && (!logy || v > 0) && v <= most && (!logy || v > ys[0] / 30));
  const pad = (a, b, log, part) => log ? [a / (b / a || 2) ** part, b * (b / a || 2) ** part] : [a - part * (b - a || 1), b + part * (b - a || 1)];
  const [xl, xh] = pad(Math.min(...xs), Math.max(...xs), logx, 0.03);
  const [yl, yh] = pad(logy ? Math.min(ys[0], ...lines_) : Math.min(0, ys[0]), Math.max(most, ...lines_), logy, 0.04);
  const X = scale(xl, xh, logx, box.left, box.right), Y = scale(yl, yh, logy, box.bottom, box.top);
  const svg = make("svg", {
    id: "plot", viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "application", "aria-describedby": "meaning",
    "aria-label": `${q.name} against ${AXES[$("axis").value]} on ${problem().name}. Arrow keys go from point to point; the numbers are in the table below.`,
  });
  svg.append(make("defs", {}, make("clipPath", { id: "clip" }, make("rect", { x: box.left, y: box.top - 6, width: box.right - box.left, height: box.bottom - box.top + 12 }))));
  const budgets = [...new Set(problem().budget)].sort((a, b) => a - b);
  const stops = logx && $("axis").value === "nfe" ? budgets.filter((b, i) => i === budgets.length - 1 || X(budgets[i + 1]) - X(b) > 24 || [1, 2, 5, 10, 20, 50].includes(b)) : ticks(xl, xh, logx, narrow ? 4 : 7);
  for (const v of stops) {
    svg.append(make("line", { class: "gridline", x1: X(v), x2: X(v), y1: box.top, y2: box.bottom }), make("text", { class: "soft", x: X(v), y: box.bottom + 17, "text-anchor": "middle" }, power(v)));
  }
  for (const v of ticks(yl, yh, logy, 8)) {
    svg.append(make("line", { class: "gridline", x1: box.left, x2: box.right, y1: Y(v), y2: Y(v) }), make("text", { class: "soft", x: box.left - 8, y: Y(v) + 4, "text-anchor": "end" }, power(v)));
  }
  svg.append(make("text", { x: (box.left + box.right) / 2, y: height - 8, "text-anchor": "middle" }, AXES[$("axis").value]));
  svg.append(make("text", { transform: `translate(14 ${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, q.name));
  const inside = make("g", { "clip-path": "url(#clip)" });
  svg.append(inside);
  if (lines_.includes(q.floor)) {
    const half = 2 * (q.spread ?? 0), [top, bottom] = [Y(q.floor + half), Y(Math.max(q.floor - half, logy ? yl : -Infinity))];
    inside.append(make("rect", { class: "band", x: box.left, width: box.right - box.left, y: top, height: Math.max(bottom - top, 2) }));
    svg.append(make("text", { class: "soft", x: box.left + 8, y: Y(q.floor) - 6 }, q.spread ? "exact samples, ± 2 sd" : "goal"));
  }
  if (lines_.includes(q.resolution)) {
    inside.append(make("line", { class: "rule", x1: box.left, x2: box.right, y1: Y(q.resolution), y2: Y(q.resolution) }));
    svg.append(make("text", { class: "soft", x: box.left + 8, y: Y(q.resolution) - 6 }, "the least that the reference resolves"));
  }
  places = [];
  const active = at ? at.solver : pinned;
  const rank = (line) => (line.name === active) * 2 + line.lead;
  for (const line of [...shown].sort((a, b) => rank(a) - rank(b))) {
    const bright = line.lead || line.name === active;
    const faded = active && line.name !== active;
    const group = make("g", { class: [colour(line.family), bright ? "" : "ghost", faded ? "faded" : "", line.name === active ? "strong" : ""].join(" ") });
    const path = line.points.map((p, i) => `${i ? "L" : "M"}${X(p.x).toFixed(1)} ${Y(p.y).toFixed(1)}`).join("");
    group.append(make("path", { class: `line${line.stochastic ? " dashed" : ""}`, d: path }));
    for (const p of line.points) {
      if (bright && p.se) {
        const low = Math.max(p.y - 2 * p.se, logy ? yl / 2 : -Infinity);
        group.append(make("line", { class: "whisker", x1: X(p.x), x2: X(p.x), y1: Y(low), y2: Y(p.y + 2 * p.se) }));
      }
      group.append(make("path", { class: "mark", d: shape(line.family), transform: `translate(${X(p.x).toFixed(1)} ${Y(p.y).toFixed(1)})` }));
      places.push({ ...p, solver: line.name, family: line.family, same: line.same, px: X(p.x), py: Math.max(Y(p.y), box.top), off: Y(p.y) < box.top });
    }
    inside.append(group);
  }
  svg.append(make("path", { class: "frame", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` }));
  if (!narrow) ends(svg, shown.filter((line) => line.points.length && (line.lead || line.name === active)), active, X, Y, box);
  const above = places.filter((p) => p.off).length;
  if (above) svg.append(make("text", { class: "soft", x: box.right, y: box.top + 10, "text-anchor": "end" }, `${above} points above`));
  const here = at && places.find((p) => p.cell === at.cell);
  if (here) svg.append(make("circle", { class: "ring", cx: here.px, cy: here.py, r: 8 }));
  $("chart").replaceChildren(svg);
  if (here) tip(here, width);
  if (old) svg.focus({ preventScroll: true });
}

// names at the ends of lines, pushed apart
function ends(svg, shown, active, X, Y, box) {
  const gap = 14;
  const marks = shown.map((line) => ({ line, x: X(line.points.at(-1).x), y: Math.min(Math.max(Y(line.points.at(-1).y), box.top), box.bottom) }));
  marks.sort((a, b) => a.y - b.y);
  marks.forEach((m, i) => { m.to = Math.max(m.y, i ? marks[i - 1].to + gap : box.top + 4); });
  for (let i = marks.length - 1, limit = box.bottom + 4; i >= 0; limit = marks[i--].to - gap) marks[i].to = Math.min(marks[i].to, limit);
  for (const { line, x, y, to } of marks) {
    const faded = active && line.name !== active ? " faded" : "";
    svg.append(make("path", { class: `leader${faded}`, fill: "none", d: `M${x + 6} ${y}L${box.right + 14} ${to}` }));
    const text = line.name.length > 24 ? `${line.name.slice(0, 23)}…` : line.name;
    const label = make("text", { class: `label ${colour(line.family)}${faded}`, x: box.right + 18, y: to + 4 }, text);
    label.addEventListener("click", () => pin(line.name));
    svg.append(label);
  }
}

function words_(p) {
  const q = quantity(), used = problem().axes.nfe[p.cell];
  const notes = [p.best ? "best or tied" : "", p.same ? `identical to ${p.same}` : ""].filter(Boolean);
  return [`${p.solver} (${p.family})`, `${q.name} ${p.below ? "<" : ""}${short(p.y)}${p.se ? ` ± ${short(p.se)}` : ""}`, `NFE ${p.budget}${used !== null && used !== p.budget ? `, ${used} used` : ""}`, ...notes];
}
function tip(p, width) {
  const node = make("div", { class: "tip", "aria-hidden": "true" }, words_(p).join("\n"));
  $("chart").append(node);
  const left = p.px + 14 + node.offsetWidth > width ? p.px - 14 - node.offsetWidth : p.px + 14;
  node.style.left = `${Math.max(0, left)}px`;
  node.style.top = `${Math.max(0, p.py - node.offsetHeight - 8)}px`;
}
function go(p, say) {
  if (p?.cell === at?.cell) return;
  at = p ? { solver: p.solver, cell: p.cell } : null;
  if (say) $("status").textContent = p ? words_(p).join(", ") : "";
  draw();
}
function pin(name) {
  $("highlight").value = $("highlight").value === name ? "" : name;
  at = null;
  draw();
}
function nearest(event) {
  const frame = $("plot")?.getBoundingClientRect();
  if (!frame) return null;
  const x = event.clientX - frame.left, y = event.clientY - frame.top;
  let found = null, least = 28;
  for (const p of places) {
    const away = Math.hypot(p.px - x, p.py - y);
    if (away < least) [found, least] = [p, away];
  }
  return found;
}
$("chart").addEventListener("pointermove", (event) => go(nearest(event), false));
$("chart").addEventListener("pointerleave", () => go(null, false));
$("chart").addEventListener("click", (event) => {
  const p = nearest(event);
  if (p) pin(p.solver);
});
$("chart").addEventListener("keydown", (event) => {
  const here = at && places.find((p) => p.cell === at.cell);
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.key === "Escape") go(null, true);
  else if (event.key === "Enter" && here) visit(here.solver);
  else if (step) {
    const along = here && places.filter((p) => step[0] ? p.solver === here.solver : p.budget === here.budget);
    along?.sort(step[0] ? (a, b) => a.budget - b.budget : (a, b) => a.py - b.py || a.cell - b.cell);
    const next = here ? along[along.findIndex((p) => p.cell === here.cell) + step[0] + step[1]] : places.find((p) => p.best) ?? places[0];
    if (next) go(next, true);
  } else return;
  event.preventDefault();
});
function visit(name) {
  const all = [...document.querySelectorAll(".subject")].filter((node) => name.startsWith(node.dataset.name));
  const node = all.sort((a, b) => b.dataset.name.length - a.dataset.name.length)[0];
  if (!node) return;
  node.open = true;
  location.hash = node.id;
  node.querySelector("summary").focus();
}

// the same numbers as tables
function heads(names) {
  return make("thead", {}, make("tr", {}, ...names.map(([text, number, drawn]) => make("th", { scope: "col", class: number ? "number" : null }, drawn ? text : make("button", { type: "button" }, text)))));
}
function framed(caption, head, body) {
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, make("table", { class: "sortable" }, make("caption", {}, caption), head, make("tbody", {}, ...body)));
}
function value(p) {
  const text = `${p.below ? "<" : ""}${short(p.y)}`;
  return p.best ? make("strong", {}, text) : text;
}
function list() {
  const q = quantity(), now = problem(), all = lines(), budget = Number($("budget").value);
  const budgets = [...new Set(now.budget)].sort((a, b) => a - b);
  const title = `${now.name}: ${q.name}`;
  $("numbers").replaceChildren(framed(`${title} by NFE`, heads([["solver"], ["family"], ...budgets.map((b) => [String(b), true])]), all.map((line) => {
    const found = new Map(line.points.map((p) => [p.budget, p]));
    return make("tr", {}, make("th", { scope: "row" }, line.name), make("td", {}, line.family), ...budgets.map((b) => make("td", { class: "number" }, found.has(b) ? value(found.get(b)) : "-")));
  })));
  const ranked = all.flatMap((line) => line.points.filter((p) => p.budget === budget).map((p) => ({ ...p, line })));
  ranked.sort((a, b) => distance(a.y, q) - distance(b.y, q));
  const good = ranked.map((p) => p.y).filter((y) => y > 0), place = scale(Math.min(...good), Math.min(Math.max(...good), 1e6 * Math.min(...good)), true, 2, 98);
  $("ranking-title").textContent = `Ranking at NFE ${budget}`;
  $("ranking").replaceChildren(framed(`${title} at NFE ${budget}${q.floor ? ", nearest to the goal first" : ""}`, heads([["place", true], ["solver"], ["family"], [q.name, true], ["standard error", true], ["note"], ["on a log scale", false, true]]), ranked.map((p, i) => {
    const dot = make("i"), track = make("span", { class: `track ${colour(p.line.family)}`, "aria-hidden": "true" }, dot);
    dot.style.left = `${p.y > 0 ? Math.min(place(p.y), 100) : 0}%`;
    const note = [p.best ? "best or tied" : "", p.line.same ? `= ${p.line.same}` : "", p.line.stochastic ? "stochastic" : ""].filter(Boolean).join("; ");
    return make("tr", {}, make("td", { class: "number" }, String(i + 1)), make("th", { scope: "row" }, p.line.name), make("td", {}, p.line.family), make("td", { class: "number" }, value(p)), make("td", { class: "number" }, p.se ? short(p.se) : "-"), make("td", {}, note), make("td", {}, track));
  })));
}
function show() {
  draw();
  list();
}
fill($("problem"), data.problems.map((p, i) => [i, p.name]), 0);
choose();
$("families").append(...data.families.map((name) => {
  const box = make("input", { type: "checkbox", checked: "", value: name });
  box.addEventListener("change", () => {
    hidden[box.checked ? "delete" : "add"](name);
    at = null;
    show();
  });
  return make("label", {}, box, make("svg", { class: colour(name), viewBox: "-6 -6 12 12", "aria-hidden": "true" }, make("path", { class: "mark", d: shape(name) })), name);
}));
$("problem").addEventListener("change", () => { choose(); show(); });
for (const id of ["metric", "axis", "budget", "highlight", "logx", "logy", "others"]) $(id).addEventListener("change", () => { at = null; show(); });
new ResizeObserver(draw).observe($("explore"));
show();
})();
