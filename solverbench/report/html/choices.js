
const COLOURS = 8;
// outlines about the origin; a family has a colour and a shape
const SHAPES = [
  "M4 0A4 4 0 1 1-4 0 4 4 0 1 1 4 0Z", "M-3.5-3.5H3.5V3.5H-3.5Z", "M0-5 5 0 0 5-5 0Z",
  "M0-4.6 4.6 3.6H-4.6Z", "M0 4.6 4.6-3.6H-4.6Z",
];
const AXES = { nfe: "NFE", seconds: "seconds of sampling", gflops: "GFLOPs per sample" };
const WORDS = { diverged: "div", failed: "fail" };
const colour = (family) => `c${data.families.indexOf(family) % COLOURS}`;
const shape = (family) => SHAPES[data.families.indexOf(family) % SHAPES.length];

// numbers: three digits as in the tables; round ones at ticks
function scientific(value, digits, largest) {
  const size = Math.abs(value);
  return value && (size < 1e-3 || size >= largest) ? value.toExponential(digits).replace("e+", "e") : null;
}
const short = (value) => scientific(value, 2, 999.5) ?? value.toPrecision(3);
const round = (value) => scientific(value, 0, 1e5) ?? String(Number(value.toPrecision(6)));
const ascending = (values) => [...new Set(values)].sort((a, b) => a - b);

// what is asked for
const hidden = new Set();  // families
let at = null;  // the point under the pointer or the keys
const problem = () => data.problems[$("problem").value];
const quantity = () => problem().quantities[$("metric").value];
const budgets = () => ascending(problem().budget);
const distance = (y, q) => y === undefined ? Infinity : Math.max(Math.abs(y - (q.floor ?? 0)), q.resolution ?? 0);

function fill(select, pairs, wanted) {
  select.replaceChildren(...pairs.map(([value, text]) => make("option", { value }, text)));
  if (pairs.some(([value]) => String(value) === String(wanted))) select.value = wanted;
}
function choose() {
  const now = problem(), all = budgets();
  fill($("metric"), now.quantities.map((q, i) => [i, q.name]), 0);
  fill($("axis"), Object.keys(now.axes).map((key) => [key, AXES[key]]), $("axis").value);
  fill($("budget"), all.map((b) => [b, `NFE ${b}`]), all.includes(10) ? 10 : all[all.length >> 1]);
  fill($("highlight"), [["", "none"], ...now.solvers.map((s) => [s.name, s.name])], $("highlight").value);
}

// every solver with its cells, and of these the points that can be drawn; `lead` are those in colour: the reader's own,
// and who is first at a budget, or of its family at the chosen one
function lines() {
  const now = problem(), q = quantity(), x = now.axes[$("axis").value], budget = Number($("budget").value);
  const all = now.solvers.map((s) => ({ ...s, cells: [], points: [], lead: s.mine }));
  const first = new Map();
  now.solver.forEach((i, cell) => {
    const line = all[i];
    const point = { cell, line, x: x[cell], y: q.value[cell], budget: now.budget[cell], status: now.status[cell] };
    for (const key of ["se", "below", "best", "first", "last"]) point[key] = q[key][cell];
    line.cells.push(point);
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
const span = (p) => p.first === p.last ? `${p.first}` : `${p.first}–${p.last}`;
const valued = (p) => p.y === null ? WORDS[p.status] ?? "-" : `${p.below ? "<" : ""}${short(p.y)}`;
function told(p) {
  const used = problem().axes.nfe[p.cell], name = quantity().name;
  return [
    `${p.line.name} (${p.line.family})`,
    `${name} ${valued(p)}${p.se ? ` ± ${short(p.se)}` : ""}`,
    `NFE ${p.budget}${used !== null && used !== p.budget ? `, ${used} used` : ""}`,
    `place ${span(p)}${p.best ? ", best or tied" : ""}`,
    ...(p.line.same ? [`identical to ${p.line.same}`] : []),
  ];
}
