// Who speaks: colours, and names that can be changed.

import { byId, duration, element } from "./element.js";

const NUM_COLOURS = 6;

export class Speakers {
  constructor(result) {
    this.ids = result.speakers;
    this._names = new Map();
    this._labels = new Map(this.ids.map((id) => [id, []]));
    const spoken = seconds(result);
    const rows = this.ids.map((id, index) => this._row(id, index, spoken.get(id) ?? 0));
    byId("people").replaceChildren(...rows);
    byId("people").hidden = !rows.length;
  }

  /** What to call a speaker here. */
  name(id) {
    return this._names.get(id) || `Speaker ${this.ids.indexOf(id) + 1}`;
  }

  colour(id) {
    return `c${this.ids.indexOf(id) % NUM_COLOURS}`;
  }

  /** An element with the name, which changes with it. */
  label(id) {
    const made = element("strong", { class: "name" }, this.name(id));
    this._labels.get(id)?.push(made);
    return made;
  }

  /** A RESULT in which those who were named have their names. */
  named(result) {
    const name = (id) => this._names.get(id) || id;
    const renamed = (one) => {
      const words = one.words ? { words: one.words.map(renamed) } : {};
      return { ...one, ...words, ...(one.speaker ? { speaker: name(one.speaker) } : {}) };
    };
    const { word_segments: _, speaker_embeddings: voices, ...kept } = result;
    const heard = voices && Object.entries(voices).map(([id, voice]) => [name(id), voice]);
    return {
      ...kept,
      segments: result.segments.map(renamed),
      turns: result.turns?.map(renamed) ?? null,
      speakers: [...new Set(result.speakers.map(name))],
      ...(heard ? { speaker_embeddings: Object.fromEntries(heard) } : {}),
    };
  }

  _row(id, index, spokenS) {
    const number = index + 1;
    const input = element("input", {
      placeholder: `Speaker ${number}`, "aria-label": `Name of speaker ${number}`,
      autocomplete: "off", size: 12, maxlength: 80,
      oninput: () => {
        this._names.set(id, input.value.trim());
        for (const label of this._labels.get(id)) label.textContent = this.name(id);
      },
      onkeydown: (event) => event.key === "Enter" && input.blur(),
    });
    const dot = element("span", { class: "swatch" });
    const told = element("span", { class: "muted small" }, duration(spokenS));
    return element("div", { class: `person ${this.colour(id)}` }, dot, input, told);
  }
}

/** How long each one speaks. */
function seconds(result) {
  const found = new Map();
  for (const { speaker, start, end } of result.turns ?? []) {
    found.set(speaker, (found.get(speaker) ?? 0) + end - start);
  }
  return found;
}
