"use strict";
/* The tab Node: what only the owner of a node knows. */
(() => {
  const dgan = window.dgan;
  const { el, card, fillIfNew } = dgan;
  const box = { problems: el("div"), waiting: el("div"), budgets: el("div"), ledgers: el("div"), trainings: el("div"), rules: el("div") };
  const when = (seconds) => new Date(seconds * 1000).toLocaleString("en-GB");

  const waits = (each) => el("div", { class: "notice warn" },
    el("p", {}, el("b", {}, `Training ${each.settings}`), ` has waited since ${when(each.since)}.`),
    el("pre", { tabindex: "0" }, each.words),
    el("p", {}, "This page changes nothing. To approve or to end it, type: "),
    el("pre", { tabindex: "0" }, `flower-dgan policy approve ${each.settings}\nflower-dgan policy revoke ${each.settings}`));

  const ledger = (each) => [
    el("h3", {}, each.node),
    each.problems.length
      ? el("div", { class: "notice bad" }, el("b", {}, "This ledger was changed, or is not whole:"), el("ul", {}, each.problems.map((problem) => el("li", {}, problem))))
      : el("p", { class: "note" }, `${dgan.count(each.messages)} messages; none was changed, removed or moved. Last hash: ${each.head.slice(0, 16)}…`),
    dgan.parts(`What left ${each.node}`, Object.entries(each.left).sort((a, b) => b[1] - a[1]).map(([name, bytes], at) => [name, bytes, at]), dgan.bytes),
    Object.keys(each.refused).length ? el("p", {}, `Refused: ${Object.entries(each.refused).map(([code, count]) => `${code} (${count})`).join(", ")}.`) : null,
    el("details", {}, el("summary", {}, `The last ${each.last.length} messages`),
      dgan.table(`Messages of ${each.node}`, ["message", "time", "training", "purpose", "what left", ">bytes", "digest"],
        each.last.slice().reverse().map((line) => [line.number, line.time, String(line.training).slice(0, 12), line.purpose, el("span", { class: "why" }, line.what), dgan.bytes(line.bytes || 0), line.digest])))];

  const show = (node) => {
    fillIfNew(box.problems, node.problems, () => node.problems.map((text) => el("p", { class: "notice warn" }, text)));
    const waiting = node.trainings.filter((each) => each.state === "waiting");
    fillIfNew(box.waiting, waiting, () => waiting.length ? waiting.map(waits) : [dgan.empty("None.")]);
    fillIfNew(box.budgets, node.budgets, () => node.budgets.length ? node.budgets.map((each) => el("div", { class: "budget" },
      el("p", {}, `${each.what}: `, el("b", {}, dgan.number(each.used, 6)), ` of ${dgan.number(each.limit, 6)} `, each.nearly ? dgan.badge("over 80 %", "bad") : null),
      each.nearly ? el("p", { class: "note" }, `What may help: ${each.help_by}.`) : null,
      el("progress", { max: Math.max(1, each.limit), value: each.used, "aria-label": each.what }))) : [dgan.empty("This policy sets no limit.")]);
    fillIfNew(box.ledgers, node.ledgers, () => node.ledgers.length ? node.ledgers.flatMap(ledger) : [dgan.empty("Nothing left yet.")]);
    fillIfNew(box.trainings, node.trainings, () => node.trainings.length ? [dgan.table("Trainings", ["settings", "state", "since", "training"],
      node.trainings.map((each) => [each.settings, dgan.badge(each.state, { waiting: "warn", revoked: "bad", approved: "good" }[each.state] || "calm"), when(each.since), each.identity || "not begun"]))] : [dgan.empty("No training has asked.")]);
    fillIfNew(box.rules, [node.policy, node.rules], () => [el("p", {}, `policy = ${node.policy}`),
      dgan.table("Policy", ["rule", "value"], Object.entries(node.rules).map(([name, value]) => [name, el("span", { class: "why" }, value)]))]);
  };

  const read = async () => {
    try { show(await dgan.source.get("node")); } catch (error) { dgan.fill(box.problems, el("p", { class: "notice bad" }, error.message)); }
    setTimeout(read, 5000);
  };

  dgan.tabs.push({
    id: "node", title: "Node", own: true,
    build: (panel) => panel.append(el("div", { class: "grid" },
      el("div", { class: "wide" }, box.problems),
      card("Trainings that wait for your approval", { size: "wide" }, box.waiting),
      card("What left", { size: "wide", note: "As this node's own ledger says, which was verified just now." }, box.ledgers),
      card("Budgets", { note: "Of the image that was used most, in all trainings, under whatever name; epsilon is that of a patient who was in all." }, box.budgets),
      card("Trainings", {}, box.trainings),
      card("Policy", { size: "wide" }, box.rules))),
    begin: read,
  });
})();
