// What is to be learned, what was, and back; and the recogniser as a file.
import { ask, download, tell } from "./server.js";
import { make } from "./table.js";

const part = (id) => document.getElementById(id);
const pending = part("pending");
const taught = part("taught");
const said = part("said");
const unteachable = part("learning").dataset.unteachable;
if (unteachable) {
  part("teaching").hidden = true;
  part("unteachable").hidden = false;
  part("unteachable").textContent = `${unteachable}.`;
}
let unsaved = false;
let take = () => {};
let complain = () => {};
let correct = () => {};
export const listen = (handlers) => ({ take, complain, correct } = handlers);

const plural = (count) => `${count} clip${count === 1 ? "" : "s"}`;

/** Show the lists of a state of the server's. */
export function show(state, nameOf) {
  pending.replaceChildren(...state.pending.map((one) => waiting(one, nameOf)));
  const count = state.pending.reduce((sum, one) => sum + one.clips.length, 0);
  part("teach").disabled = !count;
  part("teach").textContent = count ? `Teach ${plural(count)}` : "Teach";
  part("undo").hidden = !state.undo;
  part("undo").textContent = `Undo ${state.undo}`;
  taught.replaceChildren(...state.taught.map(known));
}

function waiting({ name, clips }, nameOf) {
  const files = clips.map((number) => {
    const back = make("button", { type: "button", className: "back" }, `${nameOf(number)} ×`);
    back.setAttribute("aria-label", `${nameOf(number)} is not to teach ${name}`);
    back.addEventListener("click", () => correct(number, ""));
    return back;
  });
  return make("li", {}, make("strong", {}, name), ` ${plural(clips.length)} to learn from: `, ...files);
}

function known({ name, clips }) {
  const button = (text, label, done) => {
    const made = make("button", { type: "button" }, text);
    made.setAttribute("aria-label", `${label} ${name}`);
    made.addEventListener("click", done);
    return made;
  };
  const line = make("li", { className: "known" });
  const renaming = () => {
    const field = make("input", { value: name, maxLength: 500, className: "new-name" });
    field.setAttribute("aria-label", `New name of ${name}`);
    const keep = () => field.value.trim() && field.value !== name ? done("rename", { name, to: field.value }) : back();
    const back = () => line.replaceWith(known({ name, clips }));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") keep();
      if (event.key === "Escape") back();
    });
    line.replaceChildren(field, button("Keep", "Keep the new name of", keep), button("Back", "Keep", back));
    field.select();
  };
  line.append(
    make("strong", {}, name),
    " ",
    make("span", { className: "chip taught" }, "taught"),
    ` by ${plural(clips)} `,
    button("Rename", "Rename", renaming),
    button("Unlearn", "Unlearn", () => done("unlearn", { name })),
  );
  return line;
}

async function done(path, told = {}) {
  const button = part("teach");
  button.disabled = part("undo").disabled = true;
  if (path === "teach") said.replaceChildren(make("p", {}, "Learning …"));
  try {
    const state = await tell(path, told);
    said.replaceChildren(...(state.said || []).map((line) => make("p", {}, line)));
    unsaved = state.taught.length > 0;
    take(state);
  } catch (error) {
    said.replaceChildren(make("p", { className: "message" }, error.message));
    button.disabled = false;
  }
  part("undo").disabled = false;
}
part("teach").addEventListener("click", () => done("teach"));
part("undo").addEventListener("click", () => done("undo"));

part("save-table").addEventListener("click", async () => {
  try {
    download(await ask("answers.csv", { kind: "blob" }), "answers.csv");
  } catch (error) {
    complain(error.message);
  }
});
part("save-recogniser").addEventListener("click", async () => {
  part("saved").textContent = "Writing …";
  try {
    download(await ask("recogniser.zip", { kind: "blob" }), "recogniser.zip");
    unsaved = false;
    part("saved").textContent =
      "The command line answers with it as this page does: ezav predict recogniser.zip CLIP";
  } catch (error) {
    part("saved").textContent = error.message;
  }
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
