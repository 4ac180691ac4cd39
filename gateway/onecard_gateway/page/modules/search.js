// Search in a transcript.

import { byId } from "./element.js";
import { reveal } from "./transcript.js";

export class Search {
  constructor(transcript) {
    this._transcript = transcript;
    this._hits = []; // each the spans of one match
    this._at = 0;
    const input = byId("search");
    input.addEventListener("input", () => this._find(input.value));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this._go(event.shiftKey ? -1 : 1);
    });
    byId("search-on").addEventListener("click", () => this._go(1));
    byId("search-back").addEventListener("click", () => this._go(-1));
  }

  clear() {
    byId("search").value = "";
    this._hits = [];
    this._tell("");
  }

  _find(text) {
    for (const span of this._hits.flat()) span.classList.remove("hit", "at");
    const sought = text.trim().toLowerCase();
    this._hits = sought ? this._transcript.segments.flatMap((one) => matches(one, sought)) : [];
    for (const span of this._hits.flat()) span.classList.add("hit");
    this._at = 0;
    if (this._hits.length) this._go(0);
    else this._tell(sought ? "nothing" : "");
  }

  _go(by) {
    const number = this._hits.length;
    if (!number) return;
    for (const span of this._hits[this._at]) span.classList.remove("at");
    this._at = (this._at + by + number) % number;
    for (const span of this._hits[this._at]) span.classList.add("at");
    reveal(this._hits[this._at][0], byId("transcript"));
    this._tell(`${this._at + 1} of ${number}`);
  }

  _tell(text) {
    byId("found").textContent = text;
  }
}

function matches(segment, sought) {
  const text = segment.text.toLowerCase();
  const found = [];
  for (let at = text.indexOf(sought); at >= 0; at = text.indexOf(sought, at + sought.length)) {
    const end = at + sought.length;
    const spans = segment.words.filter((word) => word.from < end && word.to > at);
    if (spans.length) found.push(spans.map((word) => word.span));
  }
  return found;
}
