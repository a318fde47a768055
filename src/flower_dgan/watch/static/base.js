"use strict";
/* Small tools that the other files share; all live in one object. */
(() => {
  const dgan = (window.dgan = window.dgan || {});

  /** Make an element; text is always text, never markup. */
  dgan.el = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "class") made.className = value;
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat(Infinity).filter((each) => each !== null && each !== undefined).map(asNode));
    return made;
  };
  const asNode = (child) => (child instanceof Node ? child : document.createTextNode(String(child)));

  /** Put children in the place of what an element holds. */
  dgan.fill = (element, ...children) => {
    element.replaceChildren(...children.flat(Infinity).filter((each) => each !== null && each !== undefined).map(asNode));
    return element;
  };

  /** Fill an element only where what it shows changed, so that focus, scrolling and selection stay. */
  dgan.fillIfNew = (element, shown, make) => {
    const key = JSON.stringify(shown);
    if (element.dganKey === key) return;
    element.dganKey = key;
    dgan.fill(element, make());
  };

  dgan.bytes = (count) => {
    if (count === null || count === undefined) return "–";
    const units = ["B", "kB", "MB", "GB", "TB"];
    let power = 0;
    while (count >= 1000 && power < 4) { count /= 1000; power += 1; }
    return `${power === 0 || count >= 100 ? Math.round(count) : count.toPrecision(3)} ${units[power]}`;
  };

  dgan.duration = (seconds) => {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
    if (seconds < 90) return `${Math.round(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
    return `${Math.round(seconds / 86400)} days`;
  };

  dgan.number = (value, digits = 3) => {
    if (value === null || value === undefined) return "–";
    return typeof value === "number" ? Number(value.toPrecision(digits)).toLocaleString("en") : String(value);
  };
  /** A score with its last zeros, so that scores in a column have as many digits. */
  dgan.score = (value, digits = 3) => (typeof value === "number" && Math.abs(value) >= 0.001 && Math.abs(value) < 100 ? value.toPrecision(digits) : dgan.number(value, digits));
  dgan.count = (value) => (value === null || value === undefined ? "–" : Number(value).toLocaleString("en"));

  /** Return what a CSS variable is now. */
  dgan.tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  dgan.colour = (index) => dgan.tone(`line-${index % 8}`);
  dgan.fade = (colour, share) => colour + Math.round(share * 255).toString(16).padStart(2, "0");

  /** A card with a heading. */
  dgan.card = (title, { size = "", note = null, id = null } = {}, ...children) =>
    dgan.el("section", { class: `card ${size}`, id },
      dgan.el("h2", {}, title), note ? dgan.el("p", { class: "note" }, note) : null, ...children);

  /** A table in a box that scrolls by itself; cells are text or nodes, numbers stand to the right. A stacked one has, on
   *  a narrow screen, the cells of a row below each other, each with its column's name. */
  dgan.table = (caption, columns, rows, { stacked = false } = {}) =>
    dgan.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      dgan.el("table", { class: stacked ? "stacked" : null },
        dgan.el("thead", {}, dgan.el("tr", {}, columns.map((name) => {
          const right = name.startsWith(">");
          return dgan.el("th", { scope: "col", class: right ? "right" : null }, right ? name.slice(1) : name);
        }))),
        dgan.el("tbody", {}, rows.map((row) => dgan.el("tr", {}, row.map((cell, index) => dgan.el(
          index === 0 ? "th" : "td",
          { scope: index === 0 ? "row" : null, "data-column": index === 0 ? null : columns[index].replace(/^>/, ""), class: columns[index].startsWith(">") ? "right" : null }, cell)))))));

  dgan.badge = (text, kind) => dgan.el("span", { class: `badge ${kind}` }, text);
  dgan.empty = (text) => dgan.el("p", { class: "empty" }, text);

  /** A bar of parts with a legend below it: [[name, value, colour index]]. */
  dgan.parts = (label, parts, shown) => {
    const total = parts.reduce((sum, part) => sum + part[1], 0);
    if (!total) return dgan.empty("Nothing yet.");
    const bar = dgan.el("div", { class: "parts", role: "img",
      "aria-label": `${label}: ${parts.map((part) => `${part[0]} ${shown(part[1])}`).join(", ")}` });
    const legend = dgan.el("ul", { class: "legend" });
    for (const [name, value, index] of parts) {
      if (!value) continue;
      const piece = dgan.el("span", { class: `fill-${index % 8}` });
      piece.style.flexGrow = String(value / total);
      bar.append(piece);
      legend.append(dgan.el("li", {}, dgan.el("i", { class: `fill-${index % 8}` }), `${name} `,
        dgan.el("b", {}, shown(value)), ` ${Math.round((100 * value) / total)} %`));
    }
    return dgan.el("div", {}, bar, legend);
  };

  /** Show a picture at full size. */
  dgan.enlarge = (source, caption) => {
    const image = document.getElementById("large-image");
    image.src = source;
    image.alt = caption;
    dgan.fill(document.getElementById("large-caption"), caption);
    document.getElementById("large").showModal();
  };
  dgan.picture = (source, caption) =>
    dgan.el("button", { class: "picture", "aria-label": `${caption}: show at full size`, title: caption,
      onclick: () => dgan.enlarge(source, caption) }, dgan.el("img", { src: source, alt: "" }));

  dgan.tabs = [];
})();
