// The card: what is loaded, what waits, and how much is done.

import { byId, duration, element, shares } from "./element.js";
import { ask } from "./gateway.js";

const PERIOD_MS = 2000;
// Of a course, one for each period.
const NUM_POINTS = 60;
const SVG = "http://www.w3.org/2000/svg";

const audio = figure("Speech", "seconds of recordings in a second");
const tokens = figure("Language model", "tokens in a second");
const inFlight = figure("Requests", "under way");
let timer = null;
let last = null;

/** Asks again and again until `hide`. */
export function show() {
  timer ??= setInterval(look, PERIOD_MS);
  look().then(() => fill("ledger", "/v1/card", ledger));
}

export function hide() {
  clearInterval(timer);
  timer = null;
}

async function look() {
  await lookAtFigures(); // alone, as they count requests
  lookAtModels();
  fill("queue", "/v1/jobs?limit=100", jobs);
}

/** Fills a panel with what is made of an answer, or says why there is none. */
async function fill(id, path, made) {
  let told;
  try {
    told = made(await (await ask(path, { quiet: true })).json());
  } catch (error) {
    told = [error.message];
  }
  byId(id).replaceChildren(...told);
}

function ledger({ plan, card, parts, vram_bytes: all, headroom_bytes: spare }) {
  if (!card) return [plan ? `The plan ${plan} has no card.` : "The server does not tell."];
  const sum = (those) => those.reduce((total, { bytes }) => total + bytes, 0);
  const rows = [...Map.groupBy(parts, ({ name }) => name)].map(([name, those], at) => {
    const kinds = those.map(({ kind, bytes }) => `${kind} ${gib(bytes)}`).join(", ");
    return [`c${at}`, `${name} (${kinds})`, sum(those)];
  });
  rows.push(["quiet", "kept free", spare], ["left", "left", all - spare - sum(parts)]);
  const title = element("p", {}, `${card}, plan ${plan}`);
  return [title, ...shares(rows, (bytes) => `${gib(bytes)} GiB`)];
}

const gib = (bytes) => (bytes / 2 ** 30).toFixed(1);

async function lookAtModels() {
  const found = await health();
  const rows = Object.entries(found.models ?? {}).map(([name, isReady]) => {
    const { model, backend, precision, device } = found.engines[name] ?? {};
    const engine = [model, backend, precision, device].filter((one) => typeof one === "string");
    const state = element("td", { class: isReady ? "well" : "ill" }, isReady ? "ready" : "not ready");
    return row(name, state, element("td", { class: "muted" }, engine.join(", ")));
  });
  const state = element("p", {}, found.server ? `${found.server}: ${found.status}` : found.detail);
  byId("models").replaceChildren(state, element("table", {}, ...rows));
}

async function lookAtFigures() {
  let text;
  try {
    text = await (await ask("/metrics", { quiet: true })).text();
  } catch (error) {
    for (const say of [audio, tokens, inFlight]) say(NaN, error.message);
    return;
  }
  const sum = (name) => total(text, `onecard_gateway_${name}`);
  const now = { at: performance.now(), audio: sum("audio_seconds_total"), tokens: sum("tokens_total") };
  const rate = (name) => (last ? (1000 * (now[name] - last[name])) / (now.at - last.at) : 0);
  audio(rate("audio"), `${duration(now.audio)} in all`);
  tokens(rate("tokens"), `${now.tokens} in all`);
  inFlight(Math.max(0, sum("requests_in_flight") - 1), `${sum("requests_total")} answered`);
  last = now;
}

function jobs({ data }) {
  const number = (state) => data.filter((job) => job.state === state).length;
  const rows = ["running", "queued", "done", "failed"].map((state) => row(state, element("td", {}, String(number(state)))));
  return [element("table", {}, ...rows)];
}

const row = (name, ...cells) => element("tr", {}, element("th", { scope: "row" }, name), ...cells);

/** How the server is, also where it is not well. */
export async function health() {
  try {
    return await (await fetch("/health")).json();
  } catch {
    return { status: "unreachable", detail: "The gateway does not answer." };
  }
}

/** The sum of a figure of Prometheus over its labels. */
function total(text, name) {
  const lines = text.split("\n").filter((line) => [" ", "{"].includes(line[name.length]) && line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

/** A number with its course; returns what tells it, with a note. */
function figure(title, unit) {
  const number = element("strong", { class: "number" });
  const note = element("span", { class: "muted small" });
  const chart = document.createElementNS(SVG, "svg");
  const course = document.createElementNS(SVG, "polyline");
  chart.setAttribute("viewBox", `0 0 ${NUM_POINTS} 20`);
  chart.setAttribute("preserveAspectRatio", "none");
  chart.append(course);
  const parts = [element("h2", {}, title), number, element("span", { class: "small" }, unit), chart, note];
  byId("figures").append(element("section", { class: "panel figure" }, ...parts));
  const values = [];
  return (value, text) => {
    note.textContent = text;
    number.textContent = isNaN(value) ? "–" : value.toFixed(value % 1 && value < 10 ? 1 : 0);
    if (isNaN(value)) return;
    values.push(value);
    values.splice(0, values.length - NUM_POINTS);
    const most = Math.max(...values, 1);
    const points = values.map((one, at) => `${NUM_POINTS - values.length + at},${19 - (18 * one) / most}`);
    course.setAttribute("points", points.join(" "));
  };
}
