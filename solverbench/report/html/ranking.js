
// the same numbers as tables; a column is its heading, what stands in it, and a class
function framed(caption, columns, items) {
  const heads = columns.map(([text, , kind]) => {
    const name = kind === "picture" ? text : make("button", { type: "button" }, text);
    return make("th", { scope: "col", class: kind ?? null }, name);
  });
  const body = items.map((item) => make("tr", { class: (item.line ?? item).mine ? "mine" : null },
    ...columns.map(([, of, kind]) => {
      const head = kind === "head";
      return make(head ? "th" : "td", { scope: head ? "row" : null, class: kind ?? null }, of(item));
    })));
  const table = make("table", { class: "sortable" },
    make("caption", {}, caption), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body));
  const scroll = make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption }, table);
  return make("div", { class: "block" }, scroll, copies(caption));
}
const linked = (line) => make("a", { href: `#${line.anchor}` }, line.name);
const value = (p) => p.best ? make("strong", {}, valued(p)) : valued(p);
function numbers(all, title) {
  const of = (budget) => (line) => {
    const p = line.cells.find((cell) => cell.budget === budget);
    return p ? value(p) : "";
  };
  const columns = budgets().map((b) => [String(b), of(b), "number"]);
  return framed(`${title} by NFE`, [["solver", linked, "head"], ["family", (line) => line.family], ...columns], all);
}
function ranking(all, title) {
  const q = quantity(), budget = Number($("budget").value), last = (p) => p.y === null ? Infinity : distance(p.y, q);
  const ranked = all.flatMap((line) => line.cells.filter((p) => p.budget === budget));
  ranked.sort((a, b) => (a.y === null) - (b.y === null) || last(a) - last(b));
  const good = ranked.map((p) => p.y).filter((y) => y > 0), least = Math.min(...good);
  const place = scale(least, Math.min(Math.max(...good), 1e6 * least), true, 2, 98);
  const track = (p) => {
    const dot = make("i"), made = make("span", { class: `track ${colour(p.line.family)}`, "aria-hidden": "true" }, dot);
    dot.style.left = `${p.y > 0 ? Math.min(place(p.y), 100) : 0}%`;
    return p.y === null ? "" : made;
  };
  const note = ({ best, status, line }) => [
    best ? "best or tied" : "", status === "ok" ? "" : status, line.same ? `= ${line.same}` : "",
    line.stochastic ? "stochastic" : "",
  ].filter(Boolean).join("; ");
  return framed(`${title} at NFE ${budget}${q.floor ? ", nearest to the goal first" : ""}`, [
    ["place", (p) => p.y === null ? "-" : span(p), "number"],
    ["solver", (p) => linked(p.line), "head"],
    [q.name, value, "number"],
    ...(ranked.some((p) => p.se) ? [["standard error", (p) => p.se ? short(p.se) : "-", "number"]] : []),
    ["note", note],
    ["family", (p) => p.line.family],
    ["on a log scale", track, "picture"],
  ], ranked);
}

function show() {
  const all = lines(), title = `${problem().name}: ${quantity().name}`;
  at = null;
  draw();
  $("numbers").replaceChildren(numbers(all, title));
  $("ranking-title").textContent = `Ranking at NFE ${$("budget").value}`;
  $("ranking").replaceChildren(ranking(all, title));
}
function toggle(name) {
  const box = make("input", { type: "checkbox", checked: "", value: name });
  box.addEventListener("change", () => {
    hidden[box.checked ? "delete" : "add"](name);
    show();
  });
  const sign = make("path", { class: "mark", d: shape(name) });
  return make("label", {},
    box, make("svg", { class: colour(name), viewBox: "-6 -6 12 12", "aria-hidden": "true" }, sign), name);
}

if (data.problems.length) {
  fill($("problem"), data.problems.map((p, i) => [i, p.name]), 0);
  choose();
  $("families").append(...data.families.map(toggle));
  $("problem").addEventListener("change", () => { choose(); show(); });
  for (const id of ["metric", "axis", "budget", "highlight", "logx", "logy", "others"]) {
    $(id).addEventListener("change", show);
  }
  $("chart").addEventListener("pointermove", (event) => go(nearest(event)));
  $("chart").addEventListener("pointerleave", () => go(null));
  $("chart").addEventListener("click", (event) => {
    const p = nearest(event);
    if (p) pin(p.line.name);
  });
  $("chart").addEventListener("keydown", press);
  new ResizeObserver(() => { if (room() !== drawn.width) draw(); }).observe($("chart"));
  show();
} else {
  $("explore").hidden = true;
}
