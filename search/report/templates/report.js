"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
  const figures = [...document.querySelectorAll("[data-plot]")].map((element) => ({
    element,
    plot: JSON.parse(document.getElementById(element.dataset.plot).textContent),
  }));

  // Plotly changes the layout it is given, so it gets a copy.
  const draw = ({ element, plot }, theme, changes) =>
    Plotly.react(element, plot.data, { ...structuredClone(plot.layout[theme]), ...changes }, config);

  const drawAll = () => figures.forEach((figure) => draw(figure, dark.matches ? "dark" : "light", { autosize: true }));

  // Paper is white, and has its own width.
  const PAPER = 660;
  const drawForPaper = () =>
    figures.forEach((figure) => {
      const side = figure.element.closest(".side") !== null;
      draw(figure, "light", { width: side ? PAPER / 3 : PAPER, autosize: false });
    });

  drawAll();
  dark.addEventListener("change", drawAll);
  addEventListener("beforeprint", drawForPaper);
  addEventListener("afterprint", drawAll);
})();
