/** What the pages share: elements, numbers in words, requests. Data becomes text here, never markup. */

/** Make an element with properties, `data-` attributes and children; strings among the children stay text. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(made.dataset, value);
    else if (name.startsWith("aria-") || name === "role" || name === "scope") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Set an element's text, unless it is that already: what does not change is not read out again. */
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const percent = (share, digits = 2) => `${(100 * share).toFixed(digits)}\u00a0%`;
let plain = false;

/** Have values written as they are from now on, not in percent: they are of a function of the user's. */
export function writePlainly(now) {
  plain = now;
}

/** A trial's value, and a difference of such. */
export const valued = (value) => plain ? String(Number(value.toPrecision(5))) : percent(value);
export const points = (value) => plain ? valued(value) : (100 * value).toFixed(2);

export const plural = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

/** A value as people write it: 0.0286, 1.5 × 10⁻⁴, 10⁸, 0, rbf. */
export function quantity(value, digits = 4) {
  const size = Math.abs(value);
  if (typeof value !== "number" || value === 0) return String(value);
  if (size >= 0.001 && size < 1e5) return String(Number(value.toPrecision(digits)));
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e").map(Number);
  const raised = [...String(exponent)].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("");
  return mantissa === 1 ? `10${raised}` : `${mantissa}\u00a0×\u00a010${raised}`;
}

/** Seconds as people say them: 8 s, 4 min 36 s, 2 h 5 min. */
export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${seconds < 10 ? Number(seconds.toFixed(1)) : whole}\u00a0s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}\u00a0min ${whole % 60}\u00a0s`;
  return `${Math.floor(whole / 3600)}\u00a0h ${Math.floor((whole % 3600) / 60)}\u00a0min`;
}

/** Return what an address answers as JSON; throw an `Error` whose message is a sentence for people. */
export async function ask(address) {
  let answer;
  try {
    answer = await fetch(address, { headers: { accept: "application/json" } });
  } catch {
    throw new Error("The server does not answer. Is coarsefine serve still running?");
  }
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Error("The server wants its token again: load this page anew.");
  const told = await answer.json().catch(() => ({}));
  const detail = typeof told.detail === "string" ? told.detail : null;
  throw new Error(detail ?? `The server answered ${answer.status} to ${address}.`);
}

export const STATES = {
  running: "training now",
  interrupted: "not finished, nobody trains",
  failed: "failed",
  done: "done",
};
