/** The campaign page. Server-sent events update it while workers train. */

import { figureIn, onTrialClick } from "./figures.js";
import {
  bestWord, el, fetchJson, formatDuration, formatLeft, formatPercent, formatSpread, formatValue, plural, setPercent, setText,
  stateOf,
} from "./shared.js";
import { countsOf, stageCard } from "./stages.js";
import { trialTable } from "./trials.js";
import { shellQuoted, winnerCard } from "./winner.js";

const elements = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));
const api = `/api/v1/campaigns/${encodeURIComponent(elements.main.dataset.campaign)}`;
const REDRAW_MS = 1000; // at least this long between drawings: workers may record more often
const RECONNECT_MS = 3000;
const ANNOUNCE_MS = 10_000; // at least this long between announcements of progress to screen readers

const draw = {
  map: figureIn(elements.map, `${api}/figures/map`, "No stage has started yet."),
  best: figureIn(elements["best-so-far"], `${api}/figures/best-so-far`, "No trial has completed yet."),
  losses: figureIn(elements.losses, `${api}/figures/losses`, "No trial has completed yet. Tick one below to see it train."),
};
const table = trialTable(api, () => showErrors(drawLosses()), showErrors);
const cards = [];
const problems = { campaign: null, drawing: null };
let source = null, shownWinner = "", announcedAt = -ANNOUNCE_MS, clickable = false;
let hasCurves = true;

/** Show a campaign's status in text and numbers. */
function show(status) {
  setPercent(status.metric.is_share);
  const { text, look } = stateOf(status);
  elements.state.dataset.state = look;
  setText(elements.state, text);
  setText(elements.summary, [`${status.data}.`, status.code_versions].filter(Boolean).join(" "));
  if (status.objective) {
    setText(elements["best-caption"], `The ${status.metric.title} of each completed trial, in the order in which they `
      + `ended, and the ${bestWord(status.metric)} up to then.`);
    setText(elements.crosses, "Crosses are trials that failed.");
  }
  hasCurves = status.stages.some((stage) => stage.epochs > 1); // a curve of one epoch is a point
  elements.main.classList.toggle("no-curves", !hasCurves);
  elements.facts.replaceChildren(...factsOf(status));
  status.stages.forEach((stage, index) => {
    if (cards[index]) cards[index].update(stage);
    else elements.stages.append((cards[index] = stageCard(stage, index, status.searched)).card);
  });
  showWinner(status);
  table.setStages(status.stages, status.searched, status.metrics, status.objective !== null);
  offerAxes(status.axes);
  offerMetrics(status);
  elements.problems.hidden = !status.problems.length;
  elements.problems.replaceChildren(...status.problems.map((problem) => el("li", {}, problem)));
  showProblem({ campaign: problemOf(status) });
  announce(status);
}

/** Fill the menus of the map's axes once, if there is a choice. */
function offerAxes(axes) {
  if (!elements.axes.hidden || axes.length < 3) return;
  elements.axes.hidden = false;
  [elements["axis-x"], elements["axis-y"]].forEach((menu, index) => {
    menu.replaceChildren(...axes.map(({ name, title }) => el("option", { value: name }, title)));
    menu.value = axes[index].name;
    menu.addEventListener("change", () => showErrors(drawMap()));
  });
}

/** Fill the menu of the learning curves' metrics, if there are some beside the value. */
function offerMetrics({ metric, metrics }) {
  const menu = elements.metric;
  if (menu.options.length === metrics.length + 1 || !metrics.length) return;
  elements.metrics.hidden = false;
  const chosen = menu.value;
  menu.replaceChildren(el("option", { value: "" }, metric.name), ...metrics.map((name) => el("option", { value: name }, name)));
  menu.value = chosen;
}

elements.metric.addEventListener("change", () => showErrors(drawLosses()));

/** Draw the map with the selected axes. */
function drawMap() {
  return draw.map(elements.axes.hidden ? [] : ["axis-x", "axis-y"].map((id) => ["axis", elements[id].value]));
}

/** Replace the winner's card only if its content changes, so that its buttons keep the focus. */
function showWinner(status) {
  const { state, stages, winner, confirm, final, final_runs: runs } = status;
  const content = JSON.stringify([state, winner, confirm, final, runs, stages.map((stage) => stage.completed)]);
  if (content === shownWinner) return;
  shownWinner = content;
  const isDecided = winner && stages.filter((stage) => !stage.is_final) // as `Status.is_decided`
    .every((stage) => !stage.waiting && !stage.running && 2 * stage.failed < stage.trials);
  setText(elements["winner-title"], isDecided ? "Winner" : "Leader");
  elements.winner.replaceChildren(...winnerCard(status, elements.main.dataset.storage));
}

function factsOf(status) {
  const sum = (kind) => status.stages.reduce((total, stage) => total + stage[kind], 0);
  const trials = sum("trials");
  const others = ["pruned", "diverged", "failed"].filter(sum).map((kind) => `${sum(kind)} ${kind}`).join(", ");
  return [
    fact("Finished trials", `${trials - sum("waiting") - sum("running")} of ${trials}`,
      others || `in ${plural(status.stages.length, "stage")}`),
    bestFact(status),
    ...(status.objective ? [] : [testFact(status.final)]),
    timeFact(status),
  ];
}

function bestFact({ winner, metric }) {
  if (winner?.confirmed) {
    const [mean, half] = formatSpread(winner.confirmed);
    return fact(metric.is_share ? "Accuracy on new seeds" : `Mean ${metric.title} on new seeds`, mean,
      `± ${half}${metric.is_share ? "\u00a0%" : ""}, 95 % interval over ${winner.confirmed.n}`);
  }
  return fact(`Best ${metric.title}`, winner ? formatValue(winner.value) : "–",
    winner ? `trial ${winner.number} of ${winner.stage}` : "no trial has completed");
}

function testFact(final) {
  return fact("Test accuracy", final ? formatPercent(final.test_accuracy) : "–",
    final ? `measured once, after ${plural(final.epochs, "epoch")}` : "measured after the final training");
}

function timeFact({ state, stages, seconds, seconds_in_training: trained }) {
  if (state !== "running") {
    return fact("Time in training", formatDuration(trained), `${formatDuration(seconds)} from start to end, including pauses`);
  }
  const left = stages.filter((stage) => stage.study_id != null && stage.waiting + stage.running)
    .map((stage) => stage.seconds_left);
  return left.length && left.every((estimate) => estimate != null)
    ? fact("Time left", formatLeft(left.reduce((a, b) => a + b, 0)), "in the stages that have started")
    : fact("Time left", "–", "not known before some trials have ended");
}

function fact(name, number, comment) {
  const values = [el("dd", { className: "number" }, number), el("dd", { className: "muted" }, comment)];
  return el("div", {}, el("dt", {}, name), ...values);
}

/** Return why trials failed and the remedy, as text, if the campaign has stopped, or most trials of a stage failed. */
function problemOf(status) {
  if (status.state === "running") return null;
  const opened = status.stages.filter((stage) => stage.study_id != null);
  const empty = opened.find((stage) => !stage.completed && (stage.failed || !stage.waiting));
  const stage = empty ?? opened.find((s) => 2 * s.failed >= s.trials || (s.failed && status.state !== "done"));
  if (!stage) return null;
  const found = stage === empty ? `No trial of ${stage.name} completed (${countsOf(stage)}).`
    : `${stage.failed} of ${plural(stage.trials, "trial")} of ${stage.name} failed.`;
  const { failure } = stage;
  const example = failure ? ` Trial ${failure.number}: ${failure.reason.replace(/\.$/, "")}.` : "";
  return `${found}${example} ${remedyOf(status, stage)}`;
}

function remedyOf(status, stage) {
  if (status.final) return "";
  if (status.objective || stage.failed) return "Fix the cause, then run the commands under Next steps.";
  return "Its learning rates are too high. Lower the upper bound of eta and start under another name, or delete this "
    + `campaign first: coarsefine delete ${shellQuoted(status.campaign)}${elements.main.dataset.storage}`;
}

function showProblem(changes) {
  Object.assign(problems, changes);
  const sentence = problems.drawing ?? problems.campaign;
  elements.problem.hidden = !sentence;
  setText(elements.problem, sentence ?? "");
}

/** Announce the progress to screen readers, but not too often. */
function announce(status) {
  if (status.state === "running" && performance.now() - announcedAt < ANNOUNCE_MS) return;
  announcedAt = performance.now();
  const newest = status.stages.findLast((stage) => stage.study_id != null);
  const best = status.winner ? `; best ${formatValue(status.winner.value)}` : "";
  const progress = newest ? `${newest.name}, ${countsOf(newest)}` : "no stage has started";
  setText(elements.announcement, `${stateOf(status).text}: ${progress}${best}`);
}

function drawLosses() {
  if (!hasCurves) return null;
  const selected = table.selected();
  setText(elements["losses-caption"], table.isDefault()
    ? "The three best trials of each stage. Tick others in the table below."
    : `The ${plural(selected.length, "trial")} ticked in the table below.`);
  const metric = elements.metric.value ? [["metric", elements.metric.value]] : [];
  return draw.losses(table.isDefault() ? metric
    : [...metric, ...selected.flatMap(([study, number]) => [["study", study], ["number", number]])]);
}

/** Wait for a drawing; show its error, or remove the error of the last drawing. */
async function showErrors(drawing) {
  try {
    await drawing;
    showProblem({ drawing: null });
  } catch (error) {
    showProblem({ drawing: error.message });
  }
}

const refresh = throttled(async () => {
  await showErrors(Promise.all([drawMap(), draw.best(), drawLosses(), table.refresh()]));
  if (!clickable && hasCurves && elements.map.on) { // Plotly adds `on` with the first drawing
    clickable = true;
    [elements.map, elements["best-so-far"]].forEach((plot) => onTrialClick(plot, table.toggle));
  }
});

/** Return a function that runs `work` at most once at a time and once in REDRAW_MS, and again if called meanwhile. */
function throttled(work) {
  let busy = false, again = false;
  return async function run() {
    again = busy;
    if (busy) return;
    busy = true;
    await work();
    setTimeout(() => {
      busy = false;
      if (again) run();
    }, REDRAW_MS);
  };
}

/** Receive events until the page is left or hidden: a browser opens few connections to one server. */
function connect() {
  if (source || document.hidden) return;
  source = new EventSource(`${api}/events`);
  source.addEventListener("status", (event) => {
    const status = JSON.parse(event.data);
    showConnection("live", status.state === "running" ? "live" : "connected");
    show(status);
    refresh();
  });
  source.addEventListener("error", () => {
    showConnection("lost", "connection lost, trying again");
    if (source?.readyState === EventSource.CLOSED) { // the server refused: the browser does not connect again
      disconnect();
      showErrors(fetchJson(api));
      setTimeout(connect, RECONNECT_MS);
    }
  });
}

function disconnect() {
  source?.close();
  source = null;
}

function showConnection(state, text) {
  elements.live.dataset.state = state;
  setText(elements.live, text);
}

document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
addEventListener("pagehide", disconnect);
addEventListener("pageshow", connect);
document.addEventListener("theme", () => source && refresh());
connect();
