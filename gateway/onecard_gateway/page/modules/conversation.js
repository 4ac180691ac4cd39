// A conversation with the language model, whose answers appear while they are written.

import { element } from "./element.js";
import { send } from "./gateway.js";

/**
 * Puts one into an element; returns what makes it forget.
 *
 * `prepare(messages)` gives what is `sent` for them and a `note`, `render(text)` an answer's nodes.
 */
export function converse(root, { label, placeholder, prepare, render = (text) => [text] }) {
  let messages = [];
  let stop = null; // of the answer under way
  const log = element("div", { class: "log", role: "log", "aria-label": label, tabindex: 0 });
  const input = element("textarea", { rows: 2, placeholder, "aria-label": placeholder });
  const note = element("p", { class: "muted small", role: "status" });
  const go = element("button", { class: "primary" }, "Send");
  const end = element("button", { type: "button", hidden: true, onclick: () => stop?.abort() }, "Stop");
  const anew = element("button", { type: "button", hidden: true, onclick: clear }, "Start anew");
  const row = element("div", { class: "row" }, anew, end, go);
  const form = element("form", { class: "say" }, input, row);
  root.append(log, note, form);

  function clear() {
    stop?.abort();
    messages = [];
    log.replaceChildren();
    note.textContent = "";
    anew.hidden = true;
  }

  async function say() {
    const question = input.value.trim();
    if (!question || stop) return;
    input.value = "";
    const asked = [...messages, { role: "user", content: question }];
    const answer = element("div", { class: "said" }, "…");
    log.append(element("div", { class: "said mine" }, question), answer);
    stop = new AbortController();
    busy(true);
    let text = "";
    const onEvent = (chunk) => {
      text += chunk.choices?.[0]?.delta?.content ?? "";
      answer.replaceChildren(...render(text || "…"));
      log.scrollTop = log.scrollHeight;
    };
    try {
      const prepared = prepare ? await prepare(asked) : { sent: asked, note: "" };
      note.textContent = prepared.note;
      const body = JSON.stringify({ messages: prepared.sent, stream: true });
      await send("/v1/chat/completions", body, onEvent, stop.signal);
      if (!text) answer.textContent = "(no answer)";
    } catch (error) {
      if (error.name === "AbortError") answer.append(" (stopped)");
      else if (text) answer.after(element("p", { class: "notice bad" }, error.message));
      else answer.replaceWith(element("p", { class: "notice bad" }, error.message));
    }
    // It may have been cleared meanwhile.
    if (answer.isConnected && text) messages = [...asked, { role: "assistant", content: text }];
    stop = null;
    busy(false);
  }

  function busy(isBusy) {
    go.hidden = isBusy;
    end.hidden = !isBusy;
    anew.hidden = isBusy || !log.childElementCount;
    log.scrollTop = log.scrollHeight;
  }

  form.onsubmit = (event) => {
    event.preventDefault();
    say();
  };
  input.onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    say();
  };
  return clear;
}
