/** The figures: the server makes them for Plotly, which updates them in place. */

import { el, fetchJson } from "./shared.js";
/* global Plotly */

const touch = matchMedia("(pointer: coarse)"); // a finger scrolls the page, so a plot must not zoom under it
const narrow = matchMedia("(max-width: 44rem)");

/**
 * Return a function that fetches a figure and draws it into an element. The function takes further query parameters.
 *
 * Zoom and hidden traces stay as they are. If the figure has no points, the text `empty` takes its place.
 */
export function figureIn(container, address, empty) {
  const notice = el("p", { className: "empty", hidden: true }, empty);
  container.after(notice);
  let newest = 0;
  return async function draw(parameters = []) {
    const request = ++newest;
    const query = new URLSearchParams([["theme", document.documentElement.dataset.theme], ...parameters]);
    const figure = await fetchJson(`${address}?${query}`);
    if (request !== newest) return; // a newer request is under way
    const isEmpty = figure.data.every((trace) => trace.x.length === 0);
    notice.hidden = !isEmpty;
    container.classList.toggle("no-data", isEmpty);
    await Plotly.react(container, ...fitted(figure), {
      responsive: true, displaylogo: false, displayModeBar: touch.matches ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  };
}

/** Call a function with the study and number of each trial that is clicked in a figure. */
export function onTrialClick(container, callback) {
  container.on("plotly_click", ({ points }) => {
    const [study, number] = points[0].customdata ?? [];
    if (study !== undefined) callback(study, number);
  });
}

/** Return a figure's data and layout, fitted to the screen: a phone has little room for text. */
function fitted({ data, layout }) {
  const axes = [layout.xaxis, layout.yaxis].map((axis) => axis?.title?.text).join(); // a zoom holds for its axes only
  const fit = { uirevision: axes, autosize: true, dragmode: touch.matches ? false : "zoom" };
  if (!narrow.matches) return [data, { ...layout, ...fit }];
  const bars = data.map((trace) => trace.marker?.colorbar).filter(Boolean);
  for (const bar of bars) {
    const ends = (list) => [list[0], list.at(-1)];
    const ticks = { tickvals: ends(bar.tickvals), ticktext: ends(bar.ticktext) };
    Object.assign(bar, ticks, { len: 0.8, x: 0.5, xanchor: "center" });
  }
  const xaxis = { ...layout.xaxis, nticks: Math.min(layout.xaxis.nticks ?? 5, 5), ...(layout.xaxis.tickvals ? {} : { tickangle: 0 }) };
  const legend = { ...layout.legend, font: { size: 11 } };
  return [data, { ...layout, ...fit, xaxis, legend, margin: { ...layout.margin, l: 44, r: 8, t: bars.length ? 64 : 12, b: 36 } }];
}
