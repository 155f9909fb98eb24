/** The winner's card: its point, its value, the finalists, the final training, and commands for what to do next. */

import {
  bestWord, el, formatDifference, formatDuration, formatParameter, formatPercent, formatSpread, formatValue, plural,
  withoutRoundingError,
} from "./shared.js";

/** Return the elements of the winner's card. `storage` is the option that commands need, or "" for none. */
export function winnerCard(status, storage) {
  const winner = status.winner ? winnerOf(status) : [noWinner(status)];
  const trainings = status.trainings.flatMap((training) =>
    trainingOf(training, `Training of trial ${training.number} of ${training.study} from its export`));
  const final = status.final ? trainingOf(status.final, "Final training") : [];
  return [...winner, ...finalistsOf(status), ...final, ...finalRunsOf(status), ...trainings, ...commandsOf(status, storage)];
}

function noWinner(status) {
  const failed = status.state === "failed" ? "No trial completed, so there is no winner." : "No trial has completed yet.";
  return el("p", { className: "muted" }, status.confirm?.verdict ?? failed);
}

function winnerOf(status) {
  const { winner } = status;
  const searched = status.stages.filter((stage) => !stage.finalists && !stage.is_final);
  const completed = searched.reduce((sum, stage) => sum + stage.completed, 0);
  const stage = status.stages.find((stage) => stage.name === winner.stage);
  const trial = el("a", { href: `${stage.dashboard}/trials?numbers=${winner.number}` },
    `trial ${winner.number} of ${winner.stage}`);
  const point = status.searched.map(({ name, symbol }) => el("span", {}, `${symbol} = ${formatParameter(winner.params[name])}`));
  return [
    el("p", { className: "point" }, ...point),
    el("p", {}, `${valueOf(status)}${imagesOf(status)}, `, trial, `, seed ${winner.seed}.`),
    el("p", { className: "muted" }, status.confirm ? status.confirm.verdict : completed > 1
      ? `It is the ${bestWord(status.metric)} of ${completed} values, and therefore optimistic.`
      : "It is the only value so far."),
  ];
}

/** Return the winner's value, after its name if the user gave one. */
function valueOf({ objective, metric, winner }) {
  return `${objective && metric.name !== "value" ? `${metric.name} ` : ""}${formatValue(winner.value)}`;
}

function imagesOf({ objective, winner, validation_images: images }) {
  return objective ? "" : ` on the validation images${errorOf(winner.value, images)}`;
}

/** Return the standard error of an accuracy as text; "" if the number of images is unknown. */
function errorOf(accuracy, images) {
  if (!images) return "";
  const error = formatPercent(Math.sqrt(accuracy * (1 - accuracy) / images), 1);
  return ` (± ${error}, one standard error of ${images.toLocaleString("en")} images)`;
}

/** Return the finalists' table: the mean of each on new seeds, how far it is behind the leader, and how often it would be the best. */
function finalistsOf({ confirm, objective, metric, winner }) {
  if (!confirm) return [];
  const optimism = confirm.optimism && withoutRoundingError(confirm.optimism, winner?.value ?? 0);
  const cell = (text) => el("td", { className: "number" }, text);
  const row = ({ study, number, value, confirmed, behind, probability_best: best }) => el("tr", {},
    el("th", { scope: "row" }, `${stageOf(study)} ${number}`
      + (confirm.tied.some((trial) => trial.study === study && trial.number === number) ? " *" : "")
      + (winner?.stage === stageOf(study) && winner.number === number ? " ★" : "")),
    cell(confirmed ? formatSpread(confirmed).join(" ± ") : "failed"),
    cell(behind ? formatSpread(behind, value).join(" ± ") : ""),
    cell(formatPercent(best, 0)));
  const seeds = plural(confirm.finalists[0].values.length, "new seed");
  const headings = ["finalist", objective ? metric.name : "accuracy", "behind", "best"].map((name, i) =>
    el("th", { scope: "col", className: i ? "number" : "" }, name));
  const caption = `${objective ? `The ${metric.title}` : "Validation accuracy"} on ${seeds}, the same for all finalists: mean with its `
    + "95 % interval, how far behind the leader seed by seed, and how often the best when the seeds are resampled"
    + (winner ? "; ★ is the winner" : "") + (confirm.tied.length ? ", * a tie: the interval of behind includes 0" : "");
  const table = el("table", {}, el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...headings)), el("tbody", {}, ...confirm.finalists.map(row)));
  return [
    el("h3", {}, "Finalists"),
    scrolling(table, "Finalists"),
    ...(optimism ? [el("p", { className: "muted" },
      `The search’s best value was ${optimism < 0 ? "pessimistic" : "optimistic"} by `
      + `${formatDifference(Math.abs(optimism))}${objective ? "" : " points"}.`)] : []),
  ];
}

const stageOf = (study) => study.slice(study.lastIndexOf("/") + 1);

/** Return a table in an element that is scrolled if the table is too wide for it. */
function scrolling(table, name) {
  return el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": name }, table);
}

function trainingOf(training, title) {
  const row = (name, accuracy) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", { className: "number" }, formatPercent(accuracy)));
  const { epochs, seeds, seconds, reproduction, test } = training;
  return [
    el("h3", {}, title),
    el("table", {}, el("caption", {}, `Accuracies after ${plural(epochs, "epoch")}; ${plural(seeds.length, "seed")}, `
      + `trained in ${formatDuration(seconds)}`),
      el("tbody", {}, row("training images", training.train_accuracy),
        ...(training.on_validation ? [] : [row("validation images", training.validation_accuracy)]),
        row("test images, used once, at the end", training.test_accuracy),
        ...(test ? [row("test images, ensemble of all seeds", training.ensemble_accuracy)] : []))),
    el("p", { className: "muted" }, (test ? `The 95 % interval of the test accuracy over ${test.n} seeds is `
      + `${formatPercent(test.low)} to ${formatPercent(test.high)}. ` : "")
      + (reproduction.exact ? "The trial’s values were reproduced to the bit."
        : `The trial’s values were reproduced to within ${(100 * reproduction.difference).toFixed(2)} points.`)),
  ];
}

/** Return the table of the winner's trainings, of code of the user's own: the value and the metrics for each seed. */
function finalRunsOf({ final_runs: final, metric }) {
  if (!final) return [];
  const metrics = [...new Set(final.runs.flatMap((run) => Object.keys(run.metrics)))];
  const reasons = [...new Set(final.runs.filter((run) => run.value === null && run.reason).map((run) => run.reason))];
  const cell = (text) => el("td", { className: "number" }, text);
  const headings = ["seed", metric.name, ...metrics].map((name) => el("th", { scope: "col", className: "number" }, name));
  const row = (run) => el("tr", {}, el("th", { scope: "row", className: "number" }, String(run.seed)),
    cell(run.value === null ? "failed" : formatValue(run.value)),
    ...metrics.map((name) => cell(run.metrics[name] == null ? "" : formatValue(run.metrics[name]))));
  const mean = final.mean ? `: mean ${formatSpread(final.mean).join(" ± ")}, 95 % interval` : "";
  return [
    el("h3", {}, "Final training"),
    scrolling(
      el("table", {}, el("caption", {}, `${plural(final.epochs, "epoch")}, ${plural(final.runs.length, "seed")}${mean}`),
        el("thead", {}, el("tr", {}, ...headings)), el("tbody", {}, ...final.runs.map(row))), "Final training"),
    ...reasons.map((reason) => el("p", { className: "muted" }, `Failed: ${reason}`)),
  ];
}

/** Return a word as a shell needs it. */
export const shellQuoted = (word) => /^[\w.-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** Return the commands that put failed trials back and train them, by their purposes; none if no trial can be put back. */
function retriesOf({ state, stages, final, objective, sources = [] }, name) {
  const last = stages.filter((stage) => stage.is_final); // once it has started, only its trials can be retried
  const sum = (kind) => (last.length ? last : stages).reduce((total, stage) => total + stage[kind], 0);
  const [failed, diverged] = [sum("failed"), sum("diverged")];
  if (state === "running" || final || !(failed || (diverged && sources.length && state === "failed"))) return {};
  return {
    [`Put ${plural(failed || diverged, "failed trial")} back, once the cause is fixed`]:
      `coarsefine retry ${name}${failed ? "" : " --diverged"}`,
    ...(objective ? { "Train them with the changed code": `coarsefine run ${name} --accept-changes` }
      : { "Train them": `coarsefine run ${name}` }),
  };
}

function commandsOf(status, storage) {
  const name = `${shellQuoted(status.campaign)}${storage}`;
  const retries = retriesOf(status, name);
  const hasRetries = Object.keys(retries).length > 0;
  const commands = {
    running: { "Add a worker from another terminal": `coarsefine worker ${name}` },
    interrupted: { ...retries, ...(hasRetries ? {} : { "Finish the search": `coarsefine run ${name}` }),
      ...(hasRetries ? { "Show how its trials ended": `coarsefine status ${name}` } : {}) },
    failed: { "Show how its trials ended": `coarsefine status ${name}`, ...retries },
    done: {
      "List the best trials of each stage": `coarsefine best ${name}`,
      ...(status.objective
        ? {
          "Print the winner’s parameters as JSON, to train with them": `coarsefine export ${name} --as params`,
          "Export the winner to a file, with copies of its own files": `coarsefine export ${name}`,
        }
        : { "Export the winner to a file, to train it elsewhere": `coarsefine export ${name}` }),
      "Write a report as one HTML file": `coarsefine report ${name}`,
      "Print the best trials as JSON, for a script": `coarsefine best ${name} --json`,
      ...retries,
    },
  }[status.state];
  return [
    el("h3", {}, "Next steps"),
    ...(storage ? [el("p", { className: "muted" }, storage === " --storage URL"
      ? "URL is the address of the database, which this page does not show."
      : "The commands run in the folder of the storage’s file.")] : []),
    ...Object.entries(commands).map(([purpose, text]) => commandOf(purpose, text)),
  ];
}

function commandOf(purpose, text) {
  const code = el("code", {}, text);
  const copy = el("button", { type: "button", "aria-label": `Copy: ${text}` }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch { // browsers allow copying only over HTTPS or from this machine
      getSelection().selectAllChildren(code);
      copy.textContent = "Selected";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });
  return el("div", {}, el("p", { className: "muted" }, purpose), el("div", { className: "command" }, code, copy));
}
