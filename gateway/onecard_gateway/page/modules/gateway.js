// Requests to the gateway: its key, its errors, its events.

import { byId, write } from "./element.js";

const KEY = "onecard-key";

/** An answer that is none; `status` is HTTP's, 0 where nobody answered. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { authorization: `Bearer ${key}` } : {};
}

let asking = null;

/** Asks for a key once, however many requests need it; false if there is none to be had. */
function askKey(reason) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key");
    const input = byId("key-input");
    let given = false;
    write("key-reason", reason);
    input.value = "";
    dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, input.value.trim());
      given = true;
      dialog.close();
    };
    byId("key-none").onclick = () => dialog.close();
    dialog.onclose = () => {
      asking = null;
      resolve(given);
    };
    dialog.showModal();
  });
  return asking;
}

/** What an error in any of the gateway's forms says. */
function told(text, status) {
  try {
    const found = JSON.parse(text);
    return found.error?.message ?? found.detail ?? found.message ?? text;
  } catch {
    return text || `the gateway answered ${status}`;
  }
}

const GONE = "the gateway does not answer; see whether it runs, then try again";

/** A request; `json` is its body. Raises Failure for whatever is no success. */
export async function ask(path, { json, quiet = false, ...options } = {}) {
  const body = json ? { method: "POST", body: JSON.stringify(json) } : {};
  for (;;) {
    let response;
    try {
      response = await fetch(path, {
        ...body, ...options, headers: { accept: "application/json", ...headers() },
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure(0, GONE);
    }
    if (response.ok) return response;
    const message = told(await response.text(), response.status);
    if (response.status === 401 && !quiet && (await askKey(message))) continue;
    throw new Failure(response.status, message);
  }
}

/** Reads server-sent events from pieces of text, and hands on their JSON. */
function reader(onEvent) {
  let rest = "";
  return (text) => {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const line = block.split("\n").find((one) => one.startsWith("data: "));
      if (!line || line === "data: [DONE]") continue;
      const event = JSON.parse(line.slice(6));
      if (event.error) throw new Failure(502, event.error.message);
      onEvent(event);
    }
  };
}

/**
 * Sends a form, or JSON as text, and hands on the events of the answer until it has ended.
 *
 * `onSent` gets bytes done and in all.
 */
export async function send(path, body, onEvent, signal, onSent) {
  // A key is asked for before much is sent; whatever else is wrong shows later.
  await ask("/v1/models", { signal }).catch((error) => {
    if (error.status === 401 || signal.aborted) throw error;
  });
  // fetch() does not tell how much of a body is sent.
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const read = reader(onEvent);
    let position = 0;
    const more = () => {
      if (request.status !== 200) return;
      const text = request.responseText.slice(position);
      position += text.length;
      try {
        read(text);
      } catch (error) {
        reject(error);
        request.abort();
      }
    };
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onSent?.(event.loaded, event.total);
    request.onprogress = more;
    request.onload = () => {
      more();
      const { status, responseText } = request;
      if (status === 200) resolve();
      else reject(new Failure(status, told(responseText, status)));
    };
    request.onerror = () => reject(new Failure(0, GONE));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}
