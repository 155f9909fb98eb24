/** The table of trials: one stage's, page by page; ticking a trial draws its learning curve. */

import { ask, el, quantity, tell, valued } from "./page.js";

const PAGE = 20;

/**
 * Bring the table to life. `chosen` is called when other trials are ticked, until then the best of each stage are;
 * `changed` is given the promise that another page will be shown. Returns how to refresh it, to tell it the stages, to
 * tick a trial, and which are ticked, as [study, number].
 */
export function trialTable(api, chosen, changed) {
  const at = Object.fromEntries(["stage", "order", "reset", "shown", "back", "on", "trials", "no-trials"]
    .map((id) => [id, document.getElementById(id)]));
  const heading = document.getElementById("trial-result");
  const rows = new Map();
  let stages = [], searched = [], offset = 0, total = 0, asked = 0;
  let picked = null; // once something was ticked: the trials by their keys

  const current = () => stages.find((stage) => stage.name === at.stage.value) ?? stages[0];
  const best = () => new Map(stages.flatMap((stage) =>
    stage.best.map((trial) => [keyOf(stage.study, trial.number), [stage.study, trial.number]])));
  const drawn = () => picked ?? best();
  const query = () => ({ order: at.order.value, offset, limit: PAGE });

  function toggle(study, number) {
    picked = new Map(drawn());
    const key = keyOf(study, number);
    if (!picked.delete(key)) picked.set(key, [study, number]);
    mark();
    chosen();
  }

  function mark() {
    const now = drawn();
    for (const [key, row] of rows) {
      row.box.checked = now.has(key);
      row.line.toggleAttribute("data-chosen", now.has(key));
    }
    at.reset.hidden = picked === null;
  }

  async function refresh() {
    const stage = current();
    const opened = stage?.study_id != null;
    at["no-trials"].hidden = opened || !stage;
    const turn = ++asked;
    const page = opened
      ? await ask(`${api}/stages/${encodeURIComponent(stage.name)}/trials?${new URLSearchParams(query())}`)
      : { trials: [], total: 0 };
    if (turn !== asked) return; // another page was asked for meanwhile
    total = page.total;
    show(stage, page.trials);
  }

  function show(stage, trials) {
    const keys = trials.map((trial) => keyOf(stage.study, trial.number));
    if (keys.join() !== [...rows.keys()].join()) arrange(stage, trials, keys);
    trials.forEach((trial, i) => rows.get(keys[i]).update(trial));
    tell(at.shown, total ? `${offset + 1} to ${offset + trials.length} of ${total}` : "");
    at.back.disabled = offset === 0;
    at.on.disabled = offset + PAGE >= total;
    mark();
  }

  /** Put rows into a new order; those that stay are kept, and so is the focus in them. */
  function arrange(stage, trials, keys) {
    const before = new Map(rows), focused = document.activeElement;
    rows.clear();
    keys.forEach((key, i) => rows.set(key, before.get(key) ?? makeRow(stage, trials[i])));
    at.trials.replaceChildren(...[...rows.values()].map((row) => row.line));
    if (at.trials.contains(focused)) focused.focus({ preventScroll: true });
  }

  function makeRow(stage, trial) {
    const box = el("input", { type: "checkbox", "aria-label": `Curve of trial ${trial.number} of ${stage.name}` });
    const link = el("a", { href: `${stage.dashboard}/trials?numbers=${trial.number}` }, String(trial.number));
    link.setAttribute("aria-label", `Trial ${trial.number} in optuna-dashboard`);
    const [result, epochs] = [el("td"), el("td", { className: "number wide" })];
    const line = el("tr", {}, el("td", {}, box), el("th", { scope: "row", className: "number" }, link),
      ...searched.map(({ name }) => el("td", { className: "number" }, quantity(trial.params[name], 3))),
      result, epochs, el("td", { className: "number wide" }, String(trial.seed)));
    box.addEventListener("change", () => toggle(stage.study, trial.number));
    const update = (now) => {
      result.dataset.is = now.state;
      tell(result, resultOf(now));
      tell(epochs, String(now.epochs ?? ""));
    };
    return { line, box, update };
  }

  function turnTo(place) {
    offset = Math.max(0, place);
    changed(refresh());
  }

  for (const choice of [at.stage, at.order]) choice.addEventListener("change", () => turnTo(0));
  at.back.addEventListener("click", () => turnTo(offset - PAGE));
  at.on.addEventListener("click", () => turnTo(offset + PAGE));
  at.reset.addEventListener("click", () => {
    picked = null;
    mark();
    chosen();
    at.stage.focus();
  });

  function setStages(now, params) {
    if (!searched.length) heading.before(...params.map(({ symbol }) => el("th", { scope: "col", className: "number" }, symbol)));
    searched = params;
    if (now.map((stage) => stage.name).join("\n") !== stages.map((stage) => stage.name).join("\n")) {
      at.stage.replaceChildren(...now.map((stage) => el("option", { value: stage.name }, stage.name)));
    }
    stages = now;
  }

  return { refresh, setStages, toggle, drawn: () => [...drawn().values()], isBest: () => picked === null };
}

const keyOf = (study, number) => `${study} ${number}`;

function resultOf(trial) {
  if (trial.state === "COMPLETE") return valued(trial.value);
  if (trial.reason) return trial.reason;
  if (trial.state === "RUNNING") return trial.last == null ? "in training" : `${valued(trial.last)}, in training`;
  if (trial.state === "PRUNED" && trial.last != null) return `${valued(trial.last)}, pruned`;
  return trial.state.toLowerCase();
}
