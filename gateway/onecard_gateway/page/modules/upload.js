// Where a recording comes from, and with which options it is sent.

import { byId, clock, write } from "./element.js";

const button = byId("record");
let recorder = null;

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
  button.onclick = () => (recorder ? recorder.stop() : record(onFile));
}

/** Records until the button is pressed again. */
async function record(onFile) {
  if (!navigator.mediaDevices) {
    write("record-note", "A browser lends its microphone only to pages over HTTPS or on this machine.");
    return;
  }
  let sound;
  try {
    sound = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    write("record-note", `There is no microphone to be had (${error.message}); allow it, or choose a file.`);
    return;
  }
  const pieces = [];
  const began = performance.now();
  const tell = () => write("record-note", `Recording: ${clock((performance.now() - began) / 1000)}`);
  const timer = setInterval(tell, 1000);
  tell();
  label(true, "Stop and transcribe");
  recorder = new MediaRecorder(sound);
  recorder.ondataavailable = (event) => pieces.push(event.data);
  recorder.onstop = () => {
    const type = recorder.mimeType;
    sound.getTracks().forEach((track) => track.stop());
    clearInterval(timer);
    recorder = null;
    write("record-note", "");
    label(false, "Record");
    onFile(new File(pieces, type.includes("mp4") ? "Recording.m4a" : "Recording.webm", { type }));
  };
  recorder.start(1000);
}

function label(isRecording, text) {
  button.classList.toggle("recording", isRecording);
  write("record-label", text);
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
