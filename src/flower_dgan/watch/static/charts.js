"use strict";
/* Curves over rounds, a line a client. */
(() => {
  const dgan = window.dgan;
  const { el } = dgan;
  const EACH = 8; // clients that have a colour of their own; of more, all are faint and their mean is bold

  const STEPS = [1, 10, 100, 1000, 10000, 100000, 1000000].flatMap((power) => [power, 2 * power, 5 * power]); // whole rounds

  const named = () => Object.create(null); // a client may be called constructor, which every other object has already

  /** Keep the points of a run's curves as they arrive: new ones, and those that were not complete. */
  dgan.Curves = class {
    constructor() { this.clear(); }
    clear() { this.stride = 0; this.rounds = []; this.measures = named(); }
    take(part) {
      if (part.stride !== this.stride || part.since === 0) { this.clear(); this.stride = part.stride; }
      const cut = (values, wanted) => {
        values.length = Math.min(values.length, part.since);
        while (values.length < part.since) values.push(null);
        values.push(...wanted);
      };
      cut(this.rounds, part.rounds);
      for (const [measure, clients] of Object.entries(part.measures)) {
        const mine = (this.measures[measure] ??= named());
        for (const [client, values] of Object.entries(clients)) cut((mine[client] ??= []), values);
      }
    }
  };

  const mean = (lines, length) => Array.from({ length }, (_, at) => {
    let sum = 0;
    let count = 0;
    for (const line of lines) if (line[at] !== null && line[at] !== undefined) { sum += line[at]; count += 1; }
    return count ? sum / count : null;
  });

  /** A chart of named lines, an object without a prototype of values over x by name; drawn anew when names or the theme change. */
  dgan.Chart = class {
    constructor(label) {
      this.label = label;
      this.hidden = new Set();
      this.box = el("div", { class: "chart", role: "img", "aria-label": label });
      this.legend = el("ul", { class: "legend" });
      this.node = el("div", {}, this.box, this.legend);
      new ResizeObserver(() => this.resize()).observe(this.box);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.key = null; this.draw(); });
    }
    show(x, lines) { this.x = x; this.lines = lines; this.draw(); }
    draw() {
      if (!this.x || !this.x.length || !this.box.clientWidth) return;
      const names = Object.keys(this.lines);
      const many = names.length > EACH;
      const values = names.map((name) => Array.from(this.x, (_, at) => this.lines[name][at] ?? null));
      if (many) values.push(mean(values, this.x.length));
      const last = names.map((name, at) => values[at].findLast((value) => value !== null));
      this.box.setAttribute("aria-label", `${this.label}, round ${this.x.at(-1)}: ` + (many
        ? `mean ${dgan.number(values.at(-1).at(-1))} of ${names.length} clients`
        : names.map((name, at) => `${name} ${dgan.number(last[at])}`).join(", ")));
      const key = JSON.stringify(names);
      if (key === this.key) { this.plot.setData([this.x, ...values]); this.say(names, last, many); return; }
      this.key = key;
      if (this.plot) this.plot.destroy();
      this.plot = new uPlot(this.options(names, many), [this.x, ...values], this.box);
      this.say(names, last, many);
    }
    options(names, many) {
      const grid = { stroke: dgan.tone("grid"), width: 1 };
      const axis = { stroke: dgan.tone("muted"), grid, ticks: grid, font: "12px system-ui, sans-serif" };
      const series = names.map((name, at) => ({
        label: name, show: !this.hidden.has(name), spanGaps: false, points: { show: this.x.length < 3 },
        stroke: many ? dgan.fade(dgan.tone("muted"), 0.35) : dgan.colour(at), width: many ? 1 : 2,
      }));
      if (many) series.push({ label: "mean", stroke: dgan.colour(0), width: 3, points: { show: false } });
      return {
        width: this.box.clientWidth, height: this.height(), legend: { show: false },
        scales: { x: { time: false } }, axes: [{ ...axis, incrs: STEPS, label: "round", labelSize: 16, labelFont: axis.font, size: 32, gap: 3 }, { ...axis, size: 46 }],
        cursor: { y: false, points: { size: 6 } }, series: [{ label: "round" }, ...series],
      };
    }
    say(names, last, many) {
      dgan.fillIfNew(this.legend, [many, names, last, [...this.hidden]], () => many
        ? [el("li", {}, el("i", { class: "fill-0" }), "mean"), el("li", {}, el("i", { class: "faint" }), `each of ${names.length} clients`)]
        : names.map((name, at) => el("li", {}, el("button", {
          class: "plain", "aria-pressed": String(!this.hidden.has(name)), title: "Show or hide this line",
          onclick: () => this.toggle(name, at),
        }, el("i", { class: `fill-${at % 8}` }), `${name} `, el("b", {}, dgan.number(last[at]))))));
    }
    toggle(name, at) {
      if (!this.hidden.delete(name)) this.hidden.add(name);
      this.plot.setSeries(at + 1, { show: !this.hidden.has(name) });
      this.draw();
    }
    height() { return this.box.clientWidth < 420 ? 190 : 240; }
    resize() {
      if (!this.plot) { this.draw(); return; }
      if (this.box.clientWidth) this.plot.setSize({ width: this.box.clientWidth, height: this.height() });
    }
  };
})();
