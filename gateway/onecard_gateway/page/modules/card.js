// The card: what is loaded, what waits, and how much is done.

import { byId, duration, element } from "./element.js";
import { ask } from "./gateway.js";

const PERIOD_MS = 2000;
// Of throughput, as many periods as there are points.
const NUM_POINTS = 60;

export class Card {
  constructor() {
    this._timer = null;
    this._last = null;
    this._figures = {
      audio: figure("Speech", "seconds of recordings in a second"),
      tokens: figure("Language model", "tokens in a second"),
      inFlight: figure("Requests", "under way"),
    };
    byId("figures").replaceChildren(...Object.values(this._figures).map((one) => one.root));
  }

  /** Asks again and again until `hide`. */
  show() {
    this._timer ??= setInterval(() => this._look(), PERIOD_MS);
    this._look();
  }

  hide() {
    clearInterval(this._timer);
    this._timer = null;
  }

  async _look() {
    await Promise.all([this._lookAtModels(), this._lookAtFigures(), this._lookAtJobs()]);
  }

  async _lookAtModels() {
    const found = await health();
    const models = Object.entries(found.models ?? {});
    const rows = models.map(([name, isReady]) => {
      const { model, device, precision, backend } = found.engines?.[name] ?? {};
      const engine = [model, backend, precision, device].filter((one) => typeof one === "string");
      return element("tr", {},
        element("th", { scope: "row" }, name),
        element("td", { class: isReady ? "well" : "ill" }, isReady ? "ready" : "not ready"),
        element("td", { class: "muted" }, engine.join(", ")));
    });
    const state = element("p", {}, found.server ? `${found.server}: ${found.status}` : found.detail);
    byId("models").replaceChildren(state, element("table", {}, element("tbody", {}, ...rows)));
  }

  async _lookAtFigures() {
    let text;
    try {
      text = await (await ask("/metrics", { quiet: true })).text();
    } catch (error) {
      for (const one of Object.values(this._figures)) one.say(null, error.message);
      return;
    }
    const sum = (name) => total(text, `onecard_gateway_${name}`);
    const now = { at: performance.now(), audio: sum("audio_seconds_total"), tokens: sum("tokens_total") };
    const last = this._last ?? now;
    const elapsedS = (now.at - last.at) / 1000 || Infinity;
    this._last = now;
    this._figures.audio.say((now.audio - last.audio) / elapsedS, `${duration(now.audio)} in all`);
    this._figures.tokens.say((now.tokens - last.tokens) / elapsedS, `${Math.round(now.tokens)} in all`);
    // without this one itself
    this._figures.inFlight.say(Math.max(0, sum("requests_in_flight") - 1), `${sum("requests_total")} answered`);
  }

  async _lookAtJobs() {
    let told;
    try {
      const { data } = await (await ask("/v1/jobs?limit=100", { quiet: true })).json();
      const number = (state) => data.filter((job) => job.state === state).length;
      told = ["running", "queued", "done", "failed"].map((state) =>
        element("tr", {}, element("th", { scope: "row" }, state), element("td", {}, String(number(state)))));
    } catch (error) {
      told = [element("tr", {}, element("td", { class: "muted" }, error.message))];
    }
    const caption = element("caption", { class: "muted small" }, "Jobs, the last hundred");
    byId("queue").replaceChildren(element("table", {}, caption, element("tbody", {}, ...told)));
  }
}

/** How the server is, also where it is not well. */
export async function health() {
  try {
    return await (await fetch("/health")).json();
  } catch {
    return { status: "unreachable", detail: "The gateway does not answer." };
  }
}

function total(text, name) {
  return text.split("\n").reduce((sum, line) => {
    const has = line.startsWith(`${name} `) || line.startsWith(`${name}{`);
    return has ? sum + Number(line.slice(line.lastIndexOf(" "))) : sum;
  }, 0);
}

/** A number with its course. */
function figure(title, unit) {
  const number = element("strong", { class: "number" }, "–");
  const note = element("span", { class: "muted small" });
  const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const course = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  line.setAttribute("viewBox", `0 0 ${NUM_POINTS} 20`);
  line.setAttribute("preserveAspectRatio", "none");
  line.setAttribute("aria-hidden", "true");
  line.append(course);
  const head = element("h2", {}, title);
  const root = element("section", { class: "panel figure" }, head, number, element("span", { class: "small" }, unit), line, note);
  const values = [];
  const say = (value, text) => {
    note.textContent = text;
    number.textContent = value === null ? "–" : value >= 10 ? Math.round(value) : Number(value.toFixed(1));
    if (value === null) return;
    values.push(value);
    values.splice(0, values.length - NUM_POINTS);
    const most = Math.max(...values, 1);
    const points = values.map((one, at) => `${NUM_POINTS - values.length + at},${19 - (18 * one) / most}`);
    course.setAttribute("points", points.join(" "));
  };
  return { root, say };
}
