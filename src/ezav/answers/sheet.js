"use strict";
const { table, called } = JSON.parse(document.getElementById("data").textContent);
const inputs = [...document.querySelectorAll(".tile input")];
const homes = new Map(inputs.map(input => [input.closest(".tile"), input.closest("ul")]));
const corrections = new Map();
let unsaved = false;

// One list of all tiles, the most doubtful first; or each under its class, as the page was written.
const doubtful = document.createElement("section"), list = document.createElement("ul");
doubtful.append(document.createElement("h2"), list);
doubtful.firstChild.textContent = "Most doubtful first";
list.className = "tiles";
const sections = [...document.querySelectorAll("main > section")];
function order(byDoubt) {
  if (byDoubt) {
    const tiles = [...inputs].sort((a, b) => a.dataset.doubt - b.dataset.doubt);
    list.append(...tiles.map(input => input.closest(".tile")));
    document.querySelector("main").replaceChildren(doubtful);
  } else {
    for (const [tile, home] of homes) home.append(tile);
    document.querySelector("main").replaceChildren(...sections);
  }
  document.getElementById("by-doubt").setAttribute("aria-pressed", byDoubt);
  document.getElementById("by-class").setAttribute("aria-pressed", !byDoubt);
}

function note(input) {
  const name = input.value.trim().replace(/\s+/g, " ");
  corrections.set(input.dataset.file, name);
  input.closest(".tile").classList.toggle("corrected", name !== "");
  const count = [...corrections.values()].filter(Boolean).length;
  document.getElementById("count").textContent = `${count} correction${count === 1 ? "" : "s"}`;
}

// As ezav writes a table: no spreadsheet takes a cell for a formula.
function safe(text) { return /^\s*[=+\-@|%＝＋－＠｜％]/.test(text) ? "'" + text : text; }
function quoted(cell) { return /[",\r\n]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell; }

function csv() {
  const [head, ...rows] = table, file = head.indexOf("file"), correct = head.indexOf("correct");
  const said = new Map([...corrections].map(([name, is]) => [safe(name), safe(is)]));
  const changed = rows.map(row => row.with(correct, said.get(row[file]) ?? row[correct]));
  return [head, ...changed].map(row => row.map(quoted).join(",") + "\n").join("");
}

for (const input of inputs) {
  if (input.value) note(input);
  input.addEventListener("change", () => { note(input); unsaved = true; });
}
document.getElementById("by-doubt").addEventListener("click", () => order(true));
document.getElementById("by-class").addEventListener("click", () => order(false));
document.getElementById("download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = called;
  link.click();
  unsaved = false;
});
window.addEventListener("beforeunload", event => { if (unsaved) event.preventDefault(); });
