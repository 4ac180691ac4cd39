// A conversation with the language model, whose answers appear while they are written.

import { element } from "./element.js";
import { stream } from "./gateway.js";

export class Conversation {
  /**
   * `prepare(question, messages)` may give `messages` to send in place of these, and a `note`;
   * `render(text)` gives the nodes of an answer.
   */
  constructor(root, { label, placeholder, prepare, render }) {
    this._prepare = prepare ?? (async (question, messages) => ({ messages }));
    this._render = render ?? ((text) => [text]);
    this._messages = [];
    this._stop = null;
    this._log = element("div", { class: "log", role: "log", "aria-label": label, tabindex: 0 });
    this._input = element("textarea", { rows: 2, placeholder, "aria-label": placeholder });
    this._send = element("button", { class: "primary" }, "Send");
    this._end = element("button", { type: "button", hidden: true, onclick: () => this._stop?.abort() }, "Stop");
    this._clear = element("button", { type: "button", hidden: true, onclick: () => this.clear() }, "Start anew");
    this._note = element("p", { class: "muted small", role: "status" });
    const row = element("div", { class: "row spread" }, this._clear, this._end, this._send);
    const form = element("form", { class: "say" }, this._input, row);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this._say();
    });
    this._input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this._say();
    });
    root.append(this._log, this._note, form);
  }

  clear() {
    this._stop?.abort();
    this._messages = [];
    this._log.replaceChildren();
    this._note.textContent = "";
    this._clear.hidden = true;
  }

  async _say() {
    const question = this._input.value.trim();
    if (!question || this._stop) return;
    this._input.value = "";
    const messages = [...this._messages, { role: "user", content: question }];
    this._log.append(element("div", { class: "said mine" }, question));
    const answer = element("div", { class: "said busy" }, "…");
    this._log.append(answer);
    this._scroll();
    const stop = (this._stop = new AbortController());
    this._busy(true);
    let text = "";
    try {
      const { messages: sent, note } = await this._prepare(question, messages);
      this._note.textContent = note ?? "";
      await stream("/v1/chat/completions", { messages: sent, stream: true }, (chunk) => {
        text += chunk.choices?.[0]?.delta?.content ?? "";
        answer.replaceChildren(...this._render(text || "…"));
        this._scroll();
      }, stop.signal);
      if (!text) answer.textContent = "(no answer)";
    } catch (error) {
      if (error.name === "AbortError") answer.append(element("span", { class: "muted" }, " (stopped)"));
      else this._fail(answer, text, error);
    }
    answer.classList.remove("busy");
    // What was said before is no longer there, where it was cleared meanwhile.
    if (answer.isConnected && text) {
      this._messages = [...messages, { role: "assistant", content: text }];
    }
    this._stop = null;
    this._busy(false);
  }

  _fail(answer, text, error) {
    if (!text) answer.remove();
    this._log.append(element("p", { class: "notice bad" }, error.message));
    this._scroll();
  }

  _busy(isBusy) {
    this._send.hidden = isBusy;
    this._end.hidden = !isBusy;
    this._clear.hidden = isBusy || !this._log.childElementCount;
  }

  _scroll() {
    this._log.scrollTop = this._log.scrollHeight;
  }
}
