// Where a recording comes from, and with which options it is sent.

import { byId } from "./element.js";
import { offerMicrophone } from "./microphone.js";

/** Calls `onFile` with each recording that is dropped, chosen or made. */
export function offer(onFile) {
  const drop = byId("drop");
  const file = byId("file");
  byId("pick").onclick = () => file.click();
  file.onchange = () => {
    if (file.files.length) onFile(file.files[0]);
    file.value = "";
  };
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", !byId("start").hidden);
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const dropped = event.dataTransfer.files[0];
    if (dropped && !byId("start").hidden) onFile(dropped);
  });
  offerMicrophone(onFile);
}

/** Whether speakers shall be told apart. */
export const hasSpeakers = () => byId("diarize").checked;

/** Where to send a recording, and the form with it. */
export function request(file) {
  const form = new FormData();
  const given = { language: "language", speakers: "num_speakers", hotwords: "hotwords" };
  for (const [id, name] of Object.entries(given)) {
    const value = byId(id).value.trim();
    if (value && (id !== "speakers" || hasSpeakers())) form.append(name, value);
  }
  form.append("response_format", "result");
  form.append("stream", "true");
  form.append("diarize", String(hasSpeakers()));
  form.append("file", file, file.name || "recording");
  const task = byId("translate").checked ? "translations" : "transcriptions";
  return [`/v1/audio/${task}`, form];
}
