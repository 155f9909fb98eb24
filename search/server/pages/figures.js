/** The figures: Plotly's, made by the server, drawn anew in place. */

import { ask, el } from "./page.js";
/* global Plotly */

const touch = matchMedia("(pointer: coarse)"); // a finger scrolls the page; it must not be caught by a plot's zoom
const narrow = matchMedia("(max-width: 44rem)");

/**
 * Return a function that draws a figure into an element, from an address with the theme added; each call draws what is
 * true now. Zoom and hidden traces stay. Where the server has nothing to draw, `empty` stands instead.
 */
export function figureIn(place, address, empty) {
  const told = el("p", { className: "empty", hidden: true }, empty);
  place.after(told);
  let turn = 0;
  return async function draw(more = []) {
    const mine = ++turn;
    const query = new URLSearchParams([["theme", document.documentElement.dataset.theme], ...more]);
    const figure = await ask(`${address}?${query}`);
    if (mine !== turn) return; // asked again meanwhile
    const bare = figure.data.every((trace) => trace.x.length === 0);
    told.hidden = !bare;
    place.classList.toggle("bare", bare);
    await Plotly.react(place, ...fitted(figure), {
      responsive: true, displaylogo: false, displayModeBar: touch.matches ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  };
}

/** Call a function with the study and number of each trial that is clicked in a figure. */
export function onTrial(place, chosen) {
  place.on("plotly_click", ({ points }) => {
    const [study, number] = points[0].customdata ?? [];
    if (study !== undefined) chosen(study, number);
  });
}

/** Fit a layout to the screen: on a phone there is room for few words beside the points. */
function fitted({ data, layout }) {
  const axes = [layout.xaxis, layout.yaxis].map((axis) => axis?.title?.text).join(); // other axes have no such zoom
  const fit = { uirevision: axes, autosize: true, dragmode: touch.matches ? false : "zoom" };
  if (!narrow.matches) return [data, { ...layout, ...fit }];
  const bars = data.map((trace) => trace.marker?.colorbar).filter(Boolean);
  for (const bar of bars) {
    const ends = (list) => [list[0], list.at(-1)];
    const ticks = { tickvals: ends(bar.tickvals), ticktext: ends(bar.ticktext) };
    Object.assign(bar, ticks, { len: 0.8, x: 0.5, xanchor: "center", ypad: 14 });
  }
  const xaxis = { ...layout.xaxis, nticks: 5, tickangle: 0 };
  const legend = { ...layout.legend, font: { size: 11 } };
  return [data, { ...layout, ...fit, xaxis, legend, margin: { ...layout.margin, l: 44, r: 8, t: 12, b: 36 } }];
}
