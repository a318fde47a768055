"use strict";
/* The tab Training: how the run stands, its curves, time, bytes and alarms; its samples are in samples.js. */
(() => {
  const dgan = window.dgan;
  const { el, card, fillIfNew } = dgan;

  const MEASURES = [
    ["discriminator_loss", "Discriminator loss", "How well each client's discriminator tells real from synthetic: near its floor it has won, flat and high it knows nothing."],
    ["generator_loss", "Generator loss", "What each client's discriminator says of the synthetic images: lower is more convincing."],
    ["score", "Score of synthetic images", "The mean score that each discriminator gives synthetic images, before its loss."],
  ];
  const STATES = {
    running: "in training", finished: "finished", failed: "failed", stopped: "stopped", killed: "killed", silent: "no sign of life",
  };
  dgan.stateWords = (view) => {
    const { state, read } = view.status;
    if (read < 1) return `reading, ${Math.floor(100 * read)} %`;
    if (state === "running" && view.stage && view.stage !== "training") return view.stage;
    return STATES[state] || state;
  };

  const box = {
    stats: el("dl", { class: "stats" }), notice: el("div"), alarms: el("div"), time: el("div"), bytes: el("div"), stages: el("div"),
  };
  const progress = el("progress", { max: 1, value: 0, "aria-label": "Rounds done" });
  const charts = Object.fromEntries(MEASURES.map(([measure, title]) => [measure, new dgan.Chart(title)]));
  const cards = Object.fromEntries(MEASURES.map(([measure, title, note]) => [measure, card(title, { note }, charts[measure].node)]));
  cards.score.hidden = true;

  const stats = (view) => {
    const of = view.rounds ? ` / ${dgan.count(view.rounds)}` : "";
    const facts = [
      ["Round", [dgan.count(view.round), el("small", {}, of)]],
      view.status.state === "running" ? ["Time left", dgan.duration(view.seconds_left)]
        : ["Rounds took", dgan.duration(Object.values(view.seconds).reduce((sum, each) => sum + each, 0))],
      ["Clients", dgan.count(view.clients.length)],
      ["Synthetic images", dgan.count(view.images)],
      ["Attempt", String(view.attempt)],
      ["Last event", view.status.age === null ? "–" : `${dgan.duration(view.status.age)} ago`],
    ];
    return facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  };

  const notice = (view) => {
    const { state, why, read } = view.status;
    const said = [];
    if (read < 1) return said;
    if (["failed", "killed", "stopped", "silent"].includes(state)) {
      said.push(el("p", { class: `notice ${state === "failed" ? "bad" : "warn"}` }, el("b", {}, `The run ${state === "silent" ? "gives no sign of life" : `was ${state}`.replace("was failed", "failed")}`), why ? `: ${why}.`.replace("..", ".") : "."));
    }
    if (view.attempt > 1) said.push(el("p", { class: "notice" }, `This training was resumed: attempt ${view.attempt}${view.begin.done ? `, which went on after round ${view.begin.done}` : ""}.`));
    const bad = view.not_understood + view.damaged;
    if (bad) said.push(el("p", { class: "notice warn" }, `${bad} lines of metrics.jsonl could not be understood, and are not shown.`));
    return said;
  };

  const alarms = (list) => {
    const over = new Map(list.filter((each) => !each.begins).map((each) => [`${each.name}|${each.site}|${each.since}`, each.round]));
    const begun = list.filter((each) => each.begins);
    if (!begun.length) return [dgan.empty("None was raised.")];
    return [el("div", { class: "tall", tabindex: "0", role: "region", "aria-label": "Alarms" }, el("ul", { class: "alarms" }, begun.slice().reverse().map((each) => {
      const ended = over.get(`${each.name}|${each.site}|${each.since}`);
      return el("li", { class: ended === undefined ? "bad" : "over" },
        el("p", {}, el("b", {}, each.name), each.site ? ` · ${each.site}` : "", ` · since round ${each.since}`, ended === undefined ? "" : `, over in round ${ended}`),
        el("p", {}, `${each.said}.`), each.help_by ? el("p", { class: "note" }, `What may help: ${each.help_by}.`) : null);
    })))];
  };

  const bytes = (clients) => {
    const shown = clients.filter((each) => each.sent || each.received).sort((a, b) => b.sent + b.received - a.sent - a.received);
    if (!shown.length) return [dgan.empty("Nothing yet.")];
    const sent = shown.reduce((sum, each) => sum + each.sent, 0);
    const received = shown.reduce((sum, each) => sum + each.received, 0);
    return [dgan.parts("Bytes of the rounds", [["from clients: feedback", sent, 1], ["to clients: synthetic batches", received, 0]], dgan.bytes),
      dgan.table("Bytes by client", ["client", ">from", ">to"], shown.slice(0, 8).map((each) => [each.name, dgan.bytes(each.sent), dgan.bytes(each.received)])),
      shown.length > 8 ? el("p", { class: "note" }, `The 8 of ${shown.length} with most; all are in Federation.`) : null];
  };

  dgan.tabs.push({
    id: "training", title: "Training",
    build: (panel) => panel.append(
      el("div", { class: "grid six" },
        el("section", { class: "card wide", "aria-label": "How the run stands" }, box.stats, progress, box.notice),
        cards.discriminator_loss, cards.generator_loss, cards.score,
        card("Alarms", { id: "alarms", size: "third" }, box.alarms),
        card("Where time went", { size: "third", note: "Wall clock of all rounds." }, box.time, box.stages),
        card("Where bytes went", { size: "third", note: "Messages of all rounds." }, box.bytes),
        dgan.samplesCard())),
    view: (view) => {
      fillIfNew(box.stats, [view.round, view.rounds, view.status.age, view.status.state, view.images, view.attempt, view.clients.length, view.seconds_left], () => stats(view));
      progress.value = view.rounds ? view.round / view.rounds : 0;
      progress.hidden = !view.rounds;
      fillIfNew(box.notice, [view.status.state, view.status.why, view.status.read < 1, view.attempt, view.not_understood + view.damaged], () => notice(view));
      fillIfNew(box.alarms, view.alarm, () => alarms(view.alarm));
      const names = Object.keys(view.seconds);
      fillIfNew(box.time, view.seconds, () => [dgan.parts("Time", names.map((name, at) => [name, view.seconds[name], at]), dgan.duration)]);
      fillIfNew(box.stages, view.stage_ends, () => view.stage_ends.length ? [dgan.table("Stages", ["stage", ">time"], view.stage_ends.map((each) => [each.name, dgan.duration(each.seconds)]))] : []);
      fillIfNew(box.bytes, view.clients.map((each) => [each.name, each.sent, each.received]), () => bytes(view.clients));
    },
    curves: (curves) => {
      for (const [measure] of MEASURES.toReversed()) { // the last decides how wide the others are
        const lines = curves.measures[measure] || {};
        if (measure === "score") {
          const none = !Object.keys(lines).length;
          cards.score.hidden = none;
          for (const each of Object.values(cards)) each.classList.toggle("third", !none);
        }
        charts[measure].show(curves.rounds, lines);
      }
    },
  });
})();
