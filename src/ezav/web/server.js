// Requests to the page's server. The page says in a header whose it is: a word that it made up, and
// keeps for as long as its tab is open.
const root = document.documentElement.dataset.root;

const made = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
};

const remembered = () => {
  try {
    const known = sessionStorage.getItem("ezav-visitor") || made();
    sessionStorage.setItem("ezav-visitor", known);
    return known;
  } catch {
    return made();
  }
};

const headers = { "Ezav-Visitor": remembered() };
export const at = (path) => `${root}/api/${path}`;

/** The answer as JSON (or as `kind`); an Error with the server's own line where it refuses. */
export async function ask(path, { method = "GET", body, kind = "json" } = {}) {
  let answer;
  try {
    answer = await fetch(at(path), { method, headers, body });
  } catch {
    throw new Error("The server cannot be reached: is it still running?");
  }
  if (!answer.ok) throw new Error((await answer.text()) || `Status ${answer.status}`);
  return answer[kind]();
}

export const tell = (path, said = {}, method = "POST") =>
  ask(path, { method, body: JSON.stringify(said) });

export const leave = () =>
  fetch(at("leave"), { method: "POST", headers, keepalive: true }).catch(() => {});

/** Send a file: `onSent` is told which part of it has gone; `signal` ends it. */
export function send(file, query, onSent, signal) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", at(`clips?${new URLSearchParams(query)}`));
    request.setRequestHeader("Ezav-Visitor", headers["Ezav-Visitor"]);
    request.upload.onprogress = (event) => onSent(event.loaded / Math.max(1, event.total));
    request.onload = () => {
      if (request.status === 200) return done(JSON.parse(request.responseText));
      const error = new Error(request.responseText || `Status ${request.status}`);
      error.again = request.status === 429 || request.status === 503;
      failed(error);
    };
    request.onerror = () => failed(new Error("The server cannot be reached: is it still running?"));
    request.onabort = () => failed(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) return request.onabort();
    request.send(file);
  });
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
