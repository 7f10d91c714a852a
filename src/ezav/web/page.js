// The page: names and clips in, rows out; one clip after the other, with the time that is left.
import { record } from "./record.js";
import { ask, at, leave, send, tell } from "./server.js";
import * as table from "./table.js";
import * as teach from "./teach.js";

const part = (id) => document.getElementById(id);
const names = part("names");
const { beside, tried } = document.documentElement.dataset;
const AT_ONCE = 2; // one is read while the next arrives
const queue = [];
let underWay = 0;
let finished = 0;
let begun = 0;
let given = 0;
let classes = [];
let asked = null; // the names that the answers are of
let stopping = new AbortController();

const complain = (text) => {
  part("told").hidden = !text;
  part("told").textContent = text || "";
};

/** Show what the server has of this visit. */
function take(state) {
  if (state.names !== undefined && (asked === null || names.value === asked || state.said)) {
    names.value = state.names;
  }
  asked = state.names;
  classes = state.classes;
  part("choices").replaceChildren(...state.choices.map((name) => new Option(name, name)));
  if (state.rows) table.replace(state.rows);
  if (state.row) table.take(state.row.number, state.row);
  teach.show(state, (number) => table.known(number)?.name || "a clip that was taken out");
  count();
}

function count() {
  const rows = table.all().flatMap((clip) => clip.row || []);
  part("save-table").hidden = part("clear").hidden = !rows.length;
  const some = [];
  if (rows.length > 1) some.push(`${rows.length} clips`);
  const say = (what, that) => {
    const number = rows.filter(that).length;
    if (number && rows.length > 1) some.push(`${number} ${what}`);
  };
  say("perhaps none of these", (row) => row.none_of_these);
  say("not read", (row) => row.error);
  say("corrected", (row) => row.correct && !row.learned);
  part("counted").textContent = some.join(", ");
}

async function doing(what) {
  complain("");
  try {
    take(await what());
  } catch (error) {
    complain(error.message);
  }
}

const answer = () => {
  const text = names.value;
  return doing(async () => {
    const state = await ask("names", { method: "PUT", body: text });
    asked = names.value;
    return state;
  });
};
part("ask").addEventListener("click", answer);
part("reset").addEventListener("click", () => {
  names.value = classes.join("\n");
  answer();
});
names.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) answer();
});

/** Put files into the queue; those of folders only as far as they may be recordings. */
async function add(files, shows = "") {
  const corrections = files.filter(({ name }) => !shows && /\.csv$/i.test(name));
  for (const { file } of corrections)
    await doing(() => ask("corrections", { method: "POST", body: file }));
  const clips = files.filter((one) => !corrections.includes(one));
  if (!clips.length) return;
  complain("");
  if (names.value !== asked) await answer();
  if (!queue.length && !underWay) {
    finished = 0;
    begun = performance.now();
    stopping = new AbortController();
  }
  for (const { file, name } of clips) {
    given += 1;
    const key = `given ${given}`;
    table.expect(key, file, name);
    queue.push({ key, file, name, shows });
  }
  const alone = clips.length === 1 && table.all().length === 1;
  if (matchMedia("(max-width: 800px)").matches) look(part("table-title"));
  progress();
  while (underWay < AT_ONCE && queue.length) next(alone);
}

const look = (element) =>
  element.scrollIntoView({
    behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
  });

async function next(alone) {
  const one = queue.shift();
  if (!one) return;
  underWay += 1;
  try {
    const row = await patient(one);
    const clip = table.take(one.key, row, one.file);
    if (alone) table.open(clip);
    if (one.shows) take(await ask("state"));
  } catch (error) {
    table.forget(one.key);
    if (error.name !== "AbortError") complain(`${one.name}: ${error.message}`);
  }
  underWay -= 1;
  finished += 1;
  progress();
  count();
  next(false);
}

/** Send it again for as long as the server has no room for it. */
async function patient({ key, file, name, shows }) {
  const { signal } = stopping;
  for (;;) {
    try {
      const query = shows ? { name, shows } : { name };
      const sent = (of) => table.say(key, of < 1 ? `on its way: ${Math.round(100 * of)} %` : "being read");
      return await send(file, query, sent, signal);
    } catch (error) {
      if (!error.again || signal.aborted) throw error;
      table.say(key, `waits: ${error.message}`);
      await new Promise((done) => setTimeout(done, 2000));
      if (signal.aborted) throw new DOMException("stopped", "AbortError");
    }
  }
}

function progress() {
  const left = queue.length + underWay;
  part("progress").hidden = !left || finished + left < 2;
  part("done").max = finished + left;
  part("done").value = finished;
  const seconds = finished ? ((performance.now() - begun) / 1000 / finished) * left : 0;
  const time = seconds > 90 ? `${Math.round(seconds / 60)} min` : `${Math.ceil(seconds)} s`;
  part("left").textContent = `${finished} of ${finished + left}${finished ? `, ${time} left` : ""}`;
}

part("stop").addEventListener("click", () => {
  for (const { key } of queue.splice(0)) table.forget(key);
  stopping.abort();
  progress();
});
part("clear").addEventListener("click", () => doing(() => tell("clips/remove")));

const listed = (files) =>
  [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
const recordings = (files) => {
  const others = new Set(beside.split(" "));
  return files.filter(({ name }) => {
    const last = name.split("/").pop();
    return !name.split("/").some((one) => one.startsWith(".")) && !others.has(last.split(".").pop().toLowerCase());
  });
};

/** The files that were dropped, and those in dropped folders. */
async function dropped(transfer) {
  const found = [];
  const enter = async (entry, deep) => {
    if (entry.isFile) {
      const file = await new Promise((done, failed) => entry.file(done, failed));
      const one = { file, name: entry.fullPath.replace(/^\//, "") };
      if (!deep || recordings([one]).length) found.push(one);
      return;
    }
    const reader = entry.createReader();
    const some = () => new Promise((done, failed) => reader.readEntries(done, failed));
    for (let inside = await some(); inside.length; inside = await some())
      for (const each of inside.sort((a, b) => a.name.localeCompare(b.name))) await enter(each, true);
  };
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return listed(transfer.files);
  for (const entry of entries) await enter(entry, false);
  return found;
}

function takes(id, shows) {
  const box = part(id);
  const over = (yes) => (event) => {
    event.preventDefault();
    box.classList.toggle("over", yes);
  };
  box.addEventListener("dragover", over(true));
  box.addEventListener("dragleave", over(false));
  box.addEventListener("drop", async (event) => {
    over(false)(event);
    event.stopPropagation();
    addFor(await dropped(event.dataTransfer), shows);
  });
}

function addFor(files, shows) {
  if (!files.length) return complain("There is no recording in it.");
  const name = shows ? part("shown-class").value.trim() : "";
  if (!shows) return add(files);
  if (name) return add(files, name);
  complain("Name the class that these clips show first.");
  return part("shown-class").focus();
}

takes("drop", false);
takes("show", true);
for (const kind of ["dragover", "drop"])
  window.addEventListener(kind, (event) => event.preventDefault()); // not instead of the page
for (const [id, shows] of [["files", false], ["folder", false], ["show-files", true]])
  part(id).addEventListener("change", (event) => {
    const files = listed(event.target.files);
    event.target.value = "";
    addFor(id === "folder" ? recordings(files) : files, shows);
  });
for (const button of document.querySelectorAll(".example"))
  button.addEventListener("click", async () => {
    const blob = await (await fetch(at(`examples/${button.dataset.number}`))).blob();
    const { file } = button.dataset;
    if (!names.value.trim() && tried) names.value = tried.split("|").join("\n");
    add([{ file: new File([blob], file, { type: blob.type }), name: file }]);
  });

const correct = (number, name) => doing(() => tell(`clips/${number}/correct`, { name }, "PUT"));
table.listen({
  onCorrect: correct,
  onRemove: (numbers) => doing(() => tell("clips/remove", { clips: numbers })),
});
teach.listen({ take, complain, correct });

record((file) => add([{ file, name: file.name }]), complain);
/** The page is still open; what the server has forgotten is not shown as if it were there. */
async function here() {
  try {
    const { clips } = await ask("here", { method: "POST" });
    if (clips || queue.length || underWay || !table.all().some((clip) => clip.row)) return;
    await doing(() => ask("state"));
    complain("The server was started anew, or the page was away too long: give the clips again.");
  } catch {
    // It is told when something is asked.
  }
}
setTimeout(here, 5_000); // the last page's leaving may have come after this one's beginning
setInterval(here, 60_000);
window.addEventListener("pageshow", (event) => event.persisted && here());
window.addEventListener("pagehide", leave);
doing(() => ask("state"));
