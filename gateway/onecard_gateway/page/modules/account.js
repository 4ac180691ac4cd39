// What became of every second of a recording: the account of RESULT.

import { byId, clock, duration, element, timeButton } from "./element.js";
import { seek } from "./transcript.js";

/** Shows the account of a RESULT. */
export function showAccount({ account, warnings }) {
  const parts = [
    ["words", "in the transcript", account.transcribed_s],
    ["quiet", "without speech", account.silence_s],
    ["dropped", "speech without text", account.dropped_s],
    ["missing", "missing from the file", account.missing_s],
  ].filter(([, , seconds]) => seconds > 0);
  byId("account").replaceChildren(
    element("p", {}, verdict(account)),
    bar(parts),
    element("ul", { class: "legend small" }, ...parts.map(legend)),
    ...list("Speech without text", account.dropped),
    ...list("Damaged or never recorded", account.gaps),
    ...list("Decoded a second time", account.retried),
    ...warnings.map((text) => element("p", { class: "small notice" }, text)),
    ...words(account),
  );
}

function verdict(account) {
  const lost = account.dropped_s + account.missing_s;
  if (!lost && !account.gaps.length) {
    return `Nothing: all ${duration(account.speech_s)} of speech have their text.`;
  }
  return `${duration(lost)} of ${duration(account.duration_s)} have no text.`;
}

function bar(parts) {
  const total = parts.reduce((sum, [, , seconds]) => sum + seconds, 0) || 1;
  const made = element("div", { class: "bar" });
  for (const [name, , seconds] of parts) {
    const piece = element("span", { class: name });
    piece.style.width = `${(100 * seconds) / total}%`; // not in the HTML, so the policy has it
    made.append(piece);
  }
  return made;
}

function legend([name, label, seconds]) {
  const swatch = element("span", { class: `swatch ${name}` });
  return element("li", {}, swatch, `${duration(seconds)} ${label}`);
}

function list(title, regions) {
  if (!regions.length) return [];
  const items = regions.map(({ start, end, reason }) =>
    element("li", {}, timeButton(start, seek), ` to ${clock(end)}${reason ? `: ${reason}` : ""}`),
  );
  return [element("h3", {}, title), element("ul", { class: "small plain" }, ...items)];
}

function words({ num_words: all, num_words_interpolated: guessed, num_words_untimed: none }) {
  if (!guessed && !none) return [];
  const text = `Of ${all} words: times guessed from neighbours ${guessed}, without times ${none}.`;
  return [element("p", { class: "small muted" }, text)];
}
