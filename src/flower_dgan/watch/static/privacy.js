"use strict";
/* The tab Privacy: what left each site, record by record. */
(() => {
  const dgan = window.dgan;
  const { el, card, fillIfNew } = dgan;
  const left = el("div");
  const sent = el("div");
  const noise = el("div");
  const policies = el("div");
  const POLICIES = {
    strict: "Sums and feedback with noise alone leave the site.",
    standard: "No weights, no losses pixel by pixel, figures rounded, a budget for each image, and the owner approves.",
    research: "Nearly all that an algorithm asks for, for images that may be shared.",
    "own rules": "Its owner wrote them; the node refuses what they do not allow.",
    "no owner": "The node has no images of an owner's: it is simulated, or has the embedded digits.",
  };
  const NONE = "No epsilon exists for this training: no mechanism of differential privacy was applied, and no figure bounds what the feedback tells of one image. docs/privacy.md says what holds instead.";
  const audited = el("div");
  const FROM = "from node";
  let looked = "";
  let key = null;

  const bySite = (records) => {
    const found = new Map();
    for (const each of records) found.set(each.site, [...(found.get(each.site) || []), each]);
    return [...found];
  };
  const list = (records, word) => bySite(records).map(([site, rows], at) => {
    const total = rows.reduce((sum, each) => sum + each.bytes, 0);
    return el("details", { open: at === 0 }, el("summary", {}, el("b", {}, site), ` ${dgan.bytes(total)} ${word}`),
      dgan.table(`${site}: what ${word}`, ["record", "what", ">bytes", ">messages", "type", "shape of one"],
        rows.slice().sort((a, b) => b.bytes - a.bytes).map((each) => [each.record, each.key, dgan.bytes(each.bytes), dgan.count(each.messages), each.dtype, each.shape])));
  });

  const epsilons = (releases) => dgan.table("What each site released with noise", ["site", ">epsilon", ">delta", ">sigma"],
    releases.map((each) => [each.site, dgan.number(each.epsilon), each.delta?.toExponential() ?? "–", dgan.number(each.sigma)]));

  const steps = (told) => dgan.table("What feedback with noise costs each site's patients", ["site", ">epsilon of all steps", ">of those done", ">delta", ">sigma", ">share", ">steps done", ">of"],
    [...new Map(told.map((each) => [each.site, each])).values()].map((each) => [each.site, dgan.number(each.epsilon), dgan.number(each.spent), each.delta?.toExponential() ?? "–", dgan.number(each.sigma), dgan.number(each.share), dgan.count(each.done), dgan.count(each.planned)]));

  /** The table of an audit, the verdict beside the attack: the last cell of a row is "holds" or "BROKEN", a colon, and what was found. */
  const figures = (audit) => {
    const words = `Policy ${audit.policy}: ${audit.holds ? "what it promises holds" : "what it promises does not hold"}`;
    const why = (text) => (text ? el("span", { class: "why" }, text) : "");
    const row = (cells) => {
      const [word, ...said] = cells.at(-1).split(": ");
      return [cells[0], dgan.badge(word, word === "holds" ? "good" : "bad"), ...cells.slice(1, -2), why(cells.at(-2)), why(said.join(": "))];
    };
    const columns = [audit.columns[0], audit.columns.at(-1), ...audit.columns.slice(1, -1), "found"];
    return [el("p", { class: "row" }, dgan.badge(audit.holds ? "holds" : "BROKEN", audit.holds ? "good" : "bad"), words),
      dgan.table(words, columns, audit.rows.map(row), { stacked: true })];
  };

  dgan.tabs.push({
    id: "privacy", title: "Privacy",
    build: (panel) => panel.append(el("div", { class: "grid" },
      card("Differential privacy", { size: "wide" }, noise),
      card("The policy each site said it has", { size: "wide", note: "What its node said as it joined. Its limits, and how far they are used up, are on the owner's own page." }, policies),
      card("Audit", { size: "wide", note: "Attacks on what a node with this policy answers, and on this run: what each found, and whether the policy keeps what it promises." }, audited),
      card("What left each site", { size: "wide", note: "As the server received it, every array of every record, over the whole training. What a site's owner counted and allowed is on the owner's own page: flower-dgan watch --node." }, left),
      card("What was sent to each site", { size: "wide" }, sent))),
    view: async (view) => {
      const said = view.clients.map((each) => [each.name, each.policy]);
      fillIfNew(policies, said, () => said.length ? [dgan.table("Policies", ["site", "policy", "in short"], said.map(([name, policy]) =>
        [name, policy || "not said", el("span", { class: "why" }, (Object.hasOwn(POLICIES, policy) && POLICIES[policy]) || "–")]))] : [dgan.empty("Nobody has joined yet.")]);
      const state = [view.key, view.edition, view.round, view.status.state].join("|");
      if (state === looked) return;
      looked = state;
      key = view.key;
      const { records } = await dgan.source.get(`runs/${key}/records`);
      if (key !== view.key) return;
      const releases = view["noisy-release"], told = view["private-steps"];
      const tables = () => [...(releases.length ? [epsilons(releases)] : []), ...(told.length ? [steps(told)] : [])];
      fillIfNew(noise, [releases, told], () => releases.length || told.length ? tables() : [el("p", {}, NONE)]);
      const { audit } = await dgan.source.get(`runs/${key}/audit`);
      if (key !== view.key) return;
      fillIfNew(audited, audit, () => audit ? figures(audit) : [el("p", {}, "Nobody attacked this run: flower-dgan audit <run directory> does.")]);
      const opened = new Set([...left.querySelectorAll("details[open] summary b")].map((each) => each.textContent));
      const parts = [[left, records.filter((each) => each.direction === FROM), "left"], [sent, records.filter((each) => each.direction !== FROM), "were sent"]];
      for (const [box, rows, word] of parts) {
        fillIfNew(box, rows, () => rows.length ? list(rows, word) : [dgan.empty("Nothing was counted yet: it is written down as the rounds go on.")]);
      }
      if (opened.size) for (const each of left.querySelectorAll("details")) each.open = opened.has(each.querySelector("b").textContent);
    },
  });
})();
