// How far a transcription is, stage by stage, and how long it will take.

import { byId, duration, element, write } from "./element.js";

const STAGES = {
  upload: "Upload",
  decode_audio: "Read the sound",
  detect_speech: "Find speech",
  recognize: "Recognize words",
  diarize: "Tell speakers apart",
};
// Those that run side by side; the others follow one another.
const TOGETHER = ["recognize", "diarize"];
// Sooner an estimate says nothing.
const MIN_ELAPSED_MS = 1500;

let stages = {};
let timer;

/** Shows stages of which none has begun. */
export function begin(hasSpeakers) {
  stages = {};
  for (const [name, label] of Object.entries(STAGES)) {
    if (name === "diarize" && !hasSpeakers) continue;
    const bar = element("progress", { max: 1, value: 0, "aria-label": label });
    const told = element("span", { class: "muted small" });
    const row = element("li", {}, element("span", {}, label), bar, told);
    stages[name] = { row, bar, told, began: null, ends: 0 };
  }
  byId("stages").replaceChildren(...Object.values(stages).map(({ row }) => row));
  timer = setInterval(tellLeft, 1000);
}

/** `done` of `total` of a stage, in whatever it counts. */
export function update(name, done, total) {
  const stage = stages[name];
  if (!stage) return;
  const now = performance.now();
  stage.began ??= now;
  const elapsed = now - stage.began;
  stage.ends = elapsed > MIN_ELAPSED_MS ? stage.began + (elapsed / done) * total : 0;
  const names = Object.keys(stages);
  for (const other of names.slice(0, names.indexOf(name))) {
    if (!TOGETHER.includes(other)) end(stages[other]);
  }
  stage.row.className = "now";
  if (total > 1) {
    stage.bar.value = done / total;
    stage.told.textContent = `${Math.floor((100 * done) / total)} %`;
  } else stage.bar.removeAttribute("value");
  if (total > 0 && done >= total) end(stage);
  tellLeft();
}

/** Nothing is under way any more. */
export const stop = () => clearInterval(timer);

function end(stage) {
  stage.row.className = "over";
  stage.bar.value = 1;
  stage.told.textContent = "done";
}

function tellLeft() {
  const now = Object.values(stages).filter(({ row }) => row.className === "now");
  const leftS = (Math.max(...now.map(({ ends }) => ends)) - performance.now()) / 1000;
  const isTold = leftS > 0 && leftS < Infinity; // nothing is done yet, where it is infinite
  write("left", isTold ? `About ${duration(Math.ceil(leftS))} left` : "");
}
