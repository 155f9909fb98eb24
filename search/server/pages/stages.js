/** The cards of the stages, from left to right; each is made once and then told how its stage stands. */

import { duration, el, plural, quantity, tell, valued } from "./page.js";

const KINDS = ["completed", "pruned", "diverged", "failed", "running"];
const COLOURS = ["#3379c8", "#d1711f", "#2f9355", "#a055b8", "#c2483d", "#6b7885"]; // those of search/charts.py

/** Make a stage's card; return it with a function that tells it how the stage stands, and what is searched. */
export function stageCard(stage, place, searched) {
  const id = `stage-${place}`;
  const parts = {
    best: el("p", { className: "best" }),
    time: el("p", { className: "soft" }),
    counts: el("p", { className: "soft" }),
    ranges: el("dl", { className: "ranges" }),
    origin: el("p", { className: "soft" }),
    link: el("a", { hidden: true }, "Open in optuna-dashboard"),
  };
  const segments = KINDS.map((kind) => el("i", { data: { kind } }));
  const meter = el("div", { className: "meter", role: "progressbar", "aria-label": `Trials of ${stage.name} that ended`,
    "aria-valuemin": 0 }, ...segments);
  const heading = el("h3", { id }, stage.name);
  const card = el("li", { className: "card stage" },
    el("div", { className: "row" }, heading, parts.time), parts.best, meter, parts.counts, parts.ranges, parts.origin,
    el("p", {}, parts.link));
  card.style.setProperty("--colour", COLOURS[place % COLOURS.length]);

  function update(now) {
    const ended = now.trials - now.waiting - now.running;
    const opened = now.study_id != null;
    card.dataset.is = opened ? (ended === now.trials ? "ended" : "open") : "planned";
    segments.forEach((segment, i) => segment.style.setProperty("--share", now[KINDS[i]] / now.trials));
    meter.setAttribute("aria-valuemax", now.trials);
    meter.setAttribute("aria-valuenow", ended);
    meter.setAttribute("aria-valuetext", counted(now));
    tell(parts.best, now.best.length ? valued(now.best[0].value) : "");
    tell(parts.time, timeOf(now, ended));
    tell(parts.counts, ended < now.trials && opened ? `${counted(now)}; ${epochsOf(now)}` : counted(now));
    parts.ranges.replaceChildren(...rangesOf(now, searched));
    tell(parts.origin, originOf(now, searched));
    if (now.dashboard) Object.assign(parts.link, { href: now.dashboard, hidden: false });
    parts.link.setAttribute("aria-label", `Open ${now.name} in optuna-dashboard`);
  }
  update(stage);
  return { card, update };
}

/** Return a stage's counts in words, as the terminal says them. */
export function counted(stage) {
  const told = [...KINDS, "waiting"].filter((kind) => stage[kind]).map((kind) => `${stage[kind]} ${kind}`);
  return `${told.join(", ") || "none drawn"} of ${plural(stage.trials, "trial")}`;
}

function epochsOf(stage) {
  return `${stage.epochs_recorded.toLocaleString("en")} of ${plural(stage.trials * stage.epochs, "epoch")}`;
}

function timeOf(stage, ended) {
  if (stage.study_id == null) return "planned";
  if (ended === stage.trials) return "ended";
  return stage.seconds_left == null ? "" : `${duration(stage.seconds_left)} left`;
}

function rangesOf(stage, searched) {
  if (!stage.space) return [el("dt", {}, "ranges"), el("dd", {}, "drawn when its parent ends")];
  return searched.flatMap(({ name, symbol }) => [el("dt", {}, symbol), el("dd", {}, rangeOf(stage.space[name]))]);
}

/** Return a range in words: two numbers are log-uniform, the other kinds say what they are. */
function rangeOf(range) {
  if (range.choice) return range.choice.map((option) => quantity(option)).join(", ");
  const [low, high] = range.uniform ?? range.integer ?? range;
  return `${quantity(low, 3)} to ${quantity(high, 3)}${range.step > 1 ? ` by ${range.step}` : ""}`;
}

function originOf(stage, searched) {
  if (stage.finalists) return `The ${plural(stage.finalists, "best setting")} of all stages again, on fresh seeds`;
  if (!stage.parent) return "";
  const parent = stage.parent.slice(stage.parent.lastIndexOf("/") + 1);
  const carried = stage.carried.length ? `; ${plural(stage.carried.length, "point")} of it again, on fresh seeds` : "";
  if (!stage.narrowed_from) return `Follows ${parent}${carried}`;
  const pressed = stage.pressed.length ? `, which press against ${stage.pressed.map((bound) => symbolic(bound, searched)).join(" and ")}` : "";
  return `Drawn around the ${plural(stage.narrowed_from.length, "best trial")} of ${parent}${pressed}${carried}`;
}

/** Return a bound's name, such as "lambda low", with its symbol. */
function symbolic(bound, searched) {
  const [name, side] = [bound.slice(0, bound.lastIndexOf(" ")), bound.slice(bound.lastIndexOf(" ") + 1)];
  return `${searched.find((one) => one.name === name)?.symbol ?? name} ${side}`;
}
