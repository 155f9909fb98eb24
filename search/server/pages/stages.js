/** The cards of the stages, from left to right. Each is made once and then updated. */

import { el, formatLeft, formatParameter, formatValue, plural, setText } from "./shared.js";

const KINDS = ["completed", "pruned", "diverged", "failed", "running"];
// The server writes STAGE_COLOURS of search/charts/theme.py into the page, so that cards and figures have the same.
const COLOURS = document.getElementById("stages").dataset.colours.split(" ");

/** Make a stage's card. Return the element and a function that updates it. `searched` lists the hyperparameters. */
export function stageCard(stage, index, searched) {
  const id = `stage-${index}`;
  const parts = {
    best: el("p", { className: "best" }),
    time: el("p", { className: "muted" }),
    counts: el("p", { className: "muted" }),
    ranges: el("dl", { className: "ranges" }),
    origin: el("p", { className: "muted" }),
    link: el("a", { hidden: true }, "Open in optuna-dashboard"),
  };
  const segments = KINDS.map((kind) => el("i", { data: { kind } }));
  const meter = el("div", { className: "meter", role: "progressbar", "aria-label": `Finished trials of ${stage.name}`,
    "aria-valuemin": 0 }, ...segments);
  const heading = el("h3", { id }, stage.name);
  const card = el("li", { className: "card stage" },
    el("div", { className: "row" }, heading, parts.time), parts.best, meter, parts.counts, parts.ranges, parts.origin,
    el("p", {}, parts.link));
  card.style.setProperty("--colour", COLOURS[index % COLOURS.length]);

  function update(stage) {
    const finished = stage.trials - stage.waiting - stage.running;
    const opened = stage.study_id != null;
    card.dataset.state = opened ? (finished === stage.trials ? "finished" : "open") : "planned";
    segments.forEach((segment, i) => segment.style.setProperty("--share", stage[KINDS[i]] / stage.trials));
    meter.setAttribute("aria-valuemax", stage.trials);
    meter.setAttribute("aria-valuenow", finished);
    meter.setAttribute("aria-valuetext", countsOf(stage));
    setText(parts.best, stage.best.length ? formatValue(stage.best[0].value) : "");
    setText(parts.time, timeOf(stage, finished));
    setText(parts.counts, finished < stage.trials && opened && stage.epochs > 1
      ? `${countsOf(stage)}; ${epochsOf(stage)}` : countsOf(stage));
    parts.ranges.replaceChildren(...rangesOf(stage, searched));
    setText(parts.origin, originOf(stage, searched));
    if (stage.dashboard) Object.assign(parts.link, { href: stage.dashboard, hidden: false });
    parts.link.setAttribute("aria-label", `Open ${stage.name} in optuna-dashboard`);
  }
  update(stage);
  return { card, update };
}

/** Return a stage's trial counts as text: "12 completed, 3 diverged of 15 trials". */
export function countsOf(stage) {
  const counts = [...KINDS, "waiting"].filter((kind) => stage[kind]).map((kind) => `${stage[kind]} ${kind}`);
  return `${counts.join(", ") || "none created"} of ${plural(stage.trials, "trial")}`;
}

function epochsOf(stage) {
  return `${stage.epochs_recorded.toLocaleString("en")} of ${plural(stage.trials * stage.epochs, "epoch")}`;
}

function timeOf(stage, finished) {
  if (stage.study_id == null) return "planned";
  if (finished === stage.trials) return "finished";
  return stage.seconds_left == null ? "" : `${formatLeft(stage.seconds_left)} left`;
}

function rangesOf(stage, searched) {
  if (stage.finalists) return []; // the space of their stage is what they span
  if (!stage.space) return [el("dt", {}, "ranges"), el("dd", {}, "computed when its parent stage finishes")];
  return searched.flatMap(({ name, symbol }) => [el("dt", {}, symbol), el("dd", {}, rangeOf(stage.space[name]))]);
}

/** Return a range as text. A pair of numbers is a log-uniform range; the other kinds are objects. */
function rangeOf(range) {
  if (range.choice) return range.choice.map((option) => formatParameter(option)).join(", ");
  const [low, high] = range.uniform ?? range.integer ?? range;
  if (low === high) return formatParameter(low, 3);
  return `${formatParameter(low, 3)} to ${formatParameter(high, 3)}${range.step > 1 ? ` by ${range.step}` : ""}`;
}

/** Return where a stage's points come from, as text. */
function originOf(stage, searched) {
  if (stage.finalists) return `The ${plural(stage.finalists, "best setting")} of all stages, trained again on new seeds`;
  if (stage.is_final) return `The winner, trained again with ${plural(stage.trials, "seed")}`;
  if (!stage.parent) return "";
  const parent = stage.parent.slice(stage.parent.lastIndexOf("/") + 1);
  const carried = stage.carried.length ? `; ${plural(stage.carried.length, "point")} of it repeated on new seeds` : "";
  if (!stage.narrowed_from) return `Follows ${parent}${carried}`;
  const bounds = stage.pressed.map((bound) => boundOf(bound, searched)).join(" and ");
  const pressed = bounds ? `, which are at ${bounds}` : "";
  return `Narrowed to the ${plural(stage.narrowed_from.length, "best trial")} of ${parent}${pressed}${carried}`;
}

/** Return a bound such as "lambda low" in words: "the lower bound of λ". */
function boundOf(bound, searched) {
  const space = bound.lastIndexOf(" ");
  const name = bound.slice(0, space);
  const side = bound.slice(space + 1) === "low" ? "lower" : "upper";
  return `the ${side} bound of ${searched.find((parameter) => parameter.name === name)?.symbol ?? name}`;
}
