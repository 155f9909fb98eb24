/** The list of campaigns in the storage. */

import { el, fetchJson, formatDuration, plural, setText, stateOf } from "./shared.js";

const REFRESH_MS = 5000;
const elements = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));
let shown = "";

function campaignCard(campaign) {
  const sum = (kind) => campaign.stages.reduce((total, stage) => total + stage[kind], 0);
  const finished = sum("trials") - sum("waiting") - sum("running");
  const { text, look } = stateOf(campaign);
  const link = el("a", { href: `/campaigns/${encodeURIComponent(campaign.campaign)}` }, campaign.campaign);
  return el("li", { className: "card" },
    el("div", { className: "headline" }, el("h2", {}, link),
      el("span", { className: "chip", data: { state: look } }, text)),
    el("p", {}, `${finished} of ${plural(sum("trials"), "trial")} finished, ${formatDuration(campaign.seconds)}`),
    el("p", { className: "muted" }, campaign.stages.map((stage) => stage.name).join(" → ")));
}

async function refresh() {
  try {
    const { campaigns, problems } = await fetchJson("/api/v1/campaigns");
    elements.problem.hidden = true;
    elements.none.hidden = campaigns.length > 0;
    elements.problems.hidden = !problems.length;
    elements.problems.replaceChildren(...problems.map((problem) => el("li", {}, problem)));
    const current = JSON.stringify(campaigns);
    if (current !== shown) elements.campaigns.replaceChildren(...campaigns.map(campaignCard));
    shown = current;
  } catch (error) {
    elements.problem.hidden = false;
    setText(elements.problem, error.message);
  }
}

setInterval(() => document.hidden || refresh(), REFRESH_MS);
refresh();
