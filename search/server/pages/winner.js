/** The winner: its point, what its value is worth, its final training, and the commands to go on with. */

import { duration, el, percent, plural, quantity } from "./page.js";

/** Return what stands in the winner's card. */
export function winnerOf(status) {
  const point = status.winner ? pointOf(status) : [noneYet(status)];
  return [...point, ...finalistsOf(status.confirm), ...finalOf(status.final), ...commandsOf(status)];
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
  const [eta, lambda] = [winner.eta, winner.lambda].map((value) => quantity(value));
  return [
    el("p", { className: "point" }, el("span", {}, `η = ${eta}`), el("span", {}, `λ = ${lambda}`)),
    el("p", {}, `${percent(winner.value)} on the validation images${errorOf(winner.value, status.validation_images)}, `,
      trial, `, seed ${winner.seed}.`),
    el("p", { className: "soft" }, status.confirm ? status.confirm.verdict : completed > 1
      ? `It is the highest of ${completed} values, hence an optimistic one.` : "It is the only value so far."),
  ];
}

/** Return one standard error of an accuracy over so many images, where that is known. */
function errorOf(accuracy, images) {
  if (!images) return "";
  const error = percent(Math.sqrt(accuracy * (1 - accuracy) / images), 1);
  return ` (± ${error}, one standard error of ${images.toLocaleString("en")} images)`;
}

/** Return the finalists' table: what each came to on fresh seeds, and how often it would be the best. */
function finalistsOf(confirm) {
  if (!confirm) return [];
  const cell = (text) => el("td", { className: "number" }, text);
  const row = ({ study, number, confirmed, probability_best: best }) => el("tr", {},
    el("th", { scope: "row" }, `${study.slice(study.lastIndexOf("/") + 1)} ${number}`),
    cell(confirmed ? `${percent(confirmed.mean)} ± ${(100 * (confirmed.high - confirmed.mean)).toFixed(2)}` : "failed"),
    cell(percent(best, 0)));
  const seeds = plural(confirm.finalists[0].values.length, "fresh seed");
  const head = ["finalist", "accuracy", "best"].map((name, i) => el("th", { scope: "col", className: i ? "number" : "" }, name));
  return [
    el("h3", {}, "Trained again"),
    el("table", {}, el("caption", {}, `Validation accuracy on ${seeds}, the same for all: mean, 95 % interval, and how `
      + "often it is the best when the seeds are drawn anew"),
    el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...confirm.finalists.map(row))),
    ...(confirm.optimism === null ? [] : [el("p", { className: "soft" },
      `The search’s best value was ${confirm.optimism < 0 ? "too low" : "too high"} by `
      + `${Math.abs(100 * confirm.optimism).toFixed(2)} points.`)]),
  ];
}

function finalOf(final) {
  if (!final) return [];
  const row = (name, accuracy) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", { className: "number" }, percent(accuracy)));
  return [
    el("h3", {}, "Final training"),
    el("table", {}, el("caption", {}, `${plural(final.epochs, "epoch")} in ${duration(final.seconds)}; accuracies`),
      el("tbody", {}, row("training images", final.train_accuracy), row("validation images", final.validation_accuracy),
        row("test images, used this once", final.test_accuracy))),
    el("p", { className: "soft" }, final.repeated
      ? "Its first epochs repeated the search’s values to the bit."
      : "Its first epochs did not repeat the search’s values."),
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
