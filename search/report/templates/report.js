"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
  const figures = [...document.querySelectorAll("[data-plot]")].map((place) => ({
    place,
    plot: JSON.parse(document.getElementById(place.dataset.plot).textContent),
  }));

  // Plotly writes into the layout that it is given.
  const draw = ({ place, plot }, theme, changes) =>
    Plotly.react(place, plot.data, { ...structuredClone(plot.layout[theme]), ...changes }, config);

  const drawAll = () => figures.forEach((figure) => draw(figure, dark.matches ? "dark" : "light", { autosize: true }));

  // Paper is white, and its width is not the window's.
  const PAPER = 660;
  const drawForPaper = () =>
    figures.forEach((figure) => {
      const side = figure.place.closest(".side") !== null;
      draw(figure, "light", { width: side ? PAPER / 3 : PAPER, autosize: false });
    });

  drawAll();
  dark.addEventListener("change", drawAll);
  addEventListener("beforeprint", drawForPaper);
  addEventListener("afterprint", drawAll);
})();
