/* Light or dark: as the system is set, until this page is told otherwise. Runs before the first paint. */
"use strict";
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const other = { light: "dark", dark: "light" };

  function kept() {
    try {
      return localStorage.getItem("theme");
    } catch { // storage is off: the choice then lasts as long as the page
      return null;
    }
  }

  function keep(theme) {
    try {
      localStorage.setItem("theme", theme);
    } catch { /* as above */ }
  }

  function chosen() {
    return other[kept()] ? kept() : system.matches ? "dark" : "light";
  }

  function show(theme) {
    root.dataset.theme = theme;
    label();
    document.dispatchEvent(new Event("theme"));
  }

  function label() {
    const button = document.getElementById("theme");
    button.textContent = root.dataset.theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `${button.textContent} theme`);
  }

  root.dataset.theme = chosen();
  system.addEventListener("change", () => show(chosen()));
  document.addEventListener("DOMContentLoaded", () => {
    label();
    document.getElementById("theme").addEventListener("click", () => {
      const next = other[root.dataset.theme];
      keep(next);
      show(next);
    });
  });
})();
