// While data flows the page follows it: a small answer of the API tells that something changed, then the page is read again
// and the parts that differ are exchanged. Hidden tabs ask nothing, and a slow answer slows the asking.
"use strict";
(() => {
  for (const form of document.querySelectorAll("form[data-submit]")) {
    form.addEventListener("change", (e) => {
      if (e.target.tagName !== "SELECT") return;
      // Another version or size has other windows and other statistics: only what still means something is kept.
      if (["version", "segment", "size"].includes(e.target.name)) for (const name of ["window", "to"]) form.elements[name]?.remove();
      form.requestSubmit();
    });
    form.addEventListener("submit", () => { // an address without what is the default anyway
      for (const field of form.elements) if (field.name && (field.value === "" || (field.name !== "window" && field.value === "*"))) field.disabled = true;
    });
  }
  addEventListener("pageshow", () => { for (const field of document.querySelectorAll("form[data-submit] :disabled")) field.disabled = false; });

  const poll = document.body.dataset.poll, state = document.getElementById("live-state"), toggle = document.getElementById("live-toggle");
  if (!poll) return;
  const every = 3000;
  let last = null, unsure = false, paused = false, timer = 0, running = false;

  const parse = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

  function exchange(next) {
    for (const part of document.querySelectorAll("[data-late]")) { // what a page had nothing of when it was opened
      if (part.childElementCount === 0) part.replaceChildren(...next.querySelector(`[data-late="${part.dataset.late}"]`)?.childNodes ?? []);
    }
    for (const part of document.querySelectorAll("[data-live]")) {
      const now = next.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!now || now.innerHTML === part.innerHTML) continue;
      if (part.querySelector("select:focus, input:focus")) continue; // somebody is choosing; the next round has it
      const focused = part.contains(document.activeElement) && document.activeElement !== part ? document.activeElement.getAttribute("href") : null;
      part.replaceChildren(...now.childNodes);
      if (focused) [...part.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus({ preventScroll: true });
    }
  }

  async function refresh() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
    exchange(await parse(answer));
    const waits = [];
    document.dispatchEvent(new CustomEvent("driftd:refresh", { detail: { wait: (p) => waits.push(p) } }));
    await Promise.all(waits);
  }

  async function round() {
    if (paused || document.hidden || running) return;
    running = true;
    const began = performance.now();
    try {
      const ask = (path) => fetch(path, { headers: { Accept: "application/json" } });
      const [answer, self] = await Promise.all([ask(poll), ask("/api/v1/self")]);
      if (!answer.ok || !self.ok) throw new Error(answer.status);
      const text = await answer.text() + await self.text();
      const changed = last !== null && text !== last;
      if (changed || unsure) await refresh(); // once more after a change: an alert is stored just after its window
      unsure = changed || last === null; // what came between the page and the first question
      last = text;
      state.textContent = "live";
      state.title = "checked " + new Date().toISOString();
    } catch {
      state.textContent = "not reachable, trying again";
    }
    running = false;
    clearTimeout(timer);
    timer = setTimeout(round, Math.max(every, 10 * (performance.now() - began)));
  }

  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    paused = !paused;
    toggle.textContent = paused ? "Resume" : "Pause";
    state.textContent = paused ? "paused" : "live";
    clearTimeout(timer);
    if (!paused) round();
  });
  document.addEventListener("visibilitychange", () => { clearTimeout(timer); if (!document.hidden) round(); });
  round();
})();
