/** The winner: its point, what its value is worth, its final training, and the commands to go on with. */

import { duration, el, percent, plural, points, quantity, valued } from "./page.js";

/** Return what stands in the winner's card. */
export function winnerOf(status) {
  const point = status.winner ? pointOf(status) : [noneYet(status)];
  return [...point, ...finalistsOf(status), ...finalOf(status.final),
    ...status.trainings.flatMap((training) => finalOf(training, `Trained from its export: trial ${training.number} of ${training.study}`)), ...commandsOf(status)];
}

function noneYet(status) {
  const ended = status.confirm ? status.confirm.verdict : "No trial completed, so nothing won.";
  const waits = status.state === "failed" || status.confirm ? ended : "No trial has completed yet.";
  return el("p", { className: "soft" }, waits);
}

function pointOf(status) {
  const { winner } = status;
  const searched = status.stages.filter((stage) => !stage.finalists);
  const completed = searched.reduce((sum, stage) => sum + stage.completed, 0);
  const from = status.stages.find((stage) => stage.name === winner.stage);
  const trial = el("a", { href: `${from.dashboard}/trials?numbers=${winner.number}` },
    `trial ${winner.number} of ${winner.stage}`);
  const point = status.searched.map(({ name, symbol }) => el("span", {}, `${symbol} = ${quantity(winner.params[name])}`));
  return [
    el("p", { className: "point" }, ...point),
    el("p", {}, `${valued(winner.value)}${onImages(status)}, `, trial, `, seed ${winner.seed}.`),
    el("p", { className: "soft" }, status.confirm ? status.confirm.verdict : completed > 1
      ? `It is the highest of ${completed} values, hence an optimistic one.` : "It is the only value so far."),
  ];
}

function onImages({ objective, winner, validation_images: images }) {
  return objective ? "" : ` on the validation images${errorOf(winner.value, images)}`;
}

/** Return one standard error of an accuracy over so many images, where that is known. */
function errorOf(accuracy, images) {
  if (!images) return "";
  const error = percent(Math.sqrt(accuracy * (1 - accuracy) / images), 1);
  return ` (± ${error}, one standard error of ${images.toLocaleString("en")} images)`;
}

/** Return the finalists' table: what each came to on fresh seeds, and how often it would be the best. */
function finalistsOf({ confirm, objective }) {
  if (!confirm) return [];
  const cell = (text) => el("td", { className: "number" }, text);
  const row = ({ study, number, confirmed, probability_best: best }) => el("tr", {},
    el("th", { scope: "row" }, `${study.slice(study.lastIndexOf("/") + 1)} ${number}`),
    cell(confirmed ? `${valued(confirmed.mean)} ± ${points(confirmed.high - confirmed.mean)}` : "failed"),
    cell(percent(best, 0)));
  const seeds = plural(confirm.finalists[0].values.length, "fresh seed");
  const head = ["finalist", objective ? "value" : "accuracy", "best"].map((name, i) => el("th", { scope: "col", className: i ? "number" : "" }, name));
  return [
    el("h3", {}, "Trained again"),
    el("table", {}, el("caption", {}, `${objective ? "Value" : "Validation accuracy"} on ${seeds}, the same for all: mean, 95 % interval, and how `
      + "often it is the best when the seeds are drawn anew"),
    el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...confirm.finalists.map(row))),
    ...(confirm.optimism === null ? [] : [el("p", { className: "soft" },
      `The search’s best value was ${confirm.optimism < 0 ? "too low" : "too high"} by `
      + `${points(Math.abs(confirm.optimism))}${objective ? "" : " points"}.`)]),
  ];
}

function finalOf(final, title = "Final training") {
  if (!final) return [];
  const row = (name, accuracy) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", { className: "number" }, percent(accuracy)));
  return [
    el("h3", {}, title),
    el("table", {}, el("caption", {}, `${plural(final.epochs, "epoch")}, ${plural(final.seeds.length, "seed")}, in `
      + `${duration(final.seconds)}; accuracies`),
      el("tbody", {}, row("training images", final.train_accuracy),
        ...(final.on_validation ? [] : [row("validation images", final.validation_accuracy)]),
        row("test images, used once at its end", final.test_accuracy),
        ...(final.test ? [row("test images, all seeds together", final.ensemble_accuracy)] : []))),
    el("p", { className: "soft" }, (final.test ? `Of the test images the mean of ${final.test.n} seeds, `
      + `${percent(final.test.low)} to ${percent(final.test.high)} (95 %). ` : "")
      + (final.reproduction.exact ? "The trial’s values were reproduced to the bit."
        : `The trial’s values were reproduced to within ${(100 * final.reproduction.difference).toFixed(2)} points.`)),
  ];
}

function commandsOf(status) {
  const name = /^[\w.-]+$/.test(status.campaign) ? status.campaign : `'${status.campaign.replaceAll("'", "'\\''")}'`;
  const commands = {
    running: { "Help it from another terminal": `coarsefine worker ${name}` },
    interrupted: { "Take it to its end; give its file, if it is no preset": `coarsefine run ${name}` },
    failed: { "See how its trials ended": `coarsefine status ${name}` },
    done: {
      "List the best trials of each stage": `coarsefine best ${name}`,
      ...(status.objective ? {} : { "Write the winner into one file, to train it elsewhere": `coarsefine export ${name}` }),
      "Tell its story in one file that opens anywhere": `coarsefine report ${name}`,
      "As JSON, for a script": `coarsefine best ${name} --json`,
    },
  }[status.state];
  return [el("h3", {}, "Go on"), ...Object.entries(commands).map(([what, text]) => command(what, text))];
}

function command(what, text) {
  const code = el("code", {}, text);
  const copy = el("button", { type: "button", "aria-label": `Copy: ${text}` }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch { // without HTTPS browsers let only this machine's own pages copy
      getSelection().selectAllChildren(code);
      copy.textContent = "Selected";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });
  return el("div", {}, el("p", { className: "soft" }, what), el("div", { className: "command" }, code, copy));
}
