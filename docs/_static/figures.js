// Draws the figures of a page and draws them again when the reader changes the colour scheme.
"use strict";
(() => {
  const places = [...document.querySelectorAll(".kv-plot")];
  const config = { responsive: true, displayModeBar: false };
  // Where a finger scrolls the page, dragging must not zoom a figure.
  const dragmode = matchMedia("(hover: none)").matches ? false : "zoom";

  // Colours are named "@role" in the figures; figures.css knows them for light and dark.
  const paint = (value, key, style) => {
    if (typeof value === "string")
      return key.endsWith("color") && value[0] === "@"
        ? style.getPropertyValue("--kv-" + value.slice(1)).trim()
        : value;
    if (Array.isArray(value)) return value.map((item) => paint(item, "", style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, paint(item, name, style)]),
    );
  };
  const draw = () => {
    const style = getComputedStyle(document.body);
    const drawn = places.map((place) => {
      const { data, layout } = paint(JSON.parse(place.dataset.figure), "", style);
      return Plotly.react(place, data, { ...layout, dragmode }, config);
    });
    return Promise.all(drawn);
  };

  new MutationObserver(draw).observe(document.body, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw().then(() => document.body.setAttribute("data-drawn", places.length));
})();
