// The words of a transcript: they follow the player, and seek when they are clicked.

import { byId, clock, element, timeButton } from "./element.js";

// So long after somebody scrolled, the text does not scroll by itself.
const READING_MS = 4000;

export class Transcript {
  constructor() {
    this._root = byId("transcript");
    this._player = byId("player");
    this._now = -1;
    this._scrolled = 0;
    this.seek = this.seek.bind(this);
    this._root.addEventListener("click", (event) => this._click(event));
    this._root.addEventListener("keydown", (event) => this._key(event));
    for (const name of ["wheel", "touchmove", "pointerdown"]) {
      this._root.addEventListener(name, () => (this._scrolled = performance.now()), { passive: true });
    }
    const follow = () => {
      this._follow();
      if (!this._player.paused) requestAnimationFrame(follow);
    };
    this._player.addEventListener("play", follow);
    for (const name of ["timeupdate", "seeked"]) {
      this._player.addEventListener(name, () => this._follow());
    }
  }

  /** Shows a RESULT; `speakers` knows names and colours. */
  show(result, speakers) {
    this.words = []; // {span, start, end, score}, of which some have no times
    this.segments = []; // {text, start, end, speaker, words: [{from, to, span}]}
    this._now = -1;
    const turns = [];
    let last;
    for (const segment of result.segments) {
      if (!last || (segment.speaker ?? null) !== last.speaker) {
        last = { speaker: segment.speaker ?? null, text: element("p") };
        turns.push(this._turn(segment, last.text, speakers));
      } else last.text.append(" ");
      this._segment(segment, last.text);
    }
    this._timed = this.words.filter((word) => word.start !== undefined);
    const nothing = element("p", { class: "muted" }, "Nothing was said in this recording.");
    this._root.replaceChildren(...(turns.length ? turns : [nothing]));
    this._root.scrollTop = 0;
  }

  _turn(segment, text, speakers) {
    const name = segment.speaker ? speakers.label(segment.speaker) : null;
    const head = element("div", { class: "who" }, name, timeButton(segment.start, this.seek));
    const colour = segment.speaker ? speakers.colour(segment.speaker) : "";
    return element("div", { class: `turn ${colour}` }, head, text);
  }

  _segment(segment, parent) {
    const text = segment.text.trim();
    const told = { ...segment, text, words: [] };
    // Without words the whole sentence is one.
    const words = segment.words?.length ? segment.words : [{ ...segment, word: text }];
    let position = 0;
    for (const word of words) {
      const from = text.indexOf(word.word.trim(), position);
      if (from < 0) continue;
      const to = from + word.word.trim().length;
      const span = element("span", { class: "w" }, text.slice(from, to));
      parent.append(text.slice(position, from), span);
      span.index = this.words.push({ ...word, span }) - 1;
      told.words.push({ from, to, span });
      position = to;
    }
    parent.append(text.slice(position));
    this.segments.push(told);
  }

  /** Marks the words whose score is lower; returns how many. */
  mark(threshold) {
    let number = 0;
    for (const { span, score } of this.words) {
      const isUnsure = score !== undefined && score < threshold;
      span.classList.toggle("unsure", isUnsure);
      if (isUnsure) span.title = `${Math.round(100 * score)} % sure`;
      else span.removeAttribute("title");
      number += isUnsure;
    }
    return number;
  }

  /** Goes to a time, and plays from there. */
  seek(seconds) {
    this._player.currentTime = seconds;
    this._scrolled = 0;
    this._follow(seconds);
    this._player.play().catch(() => {}); // where nothing can be played there is still the text
  }

  /** Goes to a segment by its number. */
  seekSegment(number) {
    const segment = this.segments[number];
    if (segment) this.seek(segment.start);
  }

  _click(event) {
    const word = this.words[event.target.index];
    if (word?.start !== undefined && getSelection().isCollapsed) this.seek(word.start);
  }

  _follow(seconds = this._player.currentTime) {
    const words = this._timed ?? [];
    let low = 0;
    let high = words.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      // a player stops a little before the time it was told
      if (words[middle].start <= seconds + 0.02) low = middle + 1;
      else high = middle;
    }
    this._show(low - 1);
  }

  _show(index) {
    if (index === this._now) return;
    this._timed[this._now]?.span.classList.remove("now");
    this._now = index;
    const span = this._timed[index]?.span;
    if (!span) return;
    span.classList.add("now");
    if (performance.now() - this._scrolled > READING_MS) reveal(span, this._root);
  }

  _key(event) {
    if (event.target !== this._root || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      " ": () => (this._player.paused ? this.seek(this._player.currentTime) : this._player.pause()),
      ArrowRight: () => this._step(this._now + 1),
      ArrowLeft: () => this._step(this._now - 1),
      ArrowDown: () => this._stepSegment(1),
      ArrowUp: () => this._stepSegment(-1),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  _step(index) {
    const word = this._timed[index];
    if (!word) return;
    this._player.currentTime = word.start;
    this._scrolled = 0;
    this._show(index);
    byId("spoken").textContent = `${word.word.trim()}, ${clock(word.start)}`;
  }

  _stepSegment(by) {
    const start = this._timed[this._now]?.start ?? -1;
    const after = this.segments.filter((segment) => segment.start <= start + 0.02).length;
    const segment = this.segments[Math.max(0, after - 1 + by)];
    if (!segment) return;
    const first = this._timed.findIndex((word) => word.start >= segment.start);
    this._step(first);
    byId("spoken").textContent = `${segment.text}, ${clock(segment.start)}`;
  }
}

/** Scrolls a box so far that something in it can be seen. */
export function reveal(what, box) {
  const inner = what.getBoundingClientRect();
  const outer = box.getBoundingClientRect();
  if (inner.top < outer.top + 40 || inner.bottom > outer.bottom - 40) {
    box.scrollTop += inner.top - outer.top - outer.height / 3;
  }
}
