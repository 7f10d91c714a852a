// Rank the class names for the clip of an exported run, with ONNX Runtime Web.
const FOLDER = "exported/";
const MODALITIES = ["audio", "visual"];
const PARTS = ["", "_mask", "_times"]; // [1, T, d], [1, T] (0: missing), [1, T] in seconds

async function fetched(path) {
  const answer = await fetch(FOLDER + path);
  if (!answer.ok) throw new Error(`${FOLDER}${path}: ${answer.status}`);
  return answer;
}

/** A .npy file as a tensor: float32, or bool as one byte each. */
async function tensor(path) {
  const bytes = await (await fetched(path)).arrayBuffer();
  const view = new DataView(bytes);
  const [start, length] = view.getUint8(6) === 1
    ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = new TextDecoder().decode(new Uint8Array(bytes, start, length));
  const kind = /'descr': '([^']+)'/.exec(header)[1];
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").filter((x) => x.trim()).map(Number);
  const values = bytes.slice(start + length);
  if (kind === "<f4") return new ort.Tensor("float32", new Float32Array(values), shape);
  if (kind === "|b1") return new ort.Tensor("bool", new Uint8Array(values), shape);
  throw new Error(`${path} holds ${kind}, which is not read here`);
}

/** All names with score and probability, and why no percentages are to be shown, if so. */
async function rank() {
  ort.env.wasm.numThreads = 1; // more need a page that is isolated from other origins
  const model = await ort.InferenceSession.create(FOLDER + "model.onnx");
  const classes = await (await fetched("classes.json")).json();
  const inputs = {
    class_embeddings: await tensor("class_embeddings.npy"),
    seen: new ort.Tensor("bool", Uint8Array.from(classes, (one) => one.seen), [classes.length]),
  };
  for (const name of MODALITIES.flatMap((one) => PARTS.map((part) => one + part))) {
    inputs[name] = await tensor(`clip/${name}.npy`);
  }
  // A model asks only for what its method uses.
  const wanted = Object.fromEntries(model.inputNames.map((name) => [name, inputs[name]]));
  const { scores, probabilities } = await model.run(wanted);
  const withheld = (await (await fetched("export.json")).json()).percentages_withheld;
  const ranked = classes
    .map((one, row) => ({ ...one, score: scores.data[row], probability: probabilities.data[row] }))
    .sort((a, b) => b.score - a.score);
  return { ranked, withheld };
}

function show({ ranked, withheld }) {
  for (const one of ranked.slice(0, 5)) {
    const row = document.querySelector("#answer").insertRow();
    row.insertCell().textContent = one.name;
    row.insertCell().textContent = one.kind;
    const percentage = withheld ? "–" : `${(100 * one.probability).toFixed(1)} %`;
    for (const text of [percentage, one.score.toFixed(5)]) {
      const cell = row.insertCell();
      cell.className = "number";
      cell.textContent = text;
    }
  }
}

const status = document.querySelector("#status");
try {
  const answer = (globalThis.answer = await rank());
  show(answer);
  const why = answer.withheld ? ` (no percentages: ${answer.withheld})` : "";
  status.textContent = `The likeliest of ${answer.ranked.length} names${why}:`;
} catch (error) {
  status.textContent = `That did not work: ${error.message}`;
}
