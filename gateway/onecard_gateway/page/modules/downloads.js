// A transcript as files, with the names that the speakers were given.

import { byId, element, write } from "./element.js";
import { ask } from "./gateway.js";

const FILES = {
  txt: "Text", srt: "SubRip subtitles", vtt: "WebVTT subtitles",
  tsv: "Table", json: "All of it as JSON", aud: "Labels for Audacity",
};

/** Offers the files; `transcript` gives RESULT with names when one is wanted. */
export function offerDownloads(name, transcript) {
  const buttons = Object.entries(FILES).map(([extension, title]) =>
    element("button", { title, onclick: () => download(name, extension, transcript()) }, extension),
  );
  byId("downloads").replaceChildren(...buttons);
  write("download-state", "");
}

async function download(name, extension, result) {
  try {
    const response = await ask(`/v1/transcripts/${extension}`, { json: result });
    save(await response.blob(), `${name.replace(/\.\w{1,5}$/, "")}.${extension}`);
    write("download-state", "");
  } catch (error) {
    write("download-state", error.message);
  }
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
