// The heat map of features over windows: a canvas as large as what can be seen, and one link that lies over the cell that
// the pointer or the keyboard is at. The table below the map holds the newest windows for who cannot see it.
"use strict";
(() => {
  const box = document.querySelector("[data-heat]");
  if (!box) return;
  const rowHeight = 20, head = 24;
  const names = { d: "drift", w: "warning", s: "stable", i: "insufficient", "-": "no such feature" };
  const heights = { d: 1, w: 0.62, s: 0.3, i: 0.12 };
  const iso = (ms) => new Date(ms).toISOString().replace(/(:00)?\.000Z$/, "Z");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  const labels = Object.assign(document.createElement("div"), { className: "heat-labels" });
  const plane = Object.assign(document.createElement("div"), { className: "heat-plane" });
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  const cursor = Object.assign(document.createElement("a"), { className: "heat-cursor" });
  const readout = Object.assign(document.createElement("p"), { className: "heat-readout" });
  readout.setAttribute("aria-live", "polite");
  plane.append(canvas, cursor);
  box.append(labels, plane);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Heat map of features over windows; arrow keys move from cell to cell");
  box.after(readout);

  let page = null, heat = null, cell = 10, row = 0, column = 0, palette = null, asked = 0;

  const colors = () => {
    palette = { line: color("line"), dim: color("dim"), bg: color("bg"), band: color("band"), bandLine: color("band-line") };
    for (const letter of "dwsi") palette[letter] = color(names[letter] + "-fill");
  };

  const link = (feature, start) => {
    const query = new URLSearchParams(page.feature_query);
    if (feature.role === "prediction") query.set("role", "prediction");
    if (start !== null) query.set("window", iso(start));
    const text = query.toString();
    return page.feature_path + encodeURIComponent(feature.feature) + (text ? "?" + text : "");
  };

  function layout() {
    const labelWidth = labels.offsetWidth;
    const space = Math.max(60, box.clientWidth - labelWidth);
    cell = Math.max(4, Math.min(18, Math.floor(space / Math.max(1, heat.windows.length))));
    plane.style.width = heat.windows.length * cell + "px";
    plane.style.height = head + heat.features.length * rowHeight + "px";
    canvas.style.left = labelWidth + "px";
    const width = Math.min(space, heat.windows.length * cell), height = Math.min(box.clientHeight, head + heat.features.length * rowHeight);
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
  }

  // paint draws the cells in sight; the canvas itself stays where it is while the box scrolls.
  function paint() {
    const ratio = devicePixelRatio || 1, g = canvas.getContext("2d");
    const width = canvas.width / ratio, height = canvas.height / ratio, left = box.scrollLeft, top = box.scrollTop;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.fillStyle = palette.bg;
    g.fillRect(0, 0, width, height);
    const first = Math.max(0, Math.floor(left / cell)), last = Math.min(heat.windows.length, Math.ceil((left + width) / cell));
    const from = Math.max(0, Math.floor(top / rowHeight)), to = Math.min(heat.features.length, Math.ceil((top + height) / rowHeight));
    for (const a of page.annotations) {
      const at = heat.windows.map((w, i) => (w.window.end_ms > a.start_ms && w.window.start_ms < a.end_ms ? i : -1)).filter((i) => i >= 0);
      if (!at.length) continue;
      g.fillStyle = palette.band;
      g.fillRect(at[0] * cell - left, 0, at.length * cell, height);
      g.fillStyle = palette.bandLine;
      g.fillRect(at[0] * cell - left, 0, 2, height);
    }
    const gap = cell > 5 ? 1 : 0;
    for (const letter of "sidw") { // by colour: one fillStyle each
      g.fillStyle = palette[letter];
      const full = rowHeight - 4, h = Math.max(2, Math.round(full * heights[letter]));
      for (let r = from; r < to; r++) {
        const verdicts = heat.features[r].verdicts, y = head + r * rowHeight - top + 2 + full - h;
        for (let c = first; c < last; c++) if (verdicts[c] === letter) g.fillRect(c * cell - left, y, cell - gap, h);
      }
    }
    g.fillStyle = palette.bg;
    g.fillRect(0, 0, width, head - 1);
    g.fillStyle = palette.line;
    g.fillRect(0, head - 1, width, 1);
    g.font = "11px system-ui, sans-serif";
    g.textBaseline = "middle";
    const every = Math.max(1, Math.ceil(96 / cell));
    for (let c = Math.ceil(first / every) * every; c < last; c += every) {
      const text = iso(heat.windows[c].window.start_ms), day = text.slice(0, 10), time = text.slice(11);
      g.fillStyle = palette.line;
      g.fillRect(c * cell - left, head - 6, 1, 5);
      g.fillStyle = palette.dim;
      g.fillText(time === "00:00Z" ? day : text.slice(5), c * cell - left + 2, head / 2 - 1);
    }
  }

  function words() {
    const f = heat.features[row], w = heat.windows[column], psi = f.psi_debiased[column];
    return `${f.feature}, window ${iso(w.window.start_ms)} to ${iso(w.window.end_ms)}: ${names[f.verdicts[column]]}` +
      (psi === null || psi === undefined ? "" : `, psi_debiased ${Number(psi.toPrecision(4))}`) + `, ${w.events} events`;
  }

  function place(announce) {
    if (!heat.features.length || !heat.windows.length) return;
    row = Math.max(0, Math.min(heat.features.length - 1, row));
    column = Math.max(0, Math.min(heat.windows.length - 1, column));
    cursor.style.left = column * cell + "px";
    cursor.style.top = head + row * rowHeight + "px";
    cursor.style.width = cell + "px";
    cursor.style.height = rowHeight + "px";
    cursor.href = link(heat.features[row], heat.windows[column].window.start_ms);
    const text = words();
    cursor.setAttribute("aria-label", text);
    cursor.title = text;
    if (announce) readout.textContent = text;
  }

  function show() { // scrolls the cell of the keyboard into sight
    const labelWidth = labels.offsetWidth, x = column * cell, y = row * rowHeight;
    if (x < box.scrollLeft) box.scrollLeft = x;
    if (x + cell > box.scrollLeft + box.clientWidth - labelWidth) box.scrollLeft = x + cell - box.clientWidth + labelWidth;
    if (y < box.scrollTop) box.scrollTop = y;
    if (y + rowHeight + head > box.scrollTop + box.clientHeight) box.scrollTop = y + rowHeight + head - box.clientHeight;
  }

  cursor.addEventListener("keydown", (e) => {
    const page = 10, keys = {
      ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], PageUp: [-page, 0], PageDown: [page, 0], Home: [0, -1e9], End: [0, 1e9],
    };
    const move = keys[e.key];
    if (!move || e.altKey || e.metaKey) return;
    e.preventDefault();
    row += move[0];
    column += move[1];
    if (e.ctrlKey && e.key === "Home") row = 0;
    if (e.ctrlKey && e.key === "End") row = 1e9;
    place(true);
    show();
  });
  cursor.addEventListener("focus", () => place(true));
  plane.addEventListener("pointermove", (e) => {
    if (!heat) return;
    const at = plane.getBoundingClientRect();
    const c = Math.floor((e.clientX - at.left) / cell), r = Math.floor((e.clientY - at.top - head) / rowHeight);
    if (r < 0 || r >= heat.features.length || c < 0 || c >= heat.windows.length || (r === row && c === column)) return;
    row = r;
    column = c;
    place(true);
  });
  let waiting = false;
  box.addEventListener("scroll", () => {
    if (waiting || !heat) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  });

  function render(next) {
    const newest = !heat || column === heat.windows.length - 1; // whoever looks at the newest window stays there
    const atEnd = !heat || box.scrollLeft + box.clientWidth >= box.scrollWidth - 2;
    const known = heat && heat.features.map((f) => f.role + " " + f.feature).join("\n");
    heat = next;
    box.hidden = !heat.features.length || !heat.windows.length;
    if (box.hidden) return;
    if (known !== heat.features.map((f) => f.role + " " + f.feature).join("\n")) {
      labels.replaceChildren(...heat.features.map((f) => {
        const a = document.createElement("a");
        a.href = link(f, null);
        a.textContent = a.title = f.feature;
        return a;
      }));
    }
    layout();
    if (newest) column = heat.windows.length - 1;
    if (atEnd) box.scrollLeft = box.scrollWidth;
    place(false);
    paint();
    if (!box.dataset.drawn) performance.mark("driftd:heat");
    box.dataset.drawn = heat.windows.length + "x" + heat.features.length;
  }

  async function load() {
    const block = document.getElementById("data");
    if (!block) return;
    const turn = ++asked;
    const data = JSON.parse(block.textContent);
    const answer = await fetch(data.heat, { headers: { Accept: "application/json" } });
    if (!answer.ok || turn !== asked) return;
    const body = await answer.json();
    page = data;
    render(body.data);
  }

  const again = () => { if (heat && !box.hidden) { colors(); layout(); place(false); paint(); } };
  colors();
  addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  document.addEventListener("driftd:refresh", (e) => e.detail.wait(load()));
  load().catch(() => { readout.textContent = "The heat map could not be loaded; the table below holds the newest windows."; });
})();
