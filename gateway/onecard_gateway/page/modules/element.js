// Elements and texts. Texts become text nodes: nothing here is ever read as HTML.

export const byId = (id) => document.getElementById(id);
export const write = (id, text) => (byId(id).textContent = text);

/** An element; properties that begin with `on` are listeners, all others attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A bar and its legend, of [class, label, value] each; `told` is how a value is written. */
export function shares(parts, told) {
  const bar = element("div", { class: "bar" });
  const legend = element("ul", { class: "legend small" });
  for (const [name, label, value] of parts) {
    const piece = element("span", { class: name });
    piece.style.flexGrow = value; // not in the HTML, so the policy has it
    bar.append(piece);
    legend.append(element("li", {}, element("span", { class: `swatch ${name}` }), `${told(value)} ${label}`));
  }
  return [bar, legend];
}

/** 62.4 as 1:02, 3700 as 1:01:40. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

/** 0.52 as 0.5 s, 75 as 1 min 15 s. */
export function duration(seconds) {
  if (seconds < 59.5) return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A button that goes to a time of the recording. */
export function timeButton(seconds, seek) {
  const label = clock(seconds);
  const properties = { class: "time", "aria-label": `Play from ${label}` };
  return element("button", { ...properties, onclick: () => seek(seconds) }, label);
}
