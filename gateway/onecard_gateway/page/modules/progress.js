// How far a transcription is, stage by stage, and how long it will take.

import { byId, duration, element } from "./element.js";

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
const MIN_ELAPSED_S = 1.5;

export class Progress {
  constructor(hasSpeakers) {
    this._stages = {};
    this._began = {};
    this._said = "";
    const names = Object.keys(STAGES).filter((name) => name !== "diarize" || hasSpeakers);
    const rows = names.map((name) => {
      const bar = element("progress", { max: 1, value: 0, "aria-label": STAGES[name] });
      const told = element("span", { class: "muted small" });
      const row = element("li", {}, element("span", {}, STAGES[name]), bar, told);
      this._stages[name] = { row, bar, told, done: 0, total: 0 };
      return row;
    });
    byId("stages").replaceChildren(...rows);
    this._say("");
  }

  /** `done` of `total` of a stage, in whatever it counts. */
  update(name, done, total) {
    const stage = this._stages[name];
    if (!stage) return;
    this._began[name] ??= performance.now();
    Object.assign(stage, { done, total });
    this._endBefore(name);
    stage.row.className = "now";
    if (total > 1) {
      stage.bar.value = done / total;
      stage.told.textContent = `${Math.floor((100 * done) / total)} %`;
    } else stage.bar.removeAttribute("value");
    if (total > 0 && done >= total) this._end(stage);
    this._tellLeft();
  }

  /** The bytes of the recording have gone. */
  uploaded() {
    this._end(this._stages.upload);
    this.update("decode_audio", 0, 1);
  }

  _endBefore(name) {
    const names = Object.keys(this._stages);
    for (const other of names.slice(0, names.indexOf(name))) {
      if (!TOGETHER.includes(other)) this._end(this._stages[other]);
    }
  }

  _end(stage) {
    stage.done = stage.total = Math.max(stage.total, 1);
    stage.row.className = "over";
    stage.bar.value = 1;
    stage.told.textContent = "done";
  }

  _tellLeft() {
    const left = Object.entries(this._stages).map(([name, { done, total }]) => {
      const elapsedS = (performance.now() - (this._began[name] ?? Infinity)) / 1000;
      const isTold = done > 0 && done < total && elapsedS > MIN_ELAPSED_S;
      return isTold ? (elapsedS / done) * (total - done) : 0;
    });
    const most = Math.max(...left);
    const now = Object.keys(this._stages).filter((name) => this._stages[name].row.className === "now");
    const what = now.map((name) => STAGES[name]).join(", ");
    this._say(most > 0 ? `${what}: about ${duration(Math.ceil(most))} left` : what);
  }

  _say(text) {
    if (text !== this._said) byId("left").textContent = this._said = text;
  }
}
