// The table: a row a clip, on its way or answered; sorted; opened for what speaks for the answer.
import { ask } from "./server.js";

const body = document.getElementById("rows");
const table = document.getElementById("table");
const clips = new Map(); // key of a row -> { row, file, said, line, open }
let onCorrect = () => {};
let onRemove = () => {};

const make = (tag, options = {}, ...inside) => {
  const { dataset = {}, ...rest } = options;
  const made = Object.assign(document.createElement(tag), rest);
  Object.assign(made.dataset, dataset);
  made.append(...inside);
  return made;
};
export { make };

export const listen = (handlers) => ({ onCorrect, onRemove } = handlers);
export const known = (number) => clips.get(number);
export const all = () => [...clips.values()];

/** A clip that is on its way, or waits. */
export function expect(key, file, name) {
  const clip = { key, file, name, said: "waits", open: false };
  clip.element = make("tr", { className: "clip" });
  clips.set(key, clip);
  draw(clip);
  place();
  return clip;
}

/** How it is with a clip that is on its way. */
export function say(key, text) {
  const clip = clips.get(key);
  if (!clip) return;
  clip.said = text;
  const cell = clip.element.querySelector(".on-its-way");
  if (cell) cell.textContent = text;
}

/** A clip has its row; `key` is what it was expected by. */
export function take(key, row, file) {
  const clip = clips.get(key) || { file, open: false, element: make("tr", { className: "clip" }) };
  clips.delete(key);
  Object.assign(clip, { key: row.number, row, name: row.file, file: clip.file || file });
  clips.set(row.number, clip);
  draw(clip);
  place();
  if (clip.open) fill(clip);
  return clip;
}

export function forget(key) {
  const clip = clips.get(key);
  if (!clip) return;
  close(clip);
  clip.element.remove();
  clips.delete(key);
  place();
}

/** All rows as the server has them; those on their way stay. */
export function replace(rows) {
  const there = new Set(rows.map((row) => row.number));
  for (const [key, clip] of [...clips]) if (clip.row && !there.has(key)) forget(key);
  for (const row of rows) take(row.number, row);
}

const percent = (row) => (row.probability === null ? "" : `${(100 * row.probability).toFixed(1)}%`);

function remarks(row) {
  const said = [];
  if (row.none_of_these) said.push(make("span", { className: "flag" }, "none of these?"));
  const words = { audio: "sound", visual: "picture" };
  for (const one of row.missing ? row.missing.split("; ") : [])
    said.push(`no ${one.replace(/^(audio|visual)/, (kind) => words[kind])}`);
  if (row.damage) said.push(`damaged: ${row.damage}`);
  return said.flatMap((one) => [make("div", {}, one)]);
}

function draw(clip) {
  const { row, element, name } = clip;
  const held = document.activeElement?.closest("tr.clip") === element && document.activeElement;
  const again = held && held.classList[0];
  const open = make(
    "button",
    { type: "button", className: "open", disabled: !row, title: name },
    row?.picture ? make("img", { src: row.picture, alt: "" }) : make("span", { className: "blank" }),
    make("span", { className: "file" }, name),
  );
  open.setAttribute("aria-expanded", String(clip.open));
  const cells = [make("td", {}, open)];
  if (!row || row.error) {
    const text = row ? `not read: ${row.error}` : clip.said;
    const said = make("td", { colSpan: row ? 3 : 4, className: row ? "error" : "on-its-way" }, text);
    cells.push(said, ...(row ? [make("td", { className: "correct" }, away(clip))] : []));
  } else if (!row.answer) {
    cells.push(make("td", { colSpan: 3 }, "read; type names to choose from"), last(clip));
  } else {
    const answer = make("td", { dataset: { label: "Answer" } });
    answer.append(
      make("strong", {}, row.answer),
      " ",
      make("span", { className: `chip ${row.kind}` }, row.kind),
      " ",
      make("span", { className: "number" }, percent(row)),
    );
    cells.push(
      answer,
      make("td", { dataset: { label: "Next" } }, row.runner_up || "–"),
      make("td", { dataset: { label: "Remarks" }, className: "remarks" }, ...remarks(row)),
      last(clip),
    );
  }
  element.replaceChildren(...cells);
  element.classList.toggle("corrected", Boolean(row?.correct));
  if (again) element.querySelector(`.${again}`)?.focus();
}

function away(clip) {
  const button = make("button", { type: "button", className: "away" }, "×");
  button.setAttribute("aria-label", `Take ${clip.name} out of the table`);
  button.addEventListener("click", () => onRemove([clip.key]));
  return button;
}

function last(clip) {
  const { row } = clip;
  const cell = make("td", { dataset: { label: "It is" }, className: "correct" });
  if (row.learned) {
    cell.append(make("span", { className: "learned" }, `taught as ${row.correct}`), away(clip));
    return cell;
  }
  const field = make("input", {
    value: row.correct,
    placeholder: "its name",
    maxLength: 500,
    autocomplete: "off",
    className: "its-name",
  });
  field.setAttribute("list", "choices");
  field.setAttribute("aria-label", `What ${clip.name} is`);
  field.addEventListener("change", () => onCorrect(clip.key, field.value));
  cell.append(field, away(clip));
  return cell;
}

const order = {
  given: () => 0,
  class: (a, b) =>
    !a.row - !b.row ||
    !a.row?.answer - !b.row?.answer ||
    (a.row?.answer || "").localeCompare(b.row?.answer || "") ||
    doubt(a) - doubt(b),
  doubt: (a, b) => doubt(a) - doubt(b),
};

/** The most doubtful first: none of these, then by how narrow the decision was. */
function doubt({ row }) {
  if (!row?.answer) return 1e12;
  const margin = row.margin ?? 1e9;
  return row.none_of_these ? margin - 1e10 : margin;
}

/** Put the rows into the order that was asked for; those that are open with what they show. */
export function place() {
  const sorted = [...clips.values()].sort(order[document.getElementById("sort").value]);
  let before = null;
  for (const { element, more } of sorted)
    for (const one of more ? [element, more] : [element]) {
      if ((before ? before.nextSibling : body.firstChild) !== one)
        body.insertBefore(one, before ? before.nextSibling : body.firstChild);
      before = one;
    }
  table.hidden = !clips.size;
  document.getElementById("hint").hidden = clips.size > 0;
  document.getElementById("sorting").hidden = clips.size < 2;
}
document.getElementById("sort").addEventListener("change", place);

function close(clip) {
  clip.more?.remove();
  if (clip.played) URL.revokeObjectURL(clip.played);
  clip.more = clip.played = null;
  clip.open = false;
  clip.element.querySelector(".open")?.setAttribute("aria-expanded", "false");
}

/** Show what there is of a clip below its row. */
export function open(clip) {
  clip.open = true;
  clip.element.querySelector(".open").setAttribute("aria-expanded", "true");
  clip.more = make("tr", { className: "more" });
  const cell = make("td", { colSpan: 5 });
  clip.more.append(cell);
  if (clip.file) cell.append(player(clip));
  clip.details = make("div", { className: "details" });
  clip.details.setAttribute("aria-live", "polite");
  clip.why = make("button", { type: "button", className: "why" }, "Why this answer?");
  clip.why.addEventListener("click", () => fill(clip, true));
  cell.append(clip.details, clip.why);
  place();
  return fill(clip);
}

async function fill(clip, why = false) {
  clip.why.disabled = true;
  if (why) clip.why.textContent = "Looking for what speaks for it …";
  let html;
  try {
    ({ html } = await ask(`clips/${clip.key}?why=${why ? 1 : 0}`));
  } catch (error) {
    html = "";
    clip.details.textContent = error.message;
  }
  if (html) clip.details.innerHTML = html; // the server's own, in which names are text
  clip.why.textContent = "Why this answer?";
  clip.why.disabled = false;
  clip.why.hidden = why || !clip.row.answer;
}

/** What the browser has of the clip is played; what it cannot play is read all the same. */
function player(clip) {
  clip.played = URL.createObjectURL(clip.file);
  const box = make("div", { className: "player" });
  if (clip.file.type.startsWith("image/")) {
    box.append(make("img", { src: clip.played, alt: `the picture ${clip.name}` }));
    return box;
  }
  const video = make("video", { controls: true, preload: "metadata", src: clip.played });
  video.setAttribute("aria-label", `the clip ${clip.name}`);
  video.addEventListener("error", () => box.classList.add("unplayed"));
  video.addEventListener("loadedmetadata", () => {
    if (!video.videoWidth) box.classList.add("sounds");
  });
  const remark = "Your browser cannot play this file. It is read all the same.";
  box.append(video, make("p", { className: "remark" }, remark));
  return box;
}

body.addEventListener("click", (event) => {
  const is = event.target.closest(".is-it");
  if (is) {
    const more = is.closest("tr");
    const clip = all().find((one) => one.more === more);
    onCorrect(clip.key, is.dataset.name);
    return;
  }
  const element = event.target.closest("tr.clip");
  if (!element || event.target.closest("input, button:not(.open), .more")) return;
  const clip = all().find((one) => one.element === element);
  if (!clip.row) return;
  if (clip.open) close(clip);
  else open(clip);
});
