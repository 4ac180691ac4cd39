// Questions about a transcript, of which as much is sent along as the model can hold.

import { byId, clock, element } from "./element.js";
import { ask } from "./gateway.js";
import { converse } from "./conversation.js";
import { seek, segments } from "./transcript.js";

// Fewer than a token has in nearly every language.
const CHARACTERS_A_TOKEN = 2.5;
// For what stands around the transcript.
const TOKENS_AROUND = 150;
const TIME = /\[((?:\d+:)?\d{1,2}:\d{2})\]/;
const ORDER =
  "Answer questions about this transcript of a recording, from it alone and briefly. Give the time " +
  "of what you refer to as it stands in the transcript, such as [0:12].\n\n";

let limits;

/** How many characters of a transcript fit beside these messages. */
async function room(messages) {
  limits ??= (await (await ask("/v1/models")).json()).data.find((model) => model.context_length);
  const tokens = limits.context_length - limits.max_output_tokens - TOKENS_AROUND;
  return messages.reduce((left, { content }) => left - content.length, tokens * CHARACTERS_A_TOKEN);
}

const clear = converse(byId("ask"), {
  label: "Questions about the transcript",
  placeholder: "What was decided?",
  prepare,
  render: withTimes,
});
let speakers;

/** Forgets what was asked about another transcript. */
export function about(others) {
  speakers = others;
  clear();
}

async function prepare(messages) {
  const lines = segments.map(({ start, speaker, text }) => {
    const who = speaker ? `${speakers.name(speaker)}: ` : "";
    return `[${clock(start)}] ${who}${text}\n`;
  });
  const chosen = fitting(lines, messages.at(-1).content, await room(messages));
  const system = { role: "system", content: ORDER + chosen.join("") };
  const number = `${chosen.length} of the ${lines.length} sentences`;
  const note = `The model holds ${number}: those nearest to the question.`;
  return { sent: [system, ...messages], note: chosen.length < lines.length ? note : "" };
}

/** All lines, or those that share the rarest words with the question, and their neighbours. */
function fitting(lines, question, characters) {
  if (lines.join("").length <= characters) return lines;
  const terms = (text) => new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu));
  const found = lines.map(terms);
  const own = lines.map(() => 0);
  for (const term of terms(question)) {
    const having = [...lines.keys()].filter((at) => found[at].has(term));
    for (const at of having) own[at] += 1 / having.length;
  }
  const near = own.map((value, at) => value + ((own[at - 1] ?? 0) + (own[at + 1] ?? 0)) / 2);
  const kept = new Set();
  let left = characters;
  for (const at of [...lines.keys()].sort((one, other) => near[other] - near[one])) {
    left -= lines[at].length;
    if (left < 0) break;
    kept.add(at);
  }
  return lines.filter((_, at) => kept.has(at));
}

/** A text in which times are buttons. */
function withTimes(text) {
  // every second part is a time, since the pattern captures it
  return text.split(TIME).map((part, at) => {
    const seconds = part.split(":").reduce((sum, one) => 60 * sum + Number(one), 0);
    return at % 2 ? element("button", { class: "time", onclick: () => seek(seconds) }, part) : part;
  });
}
