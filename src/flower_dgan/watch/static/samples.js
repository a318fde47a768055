"use strict";
/* One slider through all sample grids of a training: every site and draw at the same round. */
(() => {
  const dgan = window.dgan;
  const { el, card } = dgan;
  const slider = el("input", { type: "range", min: 0, max: 0, value: 0, id: "sample-slider", "aria-label": "Round of the samples" });
  const play = el("button", { class: "small", onclick: () => (timer ? stop() : start()) }, "Play");
  const where = el("output", { for: "sample-slider" }, "–");
  const grid = el("div", { class: "samples", id: "samples" });
  const kept = new Map(); // rounds that were fetched: the last 200
  let rounds = [];
  let key = null;
  let follow = true; // whether the newest is shown, until someone moves the slider back
  let asked = 0;
  let timer = null;
  let looked = "";

  const fetched = async (round) => {
    const name = `${key}|${round}`;
    if (!kept.has(name)) {
      const found = (await dgan.source.get(`runs/${key}/samples/${round}`)).pictures;
      kept.set(name, found);
      if (kept.size > 200) kept.delete(kept.keys().next().value);
    }
    return kept.get(name);
  };

  const table = (round, pictures) => {
    const columns = [...new Set(pictures.map((each) => each.column))];
    if (columns.length === 1 && columns[0] === "grid") {
      return el("div", { class: "mosaic" }, pictures.map((each) => dgan.picture(`data:image/png;base64,${each.png}`, `sample grid, round ${round}`)));
    }
    const sites = [...new Set(pictures.map((each) => each.site))];
    return sites.map((site) => {
      const rows = [...new Set(pictures.filter((each) => each.site === site).map((each) => each.row))];
      const line = (row) => columns.map((column) => {
        const found = pictures.find((each) => each.row === row && each.column === column);
        return found ? dgan.picture(`data:image/png;base64,${found.png}`, `${site}, ${column}, round ${round}`) : el("span");
      });
      const box = el("div", { class: "strip" }, columns.map((column) => el("span", { class: "head" }, column)), rows.map(line));
      box.style.setProperty("--columns", columns.length);
      return el("figure", {}, el("figcaption", {}, site), box);
    });
  };

  const show = async () => {
    const round = rounds[Number(slider.value)];
    if (round === undefined) return;
    const mine = (asked += 1);
    dgan.fill(where, `round ${dgan.count(round)}`);
    slider.setAttribute("aria-valuetext", `round ${round}`);
    try {
      const pictures = await fetched(round);
      if (mine === asked) dgan.fill(grid, table(round, pictures));
      dgan.samplesShown = { round, pictures };
    } catch (error) {
      if (mine === asked) dgan.fill(grid, dgan.empty(error.message));
    }
  };

  const stop = () => { clearInterval(timer); timer = null; dgan.fill(play, "Play"); };
  const start = () => {
    if (Number(slider.value) >= rounds.length - 1) slider.value = 0;
    dgan.fill(play, "Pause");
    timer = setInterval(() => {
      if (Number(slider.value) >= rounds.length - 1) { stop(); follow = true; return; }
      slider.value = Number(slider.value) + 1;
      show();
    }, 350);
  };
  slider.addEventListener("input", () => { follow = Number(slider.value) === rounds.length - 1; show(); });

  dgan.samplesCard = () => card("Samples", { size: "wide", id: "samples-card",
    note: "The same label maps and noise at every step. Columns differ by their noise alone; a click shows a picture at full size." },
  el("div", { class: "row" }, play, slider, where), grid);

  dgan.tabs.push({
    id: "samples-part", hidden: true, build: () => {},
    view: async (view) => {
      const state = [view.key, view.edition, view.samples_count, view.round].join("|");
      if (state === looked || view.status.read < 1) return;
      looked = state;
      if (view.key !== key) { key = view.key; follow = true; rounds = []; stop(); }
      const mine = view.key;
      const found = (await dgan.source.get(`runs/${mine}/samples`)).rounds;
      if (mine !== key) return;
      const before = rounds[Number(slider.value)];
      const changed = JSON.stringify(found) !== JSON.stringify(rounds);
      rounds = found;
      slider.max = Math.max(0, rounds.length - 1);
      slider.disabled = play.disabled = rounds.length < 2;
      if (!rounds.length) { dgan.fill(grid, dgan.empty("No samples were drawn yet.")); return; }
      const place = rounds.indexOf(before);
      slider.value = follow || place < 0 ? rounds.length - 1 : place;
      if (changed && (follow || place < 0) && !timer) show();
    },
  });
})();
