// The first tab: from a recording to its transcript.

import { byId, clock, duration, element, write } from "./element.js";
import { send } from "./gateway.js";
import { hasSpeakers, offer, request } from "./upload.js";
import * as progress from "./progress.js";
import { Speakers } from "./speakers.js";
import * as transcript from "./transcript.js";
import { clear } from "./search.js";
import { about } from "./ask.js";
import { showAccount } from "./account.js";
import { offerDownloads } from "./downloads.js";
import { offerMinutes } from "./minutes.js";

const player = byId("player");
let stop = null; // of what is under way

function view(name) {
  for (const one of ["start", "working", "done"]) byId(one).hidden = one !== name;
}

function begin(failure) {
  player.pause();
  write("failure", failure);
  byId("failure").hidden = !failure;
  view("start");
  byId("pick").focus();
}

async function transcribe(file) {
  if (stop) return;
  stop = new AbortController();
  progress.begin(hasSpeakers());
  let result = null;
  write("working-name", file.name);
  byId("live").replaceChildren();
  view("working");
  byId("working-name").focus();
  const onSent = (done, total) => progress.update(...(done < total ? ["upload", done, total] : ["decode_audio", 0, 1]));
  const onEvent = (event) => {
    if (event.type === "transcript.progress") progress.update(event.stage, event.done, event.total);
    else if (event.type === "transcript.segments") event.segments.forEach(live);
    else if (event.type === "transcript.result") result = event.result;
  };
  try {
    progress.update("upload", 0, file.size);
    await send(...request(file), onEvent, stop.signal, onSent);
    if (!result) throw new Error("the answer broke off; try again");
    show(file, result);
  } catch (error) {
    begin(error.name === "AbortError" ? "" : error.message);
  }
  progress.stop();
  stop = null;
}

function live({ start, text }) {
  const box = byId("live");
  const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
  box.append(element("p", {}, element("span", { class: "muted small" }, `${clock(start)} `), text.trim()));
  if (isAtEnd) box.scrollTop = box.scrollHeight;
}

function show(file, result) {
  const speakers = new Speakers(result);
  const named = () => speakers.named(result);
  URL.revokeObjectURL(player.src);
  byId("unplayable").hidden = true;
  player.src = URL.createObjectURL(file);
  write("done-name", file.name);
  write("facts", facts(result));
  transcript.show(result, speakers);
  clear();
  mark();
  about(speakers);
  showAccount(result);
  offerDownloads(file.name, named);
  offerMinutes(named);
  view("done");
  byId("done-name").focus();
}

function mark() {
  const percent = byId("threshold").value;
  write("threshold-shown", `${percent} % (${transcript.mark(percent / 100)})`);
}

function facts({ duration_s, language, speakers, turns, account }) {
  const name = new Intl.DisplayNames(["en"], { type: "language" }).of(language);
  const told = turns ? [`${speakers.length} speaker${speakers.length === 1 ? "" : "s"}`] : [];
  return [duration(duration_s), name, `${account.num_words} words`, ...told].join(" · ");
}

offer(transcribe);
byId("cancel").onclick = () => stop.abort();
byId("again").onclick = () => begin("");
byId("threshold").oninput = mark;
player.onerror = () => (byId("unplayable").hidden = false);
// What a browser records has no duration until it was once at its end.
player.onloadedmetadata = () => {
  if (player.duration !== Infinity) return;
  player.currentTime = 1e7;
  player.addEventListener("timeupdate", () => (player.currentTime = 0), { once: true });
};
