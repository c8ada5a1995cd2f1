"use strict";
(() => {
  const root = document.documentElement;
  const read = (id) => document.getElementById(id).textContent;
  const figures = JSON.parse(read("figures"));
  const plots = [...document.querySelectorAll(".plot")];
  const config = { responsive: true, displayModeBar: false };
  // Where a finger scrolls the page, dragging must not zoom a figure.
  const dragmode = matchMedia("(hover: none)").matches ? false : "zoom";

  // Colours are named "@role" in the figures; the style sheet knows them for light and dark.
  const paint = (value, key, style) => {
    if (typeof value === "string")
      return key.endsWith("color") && value[0] === "@"
        ? style.getPropertyValue("--" + value.slice(1)).trim()
        : value;
    if (Array.isArray(value)) return value.map((item) => paint(item, "", style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, paint(item, name, style)]),
    );
  };
  const draw = () => {
    const style = getComputedStyle(root);
    return Promise.all(
      plots.map((plot) => {
        const { data, layout } = paint(figures[plot.dataset.figure], "", style);
        return Plotly.react(plot, data, { ...layout, dragmode }, config);
      }),
    );
  };

  // On paper: light colours, and the width that a panel has on a sheet.
  const print = () => {
    root.dataset.theme = "light";
    draw();
    for (const plot of plots)
      Plotly.relayout(plot, { width: plot.closest(".panels") ? 330 : 680, autosize: false });
  };
  const screen = () => {
    delete root.dataset.theme;
    for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
    draw();
  };

  document.getElementById("save")?.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([read("analysis")], { type: "application/json" }));
    link.download = "analysis.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", print);
  addEventListener("afterprint", screen);
  draw().then(() => root.setAttribute("data-drawn", plots.length));
})();
