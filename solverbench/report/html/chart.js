
// scales
function ticks(low, high, log, few) {
  if (!log) {
    const raw = (high - low) / few, size = 10 ** Math.floor(Math.log10(raw));
    const step = size * [1, 2, 5, 10].find((k) => k * size >= raw), first = Math.ceil(low / step);
    return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
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
function padded(low, high, log, part) {
  if (!log) return [low - part * (high - low || 1), high + part * (high - low || 1)];
  const more = (high / low || 2) ** part;
  return [low / more, high * more];
}

const room = () => Math.max(300, $("chart").clientWidth);
// where everything is: the box, scales, the horizontal rules that are in it
function layout(shown) {
  const q = quantity(), logx = $("logx").checked, logy = $("logy").checked;
  const width = room(), narrow = width < 640, height = narrow ? 380 : 500;
  const box = { left: 62, right: width - (narrow ? 12 : 205), top: 14, bottom: height - 46 };
  const points = shown.flatMap((line) => line.points), start = Math.min(...points.map((p) => p.budget));
  const ys = points.map((p) => p.y).sort((a, b) => a - b);
  const early = points.filter((p) => p.budget === start).map((p) => p.y).sort((a, b) => a - b);
  const most = Math.min(ys.at(-1), (logy ? 40 : 1.5) * early[early.length >> 1]);  // what is far above is left out
  const inside = (v) => v !== null && v <= most && (!logy || (v > 0 && v > ys[0] / 30));
  const rules = [q.resolution, q.floor].filter(inside);
  const xs = padded(...[Math.min, Math.max].map((f) => f(...points.map((p) => p.x))), logx, 0.03);
  const ends = padded(logy ? Math.min(ys[0], ...rules) : Math.min(0, ys[0]), Math.max(most, ...rules), logy, 0.04);
  return {
    q, logx, logy, width, narrow, height, box, rules, xs, ys: ends,
    X: scale(...xs, logx, box.left, box.right), Y: scale(...ends, logy, box.bottom, box.top),
  };
}
function axes({ q, logx, logy, narrow, height, box, xs, ys, X, Y }) {
  const soft = (x, y, anchor, text) => make("text", { class: "soft", x, y, "text-anchor": anchor }, text);
  const rule = (x1, x2, y1, y2) => make("line", { class: "gridline", x1, x2, y1, y2 });
  const name = AXES[$("axis").value], all = budgets(), middle = (box.top + box.bottom) / 2;
  const apart = (b, i) => i === all.length - 1 || X(all[i + 1]) - X(b) > 24 || [1, 2, 5, 10, 20, 50].includes(b);
  const stops = logx && $("axis").value === "nfe" ? all.filter(apart) : ticks(...xs, logx, narrow ? 4 : 7);
  return [
    ...stops.flatMap((v) => [
      rule(X(v), X(v), box.top, box.bottom), soft(X(v), box.bottom + 17, "middle", round(v)),
    ]),
    ...ticks(...ys, logy, 8).flatMap((v) => [
      rule(box.left, box.right, Y(v), Y(v)), soft(box.left - 8, Y(v) + 4, "end", round(v)),
    ]),
    make("text", { x: (box.left + box.right) / 2, y: height - 8, "text-anchor": "middle" }, name),
    make("text", { transform: `translate(14 ${middle}) rotate(-90)`, "text-anchor": "middle" }, q.name),
  ];
}
// the score of exact samples, and the least that the reference resolves
function rules({ q, logy, box, rules, ys, Y }) {
  const made = [], width = box.right - box.left;
  const label = (v, text) => make("text", { class: "soft", x: box.left + 8, y: Y(v) - 6 }, text);
  if (rules.includes(q.floor)) {
    const half = 2 * (q.spread ?? 0), top = Y(q.floor + half);
    const bottom = Y(Math.max(q.floor - half, logy ? ys[0] : -Infinity));
    made.push(make("rect", { class: "band", x: box.left, width, y: top, height: Math.max(bottom - top, 2) }));
    made.push(label(q.floor, q.spread ? "exact samples, ± 2 sd" : "goal"));
  }
  if (rules.includes(q.resolution)) {
    const y = Y(q.resolution);
    made.push(make("line", { class: "rule", x1: box.left, x2: box.right, y1: y, y2: y }));
    made.push(label(q.resolution, "the least that the reference resolves"));
  }
  return made;
}
function curve(line, { logy, ys, X, Y }) {
  const place = (p) => `${X(p.x).toFixed(1)} ${Y(p.y).toFixed(1)}`;
  const marks = line.points.flatMap((p) => {
    const x = X(p.x), low = Math.max(p.y - 2 * p.se, logy ? ys[0] / 2 : -Infinity);
    const whisker = { class: "whisker", x1: x, x2: x, y1: Y(low), y2: Y(p.y + 2 * p.se) };
    return [
      ...(p.se ? [make("line", whisker)] : []),
      make("path", { class: "mark", d: shape(line.family), transform: `translate(${place(p)})` }),
    ];
  });
  const path = { class: `line${line.stochastic ? " dashed" : ""}`, d: `M${line.points.map(place).join("L")}` };
  return make("g", { class: colour(line.family) }, make("path", path), ...marks);
}
// names at the ends of lines, pushed apart
function names(shown, { box, X, Y }) {
  const gap = 14, last = (line) => line.points.at(-1);
  const marks = shown.map((line) => {
    return { line, x: X(last(line).x), y: Math.min(Math.max(Y(last(line).y), box.top), box.bottom) };
  });
  marks.sort((a, b) => a.y - b.y);
  marks.forEach((m, i) => { m.to = Math.max(m.y, i ? marks[i - 1].to + gap : box.top + 4); });
  for (let i = marks.length - 1, limit = box.bottom + 4; i >= 0; limit = marks[i--].to - gap) {
    marks[i].to = Math.min(marks[i].to, limit);
  }
  return marks.map(({ line, x, y, to }) => {
    const text = line.name.length > 24 ? `${line.name.slice(0, 23)}…` : line.name;
    const label = make("text", { class: `label ${colour(line.family)}`, x: box.right + 18, y: to + 4 }, text);
    label.addEventListener("click", () => pin(line.name));
    const leader = make("path", { class: "leader", fill: "none", d: `M${x + 6} ${y}L${box.right + 14} ${to}` });
    return [line, make("g", {}, leader, label)];
  });
}

// the chart: `drawn` is what the pointer and the keys go over, without drawing it again
let drawn = { points: [], parts: [], width: 0, ring: null };
function draw() {
  const pinned = $("highlight").value, logx = $("logx").checked, logy = $("logy").checked;
  const focused = document.activeElement?.id === "plot", all = lines();
  for (const line of all) {
    line.points = line.points.filter((p) => (!logx || p.x > 0) && (!logy || p.y > 0)).sort((a, b) => a.x - b.x);
  }
  const bright = (line) => line.lead || line.name === pinned;
  const shown = all.filter((line) => line.points.length && ($("others").checked || bright(line)));
  shown.sort((a, b) => bright(a) - bright(b));
  $("meaning").textContent = quantity().meaning;
  if (!shown.length) {
    drawn = { points: [], parts: [], width: 0, ring: null };
    $("chart").replaceChildren(make("p", {}, "Nothing to show: no solver of these families has a value here."));
    return;
  }
  const plan = layout(shown), { box, width, height, X, Y } = plan;
  const clip = { x: box.left, y: box.top - 6, width: box.right - box.left, height: box.bottom - box.top + 12 };
  const points = shown.flatMap((line) => line.points.map((p) => {
    return { ...p, px: X(p.x), py: Math.max(Y(p.y), box.top), off: Y(p.y) < box.top };
  }));
  const above = points.filter((p) => p.off).length, note = above ? `${above} points above` : "";
  const curves = shown.map((line) => [line, curve(line, plan)]);
  const ends = plan.narrow ? [] : names(shown.filter(bright), plan);
  const ruled = rules(plan), said = (node) => node.tagName === "text";
  const ring = make("circle", { class: "ring", r: 8, visibility: "hidden" });
  const svg = make("svg", {
    id: "plot", viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "application",
    "aria-roledescription": "chart", "aria-label": alternative(all), "aria-describedby": "meaning",
  }, make("g", { "aria-hidden": "true" },
    make("defs", {}, make("clipPath", { id: "clip" }, make("rect", clip))),
    ...axes(plan),
    make("g", { "clip-path": "url(#clip)" },
      ...ruled.filter((node) => !said(node)), ...curves.map(([, node]) => node)),
    make("path", { class: "frame", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` }),
    ...ends.map(([, node]) => node), ...ruled.filter(said),
    make("text", { class: "soft", x: box.right, y: box.top + 10, "text-anchor": "end" }, note), ring,
  ));
  drawn = { points, parts: [...curves, ...ends], width, ring };
  $("chart").replaceChildren(svg);
  mark();
  if (focused) svg.focus({ preventScroll: true });
}
// the chart in words
function alternative(all) {
  const q = quantity(), budget = Number($("budget").value);
  const best = all.flatMap((line) => line.cells.filter((p) => p.budget === budget && p.best));
  const names = best.slice(0, 3).map((p) => `${p.line.name} ${valued(p)}`).join(", ");
  const more = best.length > 3 ? ` and ${best.length - 3} more` : "";
  return `${q.name} against ${AXES[$("axis").value]} on ${problem().name}, ${all.length} solvers. ` +
    (best.length ? `Best or tied at NFE ${budget}: ${names}${more}. ` : "") +
    "Left and right arrows go along a solver, up and down to others; the numbers are in the table below.";
}
// which line stands out, and what is said of its point
function mark() {
  const here = at && drawn.points.find((p) => p.cell === at.cell), active = here?.line.name ?? $("highlight").value;
  for (const [line, node] of drawn.parts) {
    const own = line.name === active;
    node.classList.toggle("ghost", !line.lead && !own);
    node.classList.toggle("strong", own || line.mine);
    node.classList.toggle("faded", Boolean(active) && !own);
    if (own) node.parentNode.append(node);
  }
  drawn.ring?.setAttribute("visibility", here ? "visible" : "hidden");
  $("chart").querySelector(".tip")?.remove();
  if (!here) return;
  drawn.ring.setAttribute("cx", here.px);
  drawn.ring.setAttribute("cy", here.py);
  const tip = make("div", { class: "tip", "aria-hidden": "true" }, told(here).join("\n"));
  $("chart").append(tip);
  const left = here.px + 14 + tip.offsetWidth > drawn.width ? here.px - 14 - tip.offsetWidth : here.px + 14;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${Math.max(0, here.py - tip.offsetHeight - 8)}px`;
}
function go(p) {
  if (p?.cell === at?.cell) return;
  at = p;
  mark();
}
function pin(name) {
  $("highlight").value = $("highlight").value === name ? "" : name;
  at = null;
  draw();
}
function nearest(event) {
  const frame = $("plot")?.getBoundingClientRect();
  if (!frame) return null;
  const away = (p) => Math.hypot(p.px - (event.clientX - frame.left), p.py - (event.clientY - frame.top));
  let found = null, least = 28;
  for (const p of drawn.points) if (away(p) < least) [found, least] = [p, away(p)];
  return found;
}
function step(key) {
  const along = { ArrowLeft: -1, ArrowRight: 1 }[key], among = { ArrowUp: -1, ArrowDown: 1 }[key];
  if (!along && !among) return null;
  if (!at) return drawn.points.find((p) => p.best) ?? drawn.points[0];
  const others = drawn.points.filter((p) => along ? p.line.name === at.line.name : p.budget === at.budget);
  others.sort(along ? (a, b) => a.budget - b.budget : (a, b) => a.py - b.py || a.cell - b.cell);
  return others[others.findIndex((p) => p.cell === at.cell) + (along ?? among)];
}
function press(event) {
  const next = step(event.key);
  if (event.key === "Escape") go(null);
  else if (event.key === "Enter" && at) visit(at.line.anchor);
  else if (next) go(next);
  else if (!event.key.startsWith("Arrow")) return;
  event.preventDefault();
  $("status").textContent = at ? told(at).join(", ") : "";
}
function visit(anchor) {
  location.hash = anchor;
  unfold();
  $(anchor).querySelector("summary").focus();
}
