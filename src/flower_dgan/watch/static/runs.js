"use strict";
/* The tab Runs: many runs beside each other. */
(() => {
  const dgan = window.dgan;
  const { el, card, fillIfNew } = dgan;
  const UNLIKE = ["seed", "output.directory", "resume"]; // settings in which runs of one kind differ
  const table = el("div");
  const kinds = el("div");
  const differ = el("div");
  const chart = new dgan.Chart("Mean discriminator loss by run");
  const generator = new dgan.Chart("Mean generator loss by run");
  const found = new Map(); // summaries by key
  const read = new Map(); // the mark of each run as it was read
  const off = new Set(); // runs that are not drawn
  let reading = false;

  const meanOf = (clients) => {
    const lines = Object.values(clients || {});
    const length = Math.max(0, ...lines.map((line) => line.length));
    return Array.from({ length }, (_, at) => {
      const there = lines.map((line) => line[at]).filter((value) => value !== null && value !== undefined);
      return there.length ? there.reduce((sum, value) => sum + value, 0) / there.length : null;
    });
  };

  /** Put lines with steps of their own on the rounds of all. */
  const together = (runs, measure) => {
    const rounds = [...new Set(runs.flatMap((run) => run.curves.rounds))].sort((a, b) => a - b);
    const place = new Map(rounds.map((round, at) => [round, at]));
    const lines = Object.create(null); // a run may be called constructor
    for (const run of runs) {
      const line = new Array(rounds.length).fill(null);
      meanOf(run.curves.measures[measure]).forEach((value, at) => { line[place.get(run.curves.rounds[at])] = value; });
      let before = null; // coarser runs have points in between
      lines[run.name] = line.map((value, at) => {
        if (value !== null) before = value;
        return value ?? (rounds[at] <= run.curves.rounds.at(-1) ? before : null);
      });
    }
    return [rounds, lines];
  };

  const metricsOf = (all) => [...new Set(all.flatMap((run) => run.tstr).flatMap((row) => Object.keys(row).filter((name) => typeof row[name] === "number" && !["seed", "time"].includes(name))))];
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const spread = (values) => Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1));

  /** Put runs together whose settings are the same but for the seed, where there are several of a kind. */
  const repeated = (all) => {
    const kinds = new Map();
    for (const run of all.filter((each) => Object.keys(each.settings).length)) {
      const kind = JSON.stringify(Object.entries(run.settings).filter(([name]) => !UNLIKE.includes(name)).sort());
      kinds.set(kind, [...(kinds.get(kind) || []), run]);
    }
    return [...kinds.values()].filter((runs) => runs.length > 1);
  };

  /** A line for each kind: what its runs have in common among the settings that differ, and mean ± deviation over runs. */
  const overRuns = (kinds, metrics, names) => dgan.table("Runs with the same settings but for the seed", ["settings", ">runs", ...metrics.map((name) => `>${name} of DGAN`)],
    kinds.map((runs) => [
      el("span", { class: "why" }, names.filter((name) => !UNLIKE.includes(name)).map((name) => `${name}=${runs[0].settings[name] ?? "–"}`).join(" ") || "the same"),
      dgan.count(runs.length),
      ...metrics.map((metric) => {
        const values = runs.map((run) => run.tstr.filter((each) => each.row === "DGAN" && typeof each[metric] === "number").map((each) => each[metric])).filter((each) => each.length).map(mean);
        if (!values.length) return "–";
        return dgan.score(mean(values)) + (values.length > 1 ? ` ± ${dgan.score(spread(values), 2)}` : "");
      })]));

  const show = () => {
    const all = (dgan.runs || []).map((each) => found.get(each.key)).filter(Boolean);
    fillIfNew(table, [all.map((run) => [run.key, run.version, run.status.state]), [...off]], () => {
      const metrics = metricsOf(all);
      const cell = (run, metric) => {
        const values = run.tstr.filter((each) => each.row === "DGAN" && typeof each[metric] === "number").map((each) => each[metric]);
        if (!values.length) return "–";
        return dgan.score(mean(values)) + (values.length > 1 ? ` ± ${dgan.score(spread(values), 2)}` : "");
      };
      return [dgan.table("Runs", ["run", "drawn", "state", ">round", ">clients", ...metrics.map((name) => `>${name} of DGAN`), ">alarms"], all.map((run) => [
        el("button", { class: "plain", title: "Show this run", onclick: () => dgan.openRun(run.key) }, run.name),
        el("input", { type: "checkbox", checked: !off.has(run.key), "aria-label": `Draw ${run.name}`, onchange: (event) => { if (event.target.checked) off.delete(run.key); else off.add(run.key); show(); } }),
        dgan.badge(dgan.stateWords(run), { finished: "good", failed: "bad", running: "calm" }[run.status.state] || "warn"),
        dgan.count(run.round), dgan.count(run.clients.length), ...metrics.map((metric) => cell(run, metric)), dgan.count(run.alarm.filter((each) => each.begins).length)]), { stacked: true })];
    });
    const drawn = all.filter((run) => !off.has(run.key) && run.curves.rounds.length);
    chart.show(...together(drawn, "discriminator_loss"));
    generator.show(...together(drawn, "generator_loss"));
    const names = [...new Set(all.flatMap((run) => Object.keys(run.settings)))].filter((name) => new Set(all.map((run) => run.settings[name])).size > 1 && !["output.directory", "resume"].includes(name));
    const several = repeated(all);
    fillIfNew(kinds, [several.map((runs) => runs.map((run) => [run.key, run.tstr.length])), names], () => several.length
      ? [el("h3", {}, "Over the seeds"), overRuns(several, metricsOf(all), names)] : []);
    fillIfNew(differ, [names, all.map((run) => run.key)], () => names.length
      ? [dgan.table("Settings that differ", ["setting", ...all.map((run) => run.name)], names.map((name) => [name, ...all.map((run) => run.settings[name] ?? "–")]))]
      : [dgan.empty(all.length > 1 ? "None: the runs have the same settings." : "There is one run only: name a sweep, or a folder of runs.")]);
  };

  /** Return whether a summary may be another one by now: one that runs may end without a word. */
  const isOld = (key) => read.get(key) !== dgan.marks[key] || found.get(key).status.state === "running";

  const readAll = async () => {
    if (reading) return;
    reading = true;
    try {
      for (const each of (dgan.runs || []).filter((run) => isOld(run.key))) {
        const mark = dgan.marks[each.key];
        let more = true;
        while (more) {
          const summary = await dgan.source.get(`runs/${each.key}/summary`);
          found.set(each.key, summary);
          more = summary.more;
        }
        read.set(each.key, mark);
        show();
      }
    } finally { reading = false; }
  };

  dgan.tabs.push({
    id: "runs", title: "Runs",
    build: (panel) => panel.append(el("div", { class: "grid" },
      card("Runs", { size: "wide", note: "The 40 that were written to last. DGAN is the model that was trained on the synthetic images; ± is the standard deviation, in the first table over the trainings of one run." }, table, kinds),
      card("Discriminator loss", { note: "Mean over the clients." }, chart.node), card("Generator loss", { note: "Mean over the clients." }, generator.node),
      card("Settings that differ", { size: "wide" }, differ))),
    opened: readAll,
    view: () => { show(); if (!reading && dgan.source.live && performance.now() - (found.at || 0) > 5000) { found.at = performance.now(); readAll(); } },
  });
})();
