// The words of a transcript: they follow the player, and seek when they are clicked.

import { byId, clock, element, timeButton, write } from "./element.js";

// So long after somebody scrolled, the text does not scroll by itself.
const READING_MS = 4000;
// A player stops a little before the time it was told.
const NEAR_S = 0.02;

const root = byId("transcript");
const player = byId("player");
let words = []; // {span, word, start, end, score}, of which some have no times
let timed = [];
let now = -1; // of those that are timed
let scrolled = -READING_MS;

/** {text, start, speaker, words: [{from, to, span}]} of each segment that is shown. */
export let segments = [];

/** Shows a RESULT; `speakers` knows names and colours. */
export function show(result, speakers) {
  words = [];
  segments = [];
  now = -1;
  const turns = [];
  let text;
  let last;
  for (const segment of result.segments) {
    if (!text || segment.speaker !== last) {
      text = element("p");
      turns.push(turn(segment, text, speakers));
    } else text.append(" ");
    last = segment.speaker;
    addSegment(segment, text);
  }
  timed = words.filter((word) => word.start !== undefined);
  root.replaceChildren(...(turns.length ? turns : ["Nothing was said in this recording."]));
  root.scrollTop = 0;
}

function turn({ speaker, start }, text, speakers) {
  const head = element("div", { class: "who" }, speaker && speakers.label(speaker), timeButton(start, seek));
  return element("div", { class: `turn ${speaker ? speakers.colour(speaker) : ""}` }, head, text);
}

function addSegment(segment, parent) {
  const text = segment.text.trim();
  const found = [];
  let position = 0;
  // Without words the whole sentence is one.
  for (const word of segment.words?.length ? segment.words : [{ ...segment, word: text }]) {
    const from = text.indexOf(word.word.trim(), position);
    if (from < 0) continue;
    const to = from + word.word.trim().length;
    const span = element("span", { class: "w" }, text.slice(from, to));
    parent.append(text.slice(position, from), span);
    span.index = words.push({ ...word, span }) - 1;
    found.push({ from, to, span });
    position = to;
  }
  parent.append(text.slice(position));
  segments.push({ ...segment, text, words: found });
}

/** Marks the words whose score is lower; returns how many. */
export function mark(threshold) {
  const unsure = words.filter(({ score }) => score < threshold);
  for (const { span } of words) span.classList.remove("unsure");
  for (const { span, score } of unsure) {
    span.classList.add("unsure");
    span.title = `${Math.round(100 * score)} % sure`;
  }
  return unsure.length;
}

/** Goes to a time, and plays from there. */
export function seek(seconds) {
  go(seconds);
  player.play().catch(() => {}); // where nothing can be played there is still the text
}

function go(seconds) {
  player.currentTime = seconds;
  scrolled = -READING_MS;
  follow(seconds);
}

function follow(seconds) {
  let low = 0;
  let high = timed.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (timed[middle].start <= seconds + NEAR_S) low = middle + 1;
    else high = middle;
  }
  if (low - 1 === now) return;
  timed[now]?.span.classList.remove("now");
  now = low - 1;
  timed[now]?.span.classList.add("now");
  if (now >= 0 && performance.now() - scrolled > READING_MS) reveal(timed[now].span);
}

/** Scrolls so far that something in the transcript can be seen. */
export function reveal(what) {
  const inner = what.getBoundingClientRect();
  const outer = root.getBoundingClientRect();
  if (inner.top < outer.top + 40 || inner.bottom > outer.bottom - 40) {
    root.scrollTop += inner.top - outer.top - outer.height / 3;
  }
}

const at = () => timed[now]?.start ?? -1;

function step(word) {
  if (word) tell(word.word, word.start);
}

function stepSegment(by) {
  const after = segments.filter(({ start }) => start <= at() + NEAR_S).length;
  const segment = segments[Math.max(0, after - 1 + by)];
  if (segment) tell(segment.text, segment.start);
}

function tell(text, start) {
  go(start);
  write("spoken", `${text.trim()}, ${clock(start)}`);
}

const KEYS = {
  " ": () => (player.paused ? seek(player.currentTime) : player.pause()),
  ArrowRight: () => step(timed.find(({ start }) => start > at() + NEAR_S)),
  ArrowLeft: () => step(timed.findLast(({ start }) => start < at() - NEAR_S)),
  ArrowDown: () => stepSegment(1),
  ArrowUp: () => stepSegment(-1),
};

root.onkeydown = (event) => {
  const act = KEYS[event.key];
  if (!act || event.target !== root || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
};
root.onclick = ({ target }) => {
  const word = words[target.index];
  if (word?.start !== undefined && getSelection().isCollapsed) seek(word.start);
};
for (const name of ["wheel", "touchmove", "pointerdown"]) {
  root.addEventListener(name, () => (scrolled = performance.now()), { passive: true });
}
function frame() {
  follow(player.currentTime);
  if (!player.paused) requestAnimationFrame(frame);
}
for (const name of ["play", "timeupdate", "seeked"]) {
  player.addEventListener(name, name === "play" ? frame : () => follow(player.currentTime));
}
