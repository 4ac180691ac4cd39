// A recording from the microphone.

import { byId, clock } from "./element.js";

export class Microphone {
  constructor(onRecorded) {
    this._onRecorded = onRecorded;
    this._recorder = null;
    byId("record").addEventListener("click", () => (this._recorder ? this._recorder.stop() : this._begin()));
  }

  async _begin() {
    if (!navigator.mediaDevices) {
      this._say("A browser lends its microphone only to pages over HTTPS or on this machine.");
      return;
    }
    let sound;
    try {
      sound = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      this._say(`There is no microphone to be had (${error.message}); allow it, or choose a file.`);
      return;
    }
    const pieces = [];
    const recorder = (this._recorder = new MediaRecorder(sound));
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      sound.getTracks().forEach((track) => track.stop());
      this._ended();
      const kind = recorder.mimeType || "audio/webm";
      const extension = kind.includes("mp4") ? "m4a" : kind.includes("ogg") ? "ogg" : "webm";
      const at = new Date().toTimeString().slice(0, 5).replace(":", ".");
      this._onRecorded(new File(pieces, `Recording ${at}.${extension}`, { type: kind }));
    };
    recorder.start(1000);
    const began = performance.now();
    const tell = () => this._say(`Recording: ${clock((performance.now() - began) / 1000)}`);
    tell();
    this._timer = setInterval(tell, 1000);
    byId("record").classList.add("recording");
    byId("record-label").textContent = "Stop and transcribe";
  }

  _ended() {
    clearInterval(this._timer);
    this._recorder = null;
    this._say("");
    byId("record").classList.remove("recording");
    byId("record-label").textContent = "Record";
  }

  _say(text) {
    byId("record-note").textContent = text;
  }
}
