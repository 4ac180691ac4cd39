// Minutes of a transcript, whose every item leads to where it was said.

import { byId, element, timeButton } from "./element.js";
import { ask } from "./gateway.js";

const PATH = "/v1/minutes";
const PARTS = {
  decisions: "Decisions",
  action_items: "To do",
  topics: "Topics",
  open_questions: "Open questions",
  quotes: "Quotes",
};
// Where an item has its text, and what else is told of it.
const TEXTS = ["text", "title", "decision", "task", "action", "topic", "question", "quote"];
const DETAILS = ["summary", "owner", "assignee", "speaker", "due"];

/** Offers minutes; where the gateway has none, nothing is shown. */
export async function offerMinutes(transcript, seek) {
  byId("minutes-text").replaceChildren();
  tell("");
  const make = byId("minutes-make");
  make.disabled = false;
  make.onclick = () => write(transcript, seek);
  try {
    const { paths } = await (await ask("/")).json();
    byId("minutes").hidden = !paths.includes(PATH);
  } catch {
    byId("minutes").hidden = true;
  }
}

async function write(transcript, seek) {
  byId("minutes-make").disabled = true;
  tell("The model reads the transcript …");
  try {
    const json = { transcript: transcript(), template: "meeting", stream: false };
    show(await (await ask(PATH, { json })).json(), seek);
    tell("");
  } catch (error) {
    byId("minutes").hidden = error.status === 404;
    tell(error.message);
  }
  byId("minutes-make").disabled = false;
}

function show(minutes, seek) {
  const parts = Object.entries(PARTS).flatMap(([name, title]) => {
    const items = minutes[name] ?? [];
    if (!items.length) return [];
    const rows = items.map((item) => element("li", {}, ...told(item, seek)));
    return [element("h3", {}, title), element("ul", { class: "plain" }, ...rows)];
  });
  byId("minutes-text").replaceChildren(
    element("h3", { class: "title" }, plain(minutes.title)),
    element("p", {}, ...told(minutes.summary ?? "", seek)),
    ...parts,
  );
}

const plain = (value) => (typeof value === "string" ? value : (value?.text ?? ""));

/** The text of an item, its details and buttons to where it was said. */
function told(item, seek) {
  if (typeof item === "string") return [item];
  const name = TEXTS.find((one) => typeof item[one] === "string");
  const details = DETAILS.filter((one) => one !== name && item[one]).map((one) => String(item[one]));
  const cited = [item.citations ?? item.citation ?? []].flat();
  return [
    item[name] ?? "",
    details.length ? element("span", { class: "muted" }, ` (${details.join(", ")})`) : null,
    ...cited.flatMap(({ start }) => (Number.isFinite(start) ? [" ", timeButton(start, seek)] : [])),
  ];
}

function tell(text) {
  byId("minutes-state").textContent = text;
}
