/** The list of campaigns in the storage. */

import { ask, duration, el, plural, STATES, tell } from "./page.js";

const EVERY_MS = 5000;
const at = Object.fromEntries([...document.querySelectorAll("[id]")].map((part) => [part.id, part]));
let shown = "";

function card(campaign) {
  const sum = (kind) => campaign.stages.reduce((all, stage) => all + stage[kind], 0);
  const ended = sum("trials") - sum("waiting") - sum("running");
  const link = el("a", { href: `/campaigns/${encodeURIComponent(campaign.campaign)}` }, campaign.campaign);
  return el("li", { className: "card" },
    el("div", { className: "headline" }, el("h2", {}, link),
      el("span", { className: "chip", data: { is: campaign.state } }, STATES[campaign.state])),
    el("p", {}, `${ended} of ${plural(sum("trials"), "trial")} ended, ${duration(campaign.seconds)}`),
    el("p", { className: "soft" }, campaign.stages.map((stage) => stage.name).join(" → ")));
}

async function refresh() {
  try {
    const { campaigns, problems } = await ask("/api/v1/campaigns");
    at.problem.hidden = true;
    at.none.hidden = campaigns.length > 0;
    at.problems.hidden = !problems.length;
    at.problems.replaceChildren(...problems.map((problem) => el("li", {}, problem)));
    const now = JSON.stringify(campaigns);
    if (now !== shown) at.campaigns.replaceChildren(...campaigns.map(card));
    shown = now;
  } catch (error) {
    at.problem.hidden = false;
    tell(at.problem, error.message);
  }
}

setInterval(() => document.hidden || refresh(), EVERY_MS);
refresh();
