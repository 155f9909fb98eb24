/** The campaign page: how the campaign stands, drawn anew as its epochs and trials end. */

import { figureIn, onTrial } from "./figures.js";
import { ask, duration, el, percent, plural, STATES, tell, valued, writePlainly } from "./page.js";
import { counted, stageCard } from "./stages.js";
import { trialTable } from "./trials.js";
import { winnerOf } from "./winner.js";

const at = Object.fromEntries([...document.querySelectorAll("[id]")].map((part) => [part.id, part]));
const api = `/api/v1/campaigns/${encodeURIComponent(at.main.dataset.campaign)}`;
const LEAST_MS = 1000; // between drawings: workers may record more often than people look
const RETRY_MS = 3000;
const SPEAK_MS = 10_000; // between what a screen reader is told of progress

const draw = {
  map: figureIn(at.map, `${api}/figures/map`, "No stage is open yet."),
  best: figureIn(at["best-so-far"], `${api}/figures/best-so-far`, "No trial has completed yet."),
  losses: figureIn(at.losses, `${api}/figures/losses`, "No trial has completed yet. Tick one below to watch it train."),
};
const table = trialTable(api, () => reported(drawLosses()), reported);
const cards = [];
const troubles = { campaign: null, drawing: null };
let source = null, winner = "", spoken = -SPEAK_MS, listening = false;

/** Show what the server says of the campaign, in words and numbers. */
function show(status) {
  writePlainly(status.objective !== null);
  at.state.dataset.is = status.state;
  tell(at.state, STATES[status.state]);
  tell(at.story, `${status.data}.`);
  if (status.objective) tell(at["best-of"], "The value of each completed trial in the order they ended, and the best up to each.");
  at.facts.replaceChildren(...factsOf(status));
  status.stages.forEach((stage, place) => {
    if (cards[place]) cards[place].update(stage);
    else at.stages.append((cards[place] = stageCard(stage, place, status.searched)).card);
  });
  showWinner(status);
  table.setStages(status.stages, status.searched);
  offerAxes(status.axes);
  at.problems.hidden = !status.problems.length;
  at.problems.replaceChildren(...status.problems.map((problem) => el("li", {}, problem)));
  complain({ campaign: troubleOf(status) });
  speak(status);
}

/** Offer what the map's axes may show, once, where there is a choice. */
function offerAxes(axes) {
  if (!at.axes.hidden || axes.length < 3) return;
  at.axes.hidden = false;
  [at["axis-x"], at["axis-y"]].forEach((choice, place) => {
    choice.replaceChildren(...axes.map(({ name, title }) => el("option", { value: name }, title)));
    choice.value = axes[place].name;
    choice.addEventListener("change", () => reported(drawMap()));
  });
}

/** Draw the map in the chosen axes; what was zoomed in others is shown whole. */
function drawMap() {
  return draw.map(at.axes.hidden ? [] : ["axis-x", "axis-y"].map((id) => ["axis", at[id].value]));
}

/** Show the winner's card anew only where it says something else: focus on its buttons stays. */
function showWinner(status) {
  const { state, stages, final } = status;
  const now = JSON.stringify([state, status.winner, status.confirm, final, stages.map((stage) => stage.completed)]);
  if (now === winner) return;
  winner = now;
  tell(at["winner-title"], state === "done" || !status.winner ? "Winner" : "Leader");
  at.winner.replaceChildren(...winnerOf(status));
}

function factsOf(status) {
  const sum = (kind) => status.stages.reduce((all, stage) => all + stage[kind], 0);
  const left = status.stages.map((stage) => stage.seconds_left).filter((seconds) => seconds != null);
  const trials = sum("trials"), best = status.winner, { final, objective } = status;
  const early = ["pruned", "diverged", "failed"].filter(sum).map((kind) => `${sum(kind)} ${kind}`).join(", ");
  return [
    fact("Trials ended", `${trials - sum("waiting") - sum("running")} of ${trials}`,
      early || `in ${plural(status.stages.length, "stage")}`),
    best?.confirmed ? fact(`${objective ? "Value" : "Accuracy"} on fresh seeds`, valued(best.confirmed.mean),
      `± ${valued(best.confirmed.high - best.confirmed.mean)}, 95 % interval over ${best.confirmed.n}`)
      : fact(objective ? "Best value" : "Best validation accuracy", best ? valued(best.value) : "–",
        best ? `trial ${best.number} of ${best.stage}` : "no trial has completed"),
    ...(objective ? [] : [fact("Test accuracy", final ? percent(final.test_accuracy) : "–",
      final ? `measured once, after ${plural(final.epochs, "epoch")}` : "comes with the final training")]),
    status.state === "running" && left.length
      ? fact("Time left", duration(left.reduce((a, b) => a + b, 0)), "of the stages that are open")
      : fact("Time", duration(status.seconds), "from first to last, pauses count"),
  ];
}

function fact(name, number, more) {
  const told = [el("dd", { className: "number" }, number), el("dd", { className: "soft" }, more)];
  return el("div", {}, el("dt", {}, name), ...told);
}

/** Return what stands in the campaign's way, as a sentence or two; null where nothing does. */
function troubleOf(status) {
  const empty = status.stages.find((s) => s.study_id != null && !s.completed && !s.waiting && !s.running);
  if (!empty) return null;
  const why = status.objective ? ". The table below has the reasons; mend the function"
    : ": its learning rates are too high. Lower the upper bound of eta";
  return `No trial of ${empty.name} completed (${counted(empty)})${why}, and start under another name.`;
}

function complain(now) {
  Object.assign(troubles, now);
  const sentence = troubles.drawing ?? troubles.campaign;
  at.problem.hidden = !sentence;
  tell(at.problem, sentence ?? "");
}

/** Tell a screen reader how far the campaign is, now and then. */
function speak(status) {
  if (status.state === "running" && performance.now() - spoken < SPEAK_MS) return;
  spoken = performance.now();
  const open = status.stages.findLast((stage) => stage.study_id != null);
  const best = status.winner ? `; best ${valued(status.winner.value)}` : "";
  tell(at.said, `${STATES[status.state]}: ${open ? `${open.name}, ${counted(open)}` : "no stage is open"}${best}`);
}

function drawLosses() {
  tell(at["losses-of"], table.isBest() ? "The three best trials of each stage; tick others in the table below."
    : `${plural(table.drawn().length, "chosen trial")}, ticked in the table below.`);
  const chosen = table.drawn().flatMap(([study, number]) => [["study", study], ["number", number]]);
  return draw.losses(table.isBest() ? [] : chosen);
}

async function reported(work) {
  try {
    await work;
    complain({ drawing: null });
  } catch (error) {
    complain({ drawing: error.message });
  }
}

const refresh = unhurried(async () => {
  await reported(Promise.all([drawMap(), draw.best(), drawLosses(), table.refresh()]));
  if (!listening && at.map.on) {
    listening = true;
    [at.map, at["best-so-far"]].forEach((place) => onTrial(place, table.toggle));
  }
});

/** Return a function that runs another one at a time and once in a while, and once more if called meanwhile. */
function unhurried(work) {
  let busy = false, again = false;
  return async function run() {
    again = busy;
    if (busy) return;
    busy = true;
    await work();
    setTimeout(() => {
      busy = false;
      if (again) run();
    }, LEAST_MS);
  };
}

/** Hear of the campaign until the page is left or hidden: a browser keeps few connections to one server. */
function listen() {
  if (source || document.hidden) return;
  source = new EventSource(`${api}/events`);
  source.addEventListener("status", (event) => {
    live("live", "live");
    show(JSON.parse(event.data));
    refresh();
  });
  source.addEventListener("error", () => {
    live("lost", "connection lost, trying again");
    if (source?.readyState === EventSource.CLOSED) { // refused, not cut: the browser does not try again by itself
      stop();
      reported(ask(api));
      setTimeout(listen, RETRY_MS);
    }
  });
}

function stop() {
  source?.close();
  source = null;
}

function live(is, text) {
  at.live.dataset.is = is;
  tell(at.live, text);
}

document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
addEventListener("pagehide", stop);
addEventListener("pageshow", listen);
document.addEventListener("theme", () => source && refresh());
listen();
