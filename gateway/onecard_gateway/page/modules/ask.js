// Questions about a transcript, of which as much is sent along as the model can hold.

import { byId, clock, element } from "./element.js";
import { ask } from "./gateway.js";
import { Conversation } from "./conversation.js";

// A token has more characters than this in nearly every language; what is left over is harmless.
const CHARACTERS_A_TOKEN = 2.5;
// For the words around the transcript, in tokens.
const AROUND = 150;
const TIME = /\[(\d+:)?\d{1,2}:\d{2}\]/g;

let limits;

async function room(messages) {
  limits ??= (await (await ask("/v1/models")).json()).data.find((model) => model.context_length);
  const said = messages.reduce((sum, message) => sum + message.content.length, 0);
  const tokens = limits.context_length - limits.max_output_tokens - AROUND;
  return tokens * CHARACTERS_A_TOKEN - said;
}

export class Ask {
  constructor(transcript) {
    this._transcript = transcript;
    this._conversation = new Conversation(byId("ask"), {
      label: "Questions about the transcript",
      placeholder: "What was decided?",
      prepare: (question, messages) => this._prepare(question, messages),
      render: (text) => withTimes(text, transcript.seek),
    });
  }

  show(speakers) {
    this._speakers = speakers;
    this._conversation.clear();
  }

  async _prepare(question, messages) {
    const lines = this._transcript.segments.map((one) => {
      const who = one.speaker ? `${this._speakers.name(one.speaker)}: ` : "";
      return { ...one, line: `[${clock(one.start)}] ${who}${one.text}` };
    });
    const chosen = fitting(lines, question, await room(messages));
    const system = {
      role: "system",
      content:
        "Answer questions about this transcript of a recording. Answer from it alone, briefly, and " +
        "give the time of what you refer to as it stands in the transcript, such as [0:12].\n\n" +
        chosen.map((one) => one.line).join("\n"),
    };
    const note =
      chosen.length < lines.length
        ? `The model holds ${chosen.length} of the ${lines.length} sentences: those nearest to the question.`
        : "";
    return { messages: [system, ...messages], note };
  }
}

/** All lines, or those that share the rarest words with the question, and their neighbours. */
function fitting(lines, question, characters) {
  const length = (line) => line.line.length + 1;
  if (lines.reduce((sum, line) => sum + length(line), 0) <= characters) return lines;
  const terms = (text) => new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu));
  const has = lines.map((line) => terms(line.line));
  const worth = new Map();
  for (const term of terms(question)) {
    worth.set(term, 1 / (1 + has.filter((found) => found.has(term)).length));
  }
  const own = has.map((found) => [...worth].reduce((sum, [term, value]) => sum + (found.has(term) ? value : 0), 0));
  const near = own.map((value, at) => value + 0.5 * ((own[at - 1] ?? 0) + (own[at + 1] ?? 0)));
  const order = lines.map((_, at) => at).sort((one, other) => near[other] - near[one] || one - other);
  const kept = new Set();
  let left = characters;
  for (const at of order) {
    left -= length(lines[at]);
    if (left < 0) break;
    kept.add(at);
  }
  return lines.filter((_, at) => kept.has(at));
}

/** A text in which times are buttons. */
function withTimes(text, seek) {
  const nodes = [];
  let position = 0;
  for (const found of text.matchAll(TIME)) {
    const seconds = found[0].slice(1, -1).split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
    const button = element("button", { class: "time", onclick: () => seek(seconds) }, found[0].slice(1, -1));
    nodes.push(text.slice(position, found.index), button);
    position = found.index + found[0].length;
  }
  return [...nodes, text.slice(position)];
}
