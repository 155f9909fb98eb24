/** What all pages use: making elements, formatting numbers, requests. Data becomes text, never markup. */

/** Make an element with properties, `data-` attributes and children. Strings among the children stay text. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("aria-") || name === "role" || name === "scope") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Set an element's text if it differs, so that screen readers do not read an unchanged text again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const formatPercent = (share, digits = 2) => `${(100 * share).toFixed(digits)}\u00a0%`;
let inPercent = true;

/** Format values as percentages, or as plain numbers if they come from a user's objective. */
export function setPercent(now) {
  inPercent = now;
}

/** Return which of many values is the best one, in a word. */
export const bestWord = (metric) => metric.direction === "maximize" ? "highest" : "lowest";

/** Format a trial's value. */
export const formatValue = (value) => inPercent ? formatPercent(value) : String(Number(value.toPrecision(5)));
/** Format a difference of two trials' values, in percentage points without a unit if they are percentages. */
export const formatDifference = (value) => inPercent ? (100 * value).toFixed(2) : String(Number(value.toPrecision(2)));

/** Return a difference of values, or 0 if it is rounding error; `size` is one of the values. */
export const withoutRoundingError = (difference, size) => Math.abs(difference) < 1e-12 * Math.abs(size) ? 0 : difference;

/**
 * Return a mean and half the width of its interval as two texts.
 *
 * If they are no percentages, the latter has two significant digits, and the mean ends at the same place, as in the
 * terminal (`Metric.mean_and_half` of search/campaign/metric.py). Of a difference, `size` is one of the two values.
 */
export function formatSpread(estimate, size = null) {
  const largestValue = Math.max(Math.abs(estimate.mean), Math.abs(size ?? 0));
  const [mean, half] = [estimate.mean, estimate.high - estimate.mean].map((x) => withoutRoundingError(x, largestValue));
  const format = size === null ? formatValue : formatDifference;
  if (inPercent || !(half > 0)) return [format(mean), formatDifference(half)];
  const exponentOf = (value) => Number(value.toExponential(1).split("e")[1]);
  const place = exponentOf(half) - 1;
  const largest = Math.max(exponentOf(Math.abs(mean) || half), place + 1);
  if (largest - place >= 9) return [formatValue(mean), formatDifference(half)];
  const power = largest < -4 || largest > 6 ? largest : 0; // of the ten that both are multiples of
  return [mean, half].map((value) => {
    const rounded = (Math.round(value / 10 ** place) || 0) * 10 ** (place - power); // `|| 0`: no -0
    return rounded.toFixed(Math.max(power - place, 0)) + (power ? `e${power}` : "");
  });
}

export const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** Format a hyperparameter: 0.0286, 1.5 × 10⁻⁴, 10⁸, 4096, 0, rbf. Integers are not rounded. */
export function formatParameter(value, digits = 4) {
  const size = Math.abs(value);
  if (typeof value !== "number" || value === 0) return String(value);
  const isRounded = Number(value.toPrecision(digits)) !== value;
  if (Number.isInteger(value) && (size < 1e5 || (size < 1e9 && isRounded))) return String(value);
  if (size >= 0.001 && size < 1e5) return String(Number(value.toPrecision(digits)));
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e").map(Number);
  const power = [...String(exponent)].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("");
  return mantissa === 1 ? `10${power}` : `${mantissa}\u00a0×\u00a010${power}`;
}

/** Format seconds: 8 s, 4 min 36 s, 2 h 5 min. */
export function formatDuration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${seconds < 10 ? Number(seconds.toFixed(1)) : whole}\u00a0s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}\u00a0min ${whole % 60}\u00a0s`;
  return `${Math.floor(whole / 3600)}\u00a0h ${Math.floor((whole % 3600) / 60)}\u00a0min`;
}

/** Format the seconds that training still takes, never as none. */
export const formatLeft = (seconds) => seconds < 1 ? "under 1\u00a0s" : formatDuration(seconds);

/** Return the JSON at an address; throw an `Error` whose message is a sentence for people. */
export async function fetchJson(address) {
  let response;
  try {
    response = await fetch(address, { headers: { accept: "application/json" } });
  } catch {
    throw new Error("The server does not answer. Is coarsefine serve still running?");
  }
  if (response.ok) return response.json();
  if (response.status === 401) throw new Error("Your sign-in has expired. Reload this page to sign in again.");
  const body = await response.json().catch(() => ({}));
  const detail = typeof body.detail === "string" ? body.detail : null;
  throw new Error(detail ?? `The server answered ${response.status} to ${address}.`);
}

const STATE_LABELS = {
  running: "training",
  interrupted: "not finished, no worker is training",
  failed: "failed",
  done: "done",
};

/** Return a campaign's state in words, and how serious it is, `data-state` of a chip: failures are no success. */
export function stateOf({ state, stages }) {
  const sum = (kind) => stages.reduce((total, stage) => total + stage[kind], 0);
  const failed = sum("failed");
  if (!failed || state === "failed") return { text: STATE_LABELS[state], look: state };
  // as `Status.has_stopped`
  const hasStopped = state === "interrupted" && stages.some((stage) => stage.failed && !stage.completed);
  const isMost = hasStopped || stages.some((stage) => 2 * stage.failed >= stage.trials); // as `TrialCounts.mostly_failed`
  return {
    text: `${hasStopped ? "stopped" : STATE_LABELS[state]}, ${failed.toLocaleString("en")} of ${plural(sum("trials"), "trial")} failed`,
    look: isMost ? "failed" : state === "done" ? "interrupted" : state,
  };
}
