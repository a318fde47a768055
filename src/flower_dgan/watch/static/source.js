"use strict";
/* Where the page's data come from: its server, or, in an exported page, what stands in the page itself. */
(() => {
  const dgan = window.dgan;
  const frozen = document.getElementById("data");

  const SHORTEST = 24; // letters of a token, as the server has it

  class SourceError extends Error {}

  /** Take the token out of the address, so that it is in no history and on no shared screen. */
  const takeToken = () => {
    const given = location.hash.slice(1);
    if (given.length >= SHORTEST) { // a shorter one is a place in the page
      sessionStorage.setItem("dgan-token", given);
      history.replaceState(null, "", location.pathname);
    }
    return sessionStorage.getItem("dgan-token") || "";
  };

  const live = () => {
    const token = takeToken();
    const ask = async (path, options = {}) => {
      const headers = { Authorization: `Bearer ${token}`, ...(options.headers || {}) };
      const answer = await fetch(`api/${path}`, { ...options, headers, cache: "no-store" });
      if (!answer.ok) {
        const text = await answer.text();
        let said = text;
        try { said = JSON.parse(text).detail || text; } catch { /* plain text */ }
        throw Object.assign(new SourceError(typeof said === "string" ? said.trim() : "refused"), { status: answer.status });
      }
      return answer;
    };

    /** Read server-sent events by hand: a browser's EventSource sends no header with the token. */
    const read = async (answer, take) => {
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        rest += value;
        let end;
        while ((end = rest.indexOf("\n\n")) >= 0) {
          const event = { event: "message", data: "" };
          for (const line of rest.slice(0, end).split("\n")) {
            const colon = line.indexOf(": ");
            if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
          }
          rest = rest.slice(end + 2);
          if (event.data) take(event.event, JSON.parse(event.data));
        }
      }
    };

    return {
      live: true,
      get: async (path) => (await ask(path)).json(),
      post: async (path, body) =>
        (await ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } })).json(),
      open(key, take, tell) {
        const ending = new AbortController();
        (async () => {
          while (!ending.signal.aborted) {
            try {
              const answer = await ask(`runs/${key}/events`, { signal: ending.signal });
              tell("");
              await read(answer, take);
            } catch (error) {
              if (ending.signal.aborted) return;
              tell(error instanceof SourceError ? error.message
                : "The page's server does not answer: is `flower-dgan watch` still running? What is shown is the last it said.");
            }
            await new Promise((done) => setTimeout(done, 2000));
          }
        })();
        return () => ending.abort();
      },
    };
  };

  const exported = (data) => ({
    live: false,
    made: data.made,
    get: async (path) => {
      if (!Object.hasOwn(data.answers, path)) throw new SourceError("This is not in the exported page.");
      return data.answers[path];
    },
    open(key, take, tell) {
      const summary = data.answers[`runs/${key}/summary`];
      tell(`Exported ${data.made}`);
      take("curves", summary.curves);
      take("view", summary);
      return () => {};
    },
  });

  dgan.source = frozen ? exported(JSON.parse(frozen.textContent)) : live();
})();
