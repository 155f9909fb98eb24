/** The table of a stage's trials, in pages. Ticking a trial draws its learning curve. */

import { showLog } from "./log.js";
import { el, fetchJson, formatParameter, formatValue, setText } from "./shared.js";

const PAGE_SIZE = 20;

/**
 * Connect the table and its controls.
 *
 * `onSelect()` is called when the selection changes; until the user ticks a trial, the best of each stage are selected.
 * `onPage(promise)` is called when another page is requested. The returned object has `refresh()`,
 * `setStages(stages, searched, metrics, hasLogs)`, `toggle(study, number)`, `selected()`, which returns [study, number] pairs, and
 * `isDefault()`, which is true until the user selects a trial.
 */
export function trialTable(api, onSelect, onPage) {
  const elements = Object.fromEntries(["stage", "order", "reset", "page-range", "previous", "next", "trials", "no-trials"]
    .map((id) => [id, document.getElementById(id)]));
  const resultHeading = document.getElementById("trial-result");
  const epochsHeading = document.getElementById("trial-epochs");
  const rows = new Map();
  let stages = [], searched = [], metrics = [], hasLogs = false, offset = 0, total = 0, newest = 0;
  let chosen = null; // the trials that the user selected, by key

  const currentStage = () => stages.find((stage) => stage.name === elements.stage.value) ?? stages[0];
  const bestTrials = () => new Map(stages.flatMap((stage) =>
    stage.best.map((trial) => [keyOf(stage.study, trial.number), [stage.study, trial.number]])));
  const selected = () => chosen ?? bestTrials();
  const query = () => ({ order: elements.order.value, offset, limit: PAGE_SIZE });

  function toggle(study, number) {
    chosen = new Map(selected());
    const key = keyOf(study, number);
    if (!chosen.delete(key)) chosen.set(key, [study, number]);
    markSelected();
    onSelect();
  }

  function markSelected() {
    const current = selected();
    for (const [key, row] of rows) {
      row.checkbox.checked = current.has(key);
      row.element.toggleAttribute("data-selected", current.has(key));
    }
    elements.reset.hidden = chosen === null;
  }

  async function refresh() {
    const stage = currentStage();
    const opened = stage?.study_id != null;
    elements["no-trials"].hidden = opened || !stage;
    const request = ++newest;
    const page = opened
      ? await fetchJson(`${api}/stages/${encodeURIComponent(stage.name)}/trials?${new URLSearchParams(query())}`)
      : { trials: [], total: 0 };
    if (request !== newest) return; // a newer request is under way
    total = page.total;
    show(stage, page.trials);
  }

  function show(stage, trials) {
    const keys = trials.map((trial) => keyOf(stage.study, trial.number));
    if (keys.join() !== [...rows.keys()].join()) replaceRows(stage, trials, keys);
    trials.forEach((trial, i) => rows.get(keys[i]).update(trial));
    setText(elements["page-range"], total ? `${offset + 1} to ${offset + trials.length} of ${total}` : "");
    elements.previous.disabled = offset === 0;
    elements.next.disabled = offset + PAGE_SIZE >= total;
    markSelected();
  }

  /** Show other rows. Keep the elements of trials that stay, and the focus in them. */
  function replaceRows(stage, trials, keys) {
    const before = new Map(rows), focused = document.activeElement;
    rows.clear();
    keys.forEach((key, i) => rows.set(key, before.get(key) ?? makeRow(stage, trials[i])));
    elements.trials.replaceChildren(...[...rows.values()].map((row) => row.element));
    if (elements.trials.contains(focused)) focused.focus({ preventScroll: true });
  }

  function makeRow(stage, trial) {
    const checkbox = el("input", { type: "checkbox", "aria-label": `Curve of trial ${trial.number} of ${stage.name}` });
    const link = el("a", { href: `${stage.dashboard}/trials?numbers=${trial.number}` }, String(trial.number));
    link.setAttribute("aria-label", `Trial ${trial.number} in optuna-dashboard`);
    const [text, epochs] = [el("span"), el("td", { className: "number wide curve" })];
    const result = el("td", {}, text);
    const further = metrics.map(() => el("td", { className: "number wide" }));
    const log = el("button", { type: "button", hidden: true, "aria-label": `Log of trial ${trial.number} of ${stage.name}` }, "Log");
    log.addEventListener("click", () => showLog(`${api}/stages/${encodeURIComponent(stage.name)}/trials/${trial.number}/log`,
      `Log of ${stage.name}#${trial.number}`));
    const element = el("tr", {}, el("td", { className: "curve" }, checkbox), el("th", { scope: "row", className: "number" }, link),
      result, ...(hasLogs ? [el("td", {}, log)] : []),
      ...searched.map(({ name }) => el("td", { className: "number" }, formatParameter(trial.params[name], 3))),
      ...further, epochs, el("td", { className: "number wide" }, String(trial.seed)));
    checkbox.addEventListener("change", () => toggle(stage.study, trial.number));
    const update = (trial) => {
      result.dataset.state = trial.state;
      setText(text, resultOf(trial));
      result.title = trial.state === "COMPLETE" ? "" : trial.reason ?? "";
      result.classList.toggle("reason", result.title !== "" && result.textContent === result.title);
      setText(epochs, String(trial.epochs ?? ""));
      metrics.forEach((name, i) => setText(further[i], trial.metrics[name] == null ? "" : formatValue(trial.metrics[name])));
      log.hidden = trial.state === "WAITING";
    };
    return { element, checkbox, update };
  }

  function showPageAt(newOffset) {
    offset = Math.max(0, newOffset);
    onPage(refresh());
  }

  for (const control of [elements.stage, elements.order]) control.addEventListener("change", () => showPageAt(0));
  elements.previous.addEventListener("click", () => showPageAt(offset - PAGE_SIZE));
  elements.next.addEventListener("click", () => showPageAt(offset + PAGE_SIZE));
  elements.reset.addEventListener("click", () => {
    chosen = null;
    markSelected();
    onSelect();
    elements.stage.focus();
  });

  function setStages(newStages, newSearched, newMetrics, newHasLogs) {
    if (!searched.length) {
      resultHeading.after(...(newHasLogs ? [el("th", { scope: "col" }, "Log")] : []),
        ...newSearched.map(({ symbol }) => el("th", { scope: "col", className: "number" }, symbol)));
    }
    [searched, hasLogs] = [newSearched, newHasLogs];
    if (newMetrics.join("\n") !== metrics.join("\n")) { // trials that began to report them
      document.querySelectorAll("th[data-metric]").forEach((heading) => heading.remove());
      epochsHeading.before(...newMetrics.map((name) =>
        el("th", { scope: "col", className: "number wide", data: { metric: name } }, name)));
      metrics = newMetrics;
      rows.clear();
    }
    if (newStages.map((stage) => stage.name).join("\n") !== stages.map((stage) => stage.name).join("\n")) {
      elements.stage.replaceChildren(...newStages.map((stage) => el("option", { value: stage.name }, stage.name)));
    }
    stages = newStages;
  }

  return { refresh, setStages, toggle, selected: () => [...selected().values()], isDefault: () => chosen === null };
}

const keyOf = (study, number) => `${study} ${number}`;

function resultOf(trial) {
  if (trial.state === "COMPLETE") return formatValue(trial.value);
  if (trial.state === "PRUNED" && trial.last != null) return `${formatValue(trial.last)}, pruned`;
  if (trial.reason) return trial.reason;
  if (trial.state === "RUNNING") return trial.last == null ? "in training" : `${formatValue(trial.last)}, in training`;
  return trial.state.toLowerCase();
}
