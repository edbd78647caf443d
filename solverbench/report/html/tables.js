
// sorting: numbers before words, and what is no value at the end either way
const MISSING = ["", "-", "div", "fail"];
function number(text) {
  return Number.parseFloat(text.replace(/^(<|[-+=] )|\(\d+\)/g, "").replace(/^(-?)inf/, "$1Infinity"));
}
function order(rows, column, sign) {
  const key = (row) => row.cells[column].textContent.trim();
  return rows.sort((a, b) => {
    const [x, y] = [key(a), key(b)], gone = MISSING.includes(x) - MISSING.includes(y);
    if (gone) return gone;
    const [p, q] = [number(x), number(y)], words = Number.isNaN(p) - Number.isNaN(q);
    if (words) return sign * words;
    return sign * (Number.isNaN(p) ? x.localeCompare(y, "en", { numeric: true }) : p === q ? 0 : p - q);
  });
}
function sort(head) {
  const rising = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const body = head.closest("table").tBodies[0];
  body.append(...order([...body.rows], head.cellIndex, rising ? 1 : -1));
}

// filters
const rows = [...document.querySelectorAll("#tables tbody tr")];
const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
function filter() {
  const text = $("find").value.trim().toLowerCase(), family = $("family").value;
  let shown = 0;
  for (const row of rows) {
    row.hidden = !words.get(row).includes(text) || (family !== "" && row.dataset.family !== family);
    shown += !row.hidden;
  }
  $("found").textContent = text || family ? `${shown} of ${rows.length} rows of all tables` : "";
}
$("family").append(...data.families.map((name) => make("option", { value: name }, name)));
$("find").addEventListener("input", filter);
$("family").addEventListener("change", filter);

// copies of what is shown: the rows that are not filtered out, in the order they are sorted in
const IN_LATEX = {
  "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
  "†": "$\\dagger$", "→": "$\\to$", "<": "$<$", ">": "$>$",
};
const tex = (text) => text.replace(/[\\~^†→<>&%#_${}]/g, (c) => IN_LATEX[c] ?? `\\${c}`);
const COPIES = {
  CSV(lines) {
    const quoted = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    return lines.map((cells) => cells.map((cell) => quoted(cell.textContent.trim())).join(",")).join("\n") + "\n";
  },
  LaTeX(lines, title, notes) {
    const written = lines.map((cells) => cells.map((cell) => {
      const text = tex(cell.textContent.trim());
      return cell.querySelector("strong") ? `\\textbf{${text}}` : text;
    }).join(" & ") + " \\\\");
    const columns = lines[0].map((cell) => cell.classList.contains("number") ? "r" : "l").join("");
    return [
      ...[title, ...notes].map((text) => `% ${text.replace(/\s+/g, " ")}`),
      `\\begin{tabular}{${columns}}`, "\\toprule", written[0], "\\midrule", ...written.slice(1), "\\bottomrule",
      "\\end{tabular}", "",
    ].join("\n");
  },
};
async function copy(button) {
  const block = button.closest(".block"), table = block.querySelector("table");
  const lines = [...table.rows].filter((row) => !row.hidden)
    .map((row) => [...row.cells].filter((cell) => !cell.classList.contains("picture")));
  const notes = [...block.querySelectorAll(".notes li")].map((note) => note.textContent);
  const text = COPIES[button.value](lines, table.caption.textContent, notes);
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // no permission: as one would by hand
    const area = make("textarea", {}, text);
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  say(`Copied as ${button.value}: ${lines.length - 1} rows.`);
}
function copies(caption) {
  const buttons = Object.keys(COPIES).map((form) => {
    const told = `Copy as ${form}`;
    return make("button", { type: "button", value: form, "aria-label": `${told}: ${caption}` }, told);
  });
  return make("p", { class: "copies" }, ...buttons);
}
for (const block of document.querySelectorAll(".block")) {
  block.querySelector(".scroll").after(copies(block.querySelector("caption").textContent));
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches(".copies button")) copy(button);
  if (button?.matches(".sortable thead button")) sort(button.parentElement);
});
