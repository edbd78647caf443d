"use strict";
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const DRAWN = ["svg", "path", "line", "text", "g", "rect", "circle", "clipPath", "defs"];

function make(name, attributes = {}, ...children) {
  const node = DRAWN.includes(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
function say(text) {  // to who does not see what changed
  $("said").textContent = text;
}

// theme: the system's until the button is pressed
const system = matchMedia("(prefers-color-scheme: dark)");
const dark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
function themed(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  $("theme").setAttribute("aria-pressed", dark());
}
let kept = null;
try { kept = localStorage.getItem("solverbench-theme"); } catch { /* a file may have no storage */ }
themed(kept);
system.addEventListener("change", () => themed(null));
$("theme").addEventListener("click", () => {
  themed(dark() ? "light" : "dark");
  try { localStorage.setItem("solverbench-theme", document.documentElement.dataset.theme); } catch { /* not kept */ }
});

// a link to a solver opens it
function unfold() {
  const place = $(location.hash.slice(1));
  for (let node = place; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  if (place) place.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();
for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
