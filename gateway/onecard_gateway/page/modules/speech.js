// The first tab: from a recording to its transcript.

import { byId, clock, duration, element } from "./element.js";
import { upload } from "./gateway.js";
import { hasSpeakers, offer, request } from "./upload.js";
import { Progress } from "./progress.js";
import { Transcript } from "./transcript.js";
import { Search } from "./search.js";
import { Speakers } from "./speakers.js";
import { Ask } from "./ask.js";
import { showAccount } from "./account.js";
import { offerDownloads } from "./downloads.js";
import { offerMinutes } from "./minutes.js";

const VIEWS = ["start", "working", "done"];

export class Speech {
  constructor() {
    this._transcript = new Transcript();
    this._search = new Search(this._transcript);
    this._ask = new Ask(this._transcript);
    this._url = null;
    this._stop = null;
    offer((file) => this._transcribe(file));
    byId("cancel").addEventListener("click", () => this._stop.abort());
    byId("again").addEventListener("click", () => this._begin());
    byId("threshold").addEventListener("input", () => this._mark());
    this._player = byId("player");
    this._player.addEventListener("error", () => (byId("unplayable").hidden = !this._player.src));
    this._player.addEventListener("loadedmetadata", () => this._measure());
  }

  _view(name) {
    for (const one of VIEWS) byId(one).hidden = one !== name;
  }

  _begin(failure = "") {
    this._player.pause();
    byId("failure").textContent = failure;
    byId("failure").hidden = !failure;
    this._view("start");
    byId("pick").focus();
  }

  async _transcribe(file) {
    if (this._stop) return;
    const progress = new Progress(hasSpeakers());
    const [path, form] = request(file);
    const stop = (this._stop = new AbortController());
    let result = null;
    byId("working-name").textContent = file.name;
    byId("live").replaceChildren();
    this._view("working");
    byId("working-name").focus();
    const onSent = (done, total) => (done < total ? progress.update("upload", done, total) : progress.uploaded());
    const onEvent = (event) => {
      if (event.type === "transcript.progress") progress.update(event.stage, event.done, event.total);
      else if (event.type === "transcript.segments") this._live(event.segments);
      else if (event.type === "transcript.result") result = event.result;
    };
    try {
      progress.update("upload", 0, file.size);
      await upload(path, form, onSent, onEvent, stop.signal);
      if (!result) throw new Error("the answer ended before its end; try again");
      this._show(file, result);
    } catch (error) {
      this._begin(error.name === "AbortError" ? "" : error.message);
    }
    this._stop = null;
  }

  _live(segments) {
    const live = byId("live");
    const isAtEnd = live.scrollHeight - live.scrollTop - live.clientHeight < 60;
    for (const { start, text } of segments) {
      const time = element("span", { class: "muted small" }, `${clock(start)} `);
      live.append(element("p", {}, time, text.trim()));
    }
    if (isAtEnd) live.scrollTop = live.scrollHeight;
  }

  _show(file, result) {
    const speakers = new Speakers(result);
    const named = () => speakers.named(result);
    if (this._url) URL.revokeObjectURL(this._url);
    this._url = URL.createObjectURL(file);
    byId("unplayable").hidden = true;
    this._player.src = this._url;
    byId("done-name").textContent = file.name;
    byId("facts").textContent = facts(result);
    this._transcript.show(result, speakers);
    this._search.clear();
    this._mark();
    this._ask.show(speakers);
    showAccount(result, this._transcript.seek);
    offerDownloads(file.name, named);
    offerMinutes(named, this._transcript.seek);
    this._view("done");
    byId("done-name").focus();
  }

  _mark() {
    const percent = Number(byId("threshold").value);
    const number = this._transcript.mark(percent / 100);
    byId("threshold-shown").textContent = `${percent} % (${number})`;
  }

  // What a browser records has no duration until it was once at its end.
  _measure() {
    if (this._player.duration !== Infinity) return;
    this._player.currentTime = 1e7;
    this._player.addEventListener("timeupdate", () => (this._player.currentTime = 0), { once: true });
  }
}

function facts(result) {
  const language = new Intl.DisplayNames(["en"], { type: "language" });
  const speakers = result.turns ? [`${result.speakers.length} speaker${result.speakers.length === 1 ? "" : "s"}`] : [];
  let name = result.language;
  try {
    name = language.of(result.language);
  } catch { /* a code that the browser does not have */ }
  const words = `${result.account.num_words} words`;
  return [duration(result.duration_s), name, words, ...speakers].join(" · ");
}
