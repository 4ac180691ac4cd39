// Minutes of a transcript, whose every item leads to where it was said.

import { byId, element, timeButton, write } from "./element.js";
import { ask } from "./gateway.js";
import { seek, segments } from "./transcript.js";

const PATH = "/v1/minutes";
const PARTS = {
  decisions: "Decisions",
  action_items: "To do",
  topics: "Topics",
  open_questions: "Open questions",
  quotes: "Quotes",
};

/** Offers minutes, if the gateway has them; `named` gives RESULT. */
export async function offerMinutes(named) {
  byId("minutes-text").replaceChildren();
  byId("minutes-make").onclick = () => make(named());
  write("minutes-state", "");
  try {
    const { paths } = await (await ask("/")).json();
    byId("minutes").hidden = !paths.includes(PATH);
  } catch {
    byId("minutes").hidden = true;
  }
}

async function make(result) {
  byId("minutes-make").disabled = true;
  write("minutes-state", "The model reads the transcript …");
  try {
    const json = { transcript: result, template: "meeting", stream: false };
    const found = await (await ask(PATH, { json })).json();
    show(found.minutes ?? found);
    write("minutes-state", "");
  } catch (error) {
    byId("minutes").hidden = error.status === 404;
    write("minutes-state", error.message);
  }
  byId("minutes-make").disabled = false;
}

function show(minutes) {
  const parts = Object.entries(PARTS).flatMap(([name, title]) => {
    const rows = (minutes[name] ?? []).map((item) => element("li", {}, ...told(item)));
    return rows.length ? [element("h3", {}, title), element("ul", { class: "plain" }, ...rows)] : [];
  });
  const title = element("h3", {}, minutes.title);
  byId("minutes-text").replaceChildren(title, element("p", {}, minutes.summary), ...parts);
}

/** What an item says, who shall do it until when or who said it, and where that was said. */
function told(item) {
  const details = [item.who, item.due, item.speaker].filter(Boolean).join(", ");
  const cited = (item.citations ?? [item]).flatMap((one) => one.segments ?? []);
  // of those that follow one another the first
  const firsts = cited.filter((number) => segments[number] && !cited.includes(number - 1));
  return [
    item.text ?? item.what,
    element("span", { class: "muted" }, details && ` (${details})`),
    ...firsts.flatMap((number) => [" ", timeButton(segments[number].start, seek)]),
  ];
}
