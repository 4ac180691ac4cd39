// Search in a transcript.

import { byId, write } from "./element.js";
import { reveal, segments } from "./transcript.js";

const input = byId("search");
let hits = []; // each the spans of one match
let at = 0;

/** Forgets what was sought. */
export function clear() {
  input.value = "";
  find();
}

function find() {
  for (const span of hits.flat()) span.classList.remove("hit", "at");
  const sought = input.value.trim().toLowerCase();
  hits = sought ? segments.flatMap((segment) => matches(segment, sought)) : [];
  for (const span of hits.flat()) span.classList.add("hit");
  at = 0;
  write("found", sought ? "nothing" : "");
  go(0);
}

function go(by) {
  if (!hits.length) return;
  for (const span of hits[at]) span.classList.remove("at");
  at = (at + by + hits.length) % hits.length;
  for (const span of hits[at]) span.classList.add("at");
  reveal(hits[at][0]);
  write("found", `${at + 1} of ${hits.length}`);
}

function matches(segment, sought) {
  const text = segment.text.toLowerCase();
  const found = [];
  for (let from = text.indexOf(sought); from >= 0; from = text.indexOf(sought, from + sought.length)) {
    const words = segment.words.filter((word) => word.from < from + sought.length && word.to > from);
    if (words.length) found.push(words.map((word) => word.span));
  }
  return found;
}

input.oninput = find;
input.onkeydown = (event) => event.key === "Enter" && go(event.shiftKey ? -1 : 1);
byId("search-on").onclick = () => go(1);
byId("search-back").onclick = () => go(-1);
