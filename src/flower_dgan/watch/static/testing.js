"use strict";
/* The tab Testing: the generator of any kept step paints a mask; and the table of what its images are worth. */
(() => {
  const dgan = window.dgan;
  const { el, card, fillIfNew } = dgan;
  const pad = new dgan.Pad();
  const step = el("select", { id: "paint-step" });
  const sites = el("fieldset", {}, el("legend", {}, "In the style of"));
  const draws = el("input", { type: "number", min: 1, max: 4, value: 2, id: "paint-draws" });
  const seed = el("input", { type: "number", min: 0, max: 2147483647, value: 0, id: "paint-seed" });
  const go = el("button", { class: "primary", id: "paint", disabled: true }, "Paint");
  const said = el("p", { class: "note", role: "status", id: "paint-said" });
  const results = el("div", { class: "painted", id: "painted" });
  const table = el("div");
  const worst = el("div", { id: "overlaid" });
  const mine = el("div", { class: "row" });
  let tested = "";
  let key = null;
  let known = "";
  let shape = null;
  let describing = "";
  let underway = false;

  const say = (text) => dgan.fill(said, text);
  const chosen = () => [...sites.querySelectorAll("input:checked")].map((each) => each.value);

  const describe = async () => {
    const wanted = `${key}|${step.value}`;
    if (!step.value || underway || (shape && !step.dganChosen) || describing === wanted) return;
    underway = true;
    if (!shape) say("The generator is read …");
    try {
      const found = await dgan.source.get(`runs/${key}/generators/${step.value}`);
      if (!wanted.startsWith(`${key}|`)) return; // another run was chosen meanwhile, and is asked about next
      shape = found;
      describing = wanted;
    } catch (error) { say(error.message); return; } finally { underway = false; }
    pad.resize(shape.image_size, shape.classes);
    const before = new Set(chosen());
    dgan.fill(sites, el("legend", {}, "In the style of"), shape.sites.map((site, at) =>
      el("label", {}, el("input", { type: "checkbox", value: site, checked: before.size ? before.has(site) : at < 4 }), site)));
    go.disabled = false;
    if (said.textContent.endsWith("…")) say("");
  };

  const paint = async () => {
    if (!shape) return;
    if (!chosen().length) { say("Choose a site first."); return; }
    go.disabled = true;
    say("The generator paints …");
    const asked = { generator: step.value, sites: chosen(), draws: Number(draws.value), seed: Number(seed.value), mask: pad.base64() };
    try {
      const { pictures, generator } = await dgan.source.post(`runs/${key}/paint`, asked);
      const name = generator === "final" ? "final" : `round ${generator}`;
      dgan.fill(results, pictures.map((each) => {
        const source = `data:image/png;base64,${each.png}`;
        const caption = `${each.site}, draw ${each.draw}, ${name}`;
        return el("figure", {}, dgan.picture(source, caption), el("figcaption", {}, el("span", {}, `${each.site} · ${each.draw}`),
          el("a", { href: source, download: `${each.site}-${each.draw}-${name}.png`.replace(/[^\w.-]+/g, "-"), "aria-label": `Download ${caption}` }, "save")));
      }));
      say(`Painted by the generator of ${generator === "final" ? "the end" : name}.`);
    } catch (error) { say(error.message); }
    go.disabled = false;
  };
  go.addEventListener("click", paint);
  step.addEventListener("change", () => { step.dganChosen = step.value !== "newest"; describe(); });

  const scores = (rows) => {
    const names = [...new Set(rows.flatMap((row) => Object.keys(row).filter((name) => typeof row[name] === "number" && !["seed", "time"].includes(name))))];
    const trained = [...new Set(rows.map((row) => row.row))];
    const cell = (row, name) => {
      const values = rows.filter((each) => each.row === row && typeof each[name] === "number").map((each) => each[name]);
      if (!values.length) return "–";
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1));
      return values.length > 1 ? `${dgan.score(mean)} ± ${dgan.score(spread, 2)}` : dgan.score(mean);
    };
    return dgan.table("Train on synthetic, test on real", ["trained on", ...names.map((name) => `>${name}`), ">trainings"],
      trained.map((row) => [row, ...names.map((name) => cell(row, name)), String(rows.filter((each) => each.row === row).length)]));
  };
  dgan.scores = scores;

  /** Show, row by row, the test images that its first model does worst and best on. */
  const overlaid = (pictures) => {
    const rows = [...new Set(pictures.map((each) => each.row))];
    const legend = [["right", "right"], ["missed", "missed"], ["extra", "where there is nothing"]];
    return [el("p", { class: "note" }, "Left what is true, right what the row's first model found. The images are of the server's own test split."),
      el("ul", { class: "legend" }, legend.map(([kind, words]) => el("li", {}, el("i", { class: kind }), words))),
      rows.map((row) => el("section", {}, el("h3", {}, row), el("div", { class: "overlaid" },
        pictures.filter((each) => each.row === row).map((each) => {
          const caption = `${each.rank}: ${each.metric} ${dgan.score(each.figure)}`;
          return el("figure", {}, dgan.picture(`data:image/png;base64,${each.png}`, `${row}, ${caption}`), el("figcaption", {}, caption));
        }))))];
  };

  const showOverlaid = async (view) => {
    const state = [view.key, view.edition, view.tested_count].join("|");
    if (state === tested || view.status.read < 1) return;
    tested = state;
    if (!view.tested_count) { dgan.fill(worst); return; }
    if (!dgan.source.live) { dgan.fill(worst, el("p", { class: "note" }, "The worst and best test images are not in an exported page: report.md beside the run shows them.")); return; }
    const { pictures } = await dgan.source.get(`runs/${view.key}/tested`);
    if (state === tested) dgan.fill(worst, overlaid(pictures));
  };

  const masks = () => {
    const shown = dgan.samplesShown;
    const found = shown ? shown.pictures.filter((each) => each.column === "label map") : [];
    fillIfNew(mine, [shown?.round, found.length, found[0]?.png?.length], () => found.slice(0, 12).map((each) => {
      const source = `data:image/png;base64,${each.png}`;
      return el("button", { class: "picture tiny", "aria-label": `Take the label map of ${each.site}, row ${each.row + 1}`, onclick: () => pad.load(source) }, el("img", { src: source, alt: "" }));
    }));
  };

  dgan.tabs.push({
    id: "testing", title: "Testing",
    build: (panel) => panel.append(el("div", { class: "grid" },
      dgan.source.live ? card("A mask", { note: "Draw with the mouse or a finger, or with arrow keys and space; upload a picture; or take one of the run's." }, pad.node,
        el("h3", {}, "One of the run's"), mine) : null,
      dgan.source.live ? card("What the generator makes of it", {},
        el("div", { class: "form" }, el("label", {}, "Generator ", step), el("label", {}, "Draws ", draws), el("label", {}, "Noise ", seed), sites, go), said, results) : null,
      card("Train on synthetic, test on real", { size: "wide", note: "A model is trained on each row's images and tested on real ones that no training saw." }, table, worst))),
    view: async (view) => {
      fillIfNew(table, view.tstr, () => view.tstr.length ? [scores(view.tstr)] : [dgan.empty("There is no table yet: it is made after the training, where the run asks for it.")]);
      pad.classes(view.classes.names || [], view.classes.colours || []);
      masks();
      await showOverlaid(view);
      if (!dgan.source.live) return;
      const state = [view.key, view.edition, view.generators_count, view.status.state].join("|");
      if (state === known || view.status.read < 1) return;
      known = state;
      if (key !== view.key) { key = view.key; shape = null; go.disabled = true; describing = ""; step.dganChosen = false; }
      const { generators } = await dgan.source.get(`runs/${key}/generators`);
      const names = generators.length ? ["newest", ...generators.slice().reverse()] : [];
      const before = step.dganChosen && names.includes(step.value) ? step.value : names[0];
      fillIfNew(step, names, () => names.map((name) => el("option", { value: name }, { newest: `the newest (${names[1] === "final" ? "end" : `round ${names[1]}`})`, final: "end of the training" }[name] || `round ${name}`)));
      if (before) step.value = before;
      go.disabled = !names.length || !shape;
      if (!names.length) say("No generator was kept yet: the first is written as the rounds go on.");
      else if (said.textContent.startsWith("No generator")) say("");
      await describe();
    },
  });
})();
