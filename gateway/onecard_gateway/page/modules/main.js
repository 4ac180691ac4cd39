// The tabs of the page.

import { byId } from "./element.js";
import { health, hide, show } from "./card.js";
import { converse } from "./conversation.js";
import "./speech.js";

const HEALTH_MS = 15_000;
const tabs = [...document.querySelectorAll("[role=tab]")];

converse(byId("chat"), { label: "Conversation", placeholder: "Ask the model something" });

function choose(tab) {
  for (const one of tabs) {
    const isChosen = one === tab;
    one.setAttribute("aria-selected", String(isChosen));
    one.tabIndex = isChosen ? 0 : -1;
    byId(one.getAttribute("aria-controls")).hidden = !isChosen;
  }
  if (tab.id === "tab-card") show();
  else hide();
}

tabs.forEach((tab, at) => {
  tab.onclick = () => choose(tab);
  tab.onkeydown = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = tabs[(at + by + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  };
});

async function tellHealth() {
  const { status } = await health();
  const shown = byId("health");
  if (shown.textContent === status) return;
  shown.textContent = status;
  shown.className = `health ${status === "healthy" ? "well" : "ill"}`;
}
tellHealth();
setInterval(tellHealth, HEALTH_MS);
