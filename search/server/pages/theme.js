/* The theme, light or dark: the system's until the user chooses another. Runs before the first paint. */
"use strict";
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const opposite = { light: "dark", dark: "light" };

  function savedTheme() {
    try {
      return localStorage.getItem("theme");
    } catch { // storage is disabled: the choice lasts as long as the page
      return null;
    }
  }

  function saveTheme(theme) {
    try {
      localStorage.setItem("theme", theme);
    } catch { /* storage is disabled */ }
  }

  function currentTheme() {
    return opposite[savedTheme()] ? savedTheme() : system.matches ? "dark" : "light";
  }

  function showTheme(theme) {
    root.dataset.theme = theme;
    labelButton();
    document.dispatchEvent(new Event("theme"));
  }

  function labelButton() {
    const button = document.getElementById("theme");
    button.textContent = `Theme: ${root.dataset.theme}`;
    button.title = `Switch to ${opposite[root.dataset.theme]}`;
  }

  root.dataset.theme = currentTheme();
  system.addEventListener("change", () => showTheme(currentTheme()));
  document.addEventListener("DOMContentLoaded", () => {
    labelButton();
    document.getElementById("theme").addEventListener("click", () => {
      const theme = opposite[root.dataset.theme];
      saveTheme(theme);
      showTheme(theme);
    });
  });
})();
