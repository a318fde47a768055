"use strict";
/* Puts the tabs together and follows the chosen run. */
(() => {
  const dgan = window.dgan;
  const { el } = dgan;
  const list = document.getElementById("tabs");
  const main = document.getElementById("panels");
  const pick = document.getElementById("run");
  const state = document.getElementById("state");
  const link = document.getElementById("link");
  const curves = new dgan.Curves();
  let close = () => {};
  let view = null;
  let edition = null;
  let shownTab = null;

  let shown = [];
  const build = (ofNode) => {
    for (const tab of dgan.tabs) {
      if (tab.hidden) { if (!ofNode) tab.build(); continue; }
      if (ofNode !== Boolean(tab.own)) continue;
      tab.button = el("button", { role: "tab", id: `tab-${tab.id}`, "aria-controls": `panel-${tab.id}`, onclick: () => choose(tab) }, tab.title);
      tab.panel = el("div", { role: "tabpanel", id: `panel-${tab.id}`, "aria-labelledby": `tab-${tab.id}`, hidden: true });
      list.append(tab.button);
      main.append(tab.panel);
      tab.build(tab.panel);
      shown.push(tab);
    }
    let before = null;
    try { before = sessionStorage.getItem("dgan-tab"); } catch { /* a page of a file may have no storage */ }
    choose(shown.find((tab) => tab.id === before) || shown[0]);
  };

  const choose = (chosen) => {
    shownTab = chosen;
    for (const tab of shown) {
      const is = tab === chosen;
      tab.button.setAttribute("aria-selected", String(is));
      tab.button.tabIndex = is ? 0 : -1;
      tab.panel.hidden = !is;
    }
    try { sessionStorage.setItem("dgan-tab", chosen.id); } catch { /* as below */ }
    if (view) show();
    if (chosen.opened && view) attempt(() => chosen.opened(view));
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = shown[(shown.indexOf(shownTab) + step + shown.length) % shown.length];
    choose(next);
    next.button.focus();
  });

  /** Do a part of the page; one that fails is said, and the other parts are drawn. */
  const attempt = async (step) => {
    try { await step(); } catch (error) { dgan.fill(link, error.message); }
  };

  const show = () => {
    dgan.fill(state, dgan.stateWords(view));
    state.className = `pill ${view.status.state}`;
    document.title = `${dgan.stateWords(view)} · ${view.name} · flower-dgan`;
    for (const tab of dgan.tabs) {
      if (tab.hidden || tab === shownTab) { // what no one looks at is not drawn
        for (const step of [() => tab.view?.(view), () => tab.curves?.(curves)]) attempt(step);
      }
    }
  };

  const open = (key) => {
    close();
    curves.clear();
    view = edition = null;
    close = dgan.source.open(key, (kind, data) => {
      if (kind === "curves") { curves.take(data); return; }
      if (kind === "pulse" && view) { view.status.age = data.age; show(); return; }
      if (kind !== "view") return;
      if (edition !== null && data.edition !== edition) curves.stride = 0;
      edition = data.edition;
      const first = view === null;
      data.status.age ??= view?.status.age ?? null;
      view = data;
      show();
      if (first && shownTab.opened) attempt(() => shownTab.opened(view));
    }, (text) => dgan.fill(link, text));
  };

  const look = async () => {
    try {
      const { runs, latest, node } = await dgan.source.get("runs");
      dgan.runs = runs.filter((each) => Object.hasOwn(latest, each.key));
      dgan.marks = latest; // of each run another one once more was written
      if (!shown.length) build(Boolean(node));
      if (node) {
        state.hidden = true;
        shown[0].begin();
        return;
      }
      document.getElementById("pick-run").hidden = runs.length < 2;
      dgan.fillIfNew(pick, runs, () => runs.map((each) => el("option", { value: each.key }, each.name)));
      const wanted = runs.find((each) => view && each.key === view.key);
      if (wanted) pick.value = wanted.key;
      else if (runs.length && !view) { pick.value = Object.keys(latest)[0] || runs[0].key; open(pick.value); }
      if (!runs.length) { dgan.fill(state, "no run yet"); }
    } catch (error) {
      dgan.fill(state, "not connected");
      dgan.fill(link, error.message);
      if (error.status === 401) return;
    }
    if (dgan.source.live) setTimeout(look, 5000);
  };
  pick.addEventListener("change", () => open(pick.value));
  dgan.openRun = (key) => { pick.value = key; open(key); };

  look();
})();
