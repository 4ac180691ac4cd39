// A recording from the microphone.

import { byId, clock } from "./element.js";

const button = byId("record");
let recorder = null;

/** Calls `onRecorded` with the file when a recording has ended. */
export function offerMicrophone(onRecorded) {
  button.onclick = () => (recorder ? recorder.stop() : begin(onRecorded));
}

async function begin(onRecorded) {
  if (!navigator.mediaDevices) {
    say("A browser lends its microphone only to pages over HTTPS or on this machine.");
    return;
  }
  let sound;
  try {
    sound = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    say(`There is no microphone to be had (${error.message}); allow it, or choose a file.`);
    return;
  }
  const pieces = [];
  const began = performance.now();
  const tell = () => say(`Recording: ${clock((performance.now() - began) / 1000)}`);
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
    say("");
    label(false, "Record");
    onRecorded(new File(pieces, type.includes("mp4") ? "Recording.m4a" : "Recording.webm", { type }));
  };
  recorder.start(1000);
}

function label(isRecording, text) {
  button.classList.toggle("recording", isRecording);
  byId("record-label").textContent = text;
}

function say(text) {
  byId("record-note").textContent = text;
}
