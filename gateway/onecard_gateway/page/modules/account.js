// What became of every second of a recording: the account of RESULT.

import { byId, clock, duration, element, shares, timeButton } from "./element.js";
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
    ...shares(parts, duration),
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
