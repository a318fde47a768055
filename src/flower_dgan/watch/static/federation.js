"use strict";
/* The tab Federation: every client, and who was waited for. */
(() => {
  const dgan = window.dgan;
  const { el, card, fillIfNew } = dgan;
  const KINDS = { connected: "good", late: "warn", away: "warn", rejected: "bad", refused: "bad", "left out": "bad" };
  const WORDS = { connected: "connected", late: "late", away: "not connected", rejected: "answer refused", refused: "refused", "left out": "left out" };
  const clients = el("div");
  const changes = el("div");
  const waited = el("div");
  const canvas = el("canvas", { role: "img", "aria-label": "Rounds on a time line" });
  const timeline = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Time line" }, canvas);
  let last = null;

  const arrival = (answer) => answer[1] ?? answer[0] ?? 0;
  const NOTED = 0.05; // of a round: that long the others have to wait for one before it is pointed at

  /** Return who was waited for in a round, and how long; null where nobody was. */
  const waitedFor = (round) => {
    const answers = Object.entries(round.answers).map(([name, answer]) => [name, arrival(answer)]).sort((a, b) => b[1] - a[1]);
    if (answers.length < 2) return null;
    const seconds = answers[0][1] - answers[1][1];
    return seconds > NOTED * round.seconds ? { name: answers[0][0], seconds } : null;
  };

  /** Count, over the rounds shown, who was the last to answer and by how much the others waited. */
  const waits = (rounds) => {
    const found = new Map();
    for (const slow of rounds.map(waitedFor).filter(Boolean)) {
      const one = found.get(slow.name) || { rounds: 0, seconds: 0 };
      one.rounds += 1;
      one.seconds += slow.seconds;
      found.set(slow.name, one);
    }
    return [...found].sort((a, b) => b[1].seconds - a[1].seconds);
  };

  const answered = (client) => {
    if (client.last_round === null) return "–";
    const time = typeof client.last_time === "number" ? `, ${new Date(client.last_time * 1000).toLocaleTimeString("en-GB")}` : "";
    return `round ${dgan.count(client.last_round)}${time}`;
  };

  const state = (view, client) => {
    const over = view.status.state !== "running";
    if (client.state === "connected" && over) return dgan.badge("took part", "calm");
    if (client.state === "connected" && client.last_round !== null && client.last_round < view.round) return dgan.badge("no answer in the last round", "warn");
    if (client.state === "connected" && view.stage === "training") return dgan.badge("at work", "good");
    return dgan.badge(WORDS[client.state] || client.state, KINDS[client.state] || "calm");
  };

  const draw = (rounds, names) => {
    const width = Math.max(timeline.clientWidth, 320);
    const height = Math.max(10, Math.min(26, 900 / Math.max(1, names.length)));
    const left = Math.min(130, width / 3);
    const scale = devicePixelRatio || 1;
    const high = names.length * height + 24;
    canvas.width = width * scale;
    canvas.height = high * scale;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${high}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const total = rounds.reduce((sum, each) => sum + each.seconds, 0) || 1;
    const colours = { work: dgan.colour(0), wait: dgan.tone("bad"), ground: dgan.tone("grid"), text: dgan.tone("muted"), bad: dgan.tone("bad") };
    names.forEach((name, at) => {
      pen.fillStyle = colours.text;
      const text = name.length > 18 ? `${name.slice(0, 17)}…` : name;
      if (height >= 12) pen.fillText(text, 0, at * height + height / 2, left - 8);
    });
    let x = left;
    for (const round of rounds) {
      const wide = (round.seconds / total) * (width - left);
      const slow = waitedFor(round)?.name;
      names.forEach((name, at) => {
        const y = at * height + 2;
        pen.fillStyle = colours.ground;
        pen.fillRect(x, y, Math.max(1, wide - 1), height - 4);
        const answer = Object.hasOwn(round.answers, name) ? round.answers[name] : null; // one may be called constructor
        if (answer) {
          const share = Math.min(1, arrival(answer) / (round.seconds || 1));
          pen.fillStyle = name === slow ? colours.wait : colours.work;
          pen.fillRect(x, y, Math.max(1, (wide - 1) * share), height - 4);
        } else if (Object.hasOwn(round.rejected, name) || round.late.includes(name)) {
          pen.strokeStyle = colours.bad;
          pen.strokeRect(x + 0.5, y + 0.5, Math.max(1, wide - 2), height - 5);
        }
      });
      x += wide;
    }
    pen.fillStyle = colours.text;
    pen.fillText(`round ${rounds[0].round}`, left, high - 9);
    pen.textAlign = "right";
    pen.fillText(`round ${rounds.at(-1).round}`, width, high - 9);
  };

  new ResizeObserver(() => last && show(last)).observe(timeline);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => last && show(last));

  const show = (view) => {
    last = view;
    const names = view.clients.map((each) => each.name).filter((name) => view.lately.some((each) => Object.hasOwn(each.answers, name) || Object.hasOwn(each.rejected, name) || each.late.includes(name)));
    canvas.hidden = !view.lately.length;
    if (!view.lately.length || !timeline.clientWidth) return;
    draw(view.lately, names);
    const order = waits(view.lately);
    canvas.setAttribute("aria-label", `Rounds ${view.lately[0].round} to ${view.lately.at(-1).round} on a time line. ` + (order.length ? `Longest waited for: ${order[0][0]}, ${order[0][1].rounds} rounds.` : ""));
    fillIfNew(waited, [order.slice(0, 3), view.lately.length], () => !order.length ? [el("p", { class: "note" }, "Nobody was waited for noticeably.")] : order.slice(0, 3).map(([name, one]) =>
      el("p", { class: "note" }, el("b", {}, name), ` was waited for in ${one.rounds} of ${view.lately.length} rounds, ${dgan.duration(one.seconds)} in all.`)));
  };

  dgan.tabs.push({
    id: "federation", title: "Federation",
    build: (panel) => panel.append(el("div", { class: "grid" },
      card("Clients", { size: "wide" }, clients),
      card("Rounds on a time line", { size: "wide", note: "The last rounds. A bar is the time until a client's answer was there; red is one that the others waited for, a red frame one whose answer was not used." }, timeline, waited),
      card("Who came and went", { size: "wide" }, changes))),
    view: (view) => {
      fillIfNew(clients, [view.clients, view.status.state, view.stage, view.round], () => view.clients.length ? [dgan.table("Clients",
        ["client", "state", "why", ">last answer", ">images", ">busy", ">from", ">to", ">late", ">sent again", ">refused", ">peak memory"],
        view.clients.map((each) => [each.name, state(view, each), each.why ? el("span", { class: "why" }, each.why) : "", answered(each), dgan.count(each.images), dgan.duration(each.busy),
          dgan.bytes(each.sent), dgan.bytes(each.received), dgan.count(each.late), dgan.count(each.repeats), dgan.count(each.rejected),
          each.memory === null ? "–" : `${dgan.count(Math.round(each.memory))} MiB`]), { stacked: view.clients.length <= 8 })] : [dgan.empty("Nobody has joined yet.")]);
      fillIfNew(changes, view.membership, () => view.membership.length ? [dgan.table("Changes of membership", ["who", "what", ">after round"],
        view.membership.slice().reverse().map((each) => [each.who, each.what, dgan.count(each.round)]))] : [dgan.empty("Nobody came or went since the training began.")]);
      show(view);
    },
  });
})();
