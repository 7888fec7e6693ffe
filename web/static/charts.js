// Charts of the page, drawn by uPlot from the data block that the server wrote. The tables beside them hold the same numbers.
"use strict";
(() => {
  const charts = new Map(); // element -> uPlot
  const read = () => {
    const block = document.getElementById("data");
    return block ? JSON.parse(block.textContent) : null;
  };
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const iso = (ms) => new Date(ms).toISOString().replace(/(:00)?\.000Z$/, "Z");
  const digits = (v) => (v === null || v === undefined ? "–" : Number(v.toPrecision(4)).toString());
  const utc = (s) => uPlot.tzDate(new Date(s * 1e3), "Etc/UTC");

  // bands shades the annotations and marks the chosen window, behind the lines.
  const bands = (data) => ({
    hooks: {
      drawClear: [(u) => {
        const { ctx, bbox } = u;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
        ctx.clip();
        for (const a of data.annotations) {
          const x0 = u.valToPos(a.start_ms / 1e3, "x", true), x1 = u.valToPos(a.end_ms / 1e3, "x", true);
          ctx.fillStyle = color("band");
          ctx.fillRect(x0, bbox.top, Math.max(1, x1 - x0), bbox.height);
          ctx.fillStyle = color("band-line");
          ctx.fillRect(x0, bbox.top, 2, bbox.height);
        }
        if (data.chosen_ms) {
          ctx.fillStyle = color("text");
          ctx.fillRect(u.valToPos((data.chosen_ms + data.size_ms / 2) / 1e3, "x", true) - 1, bbox.top, 2, bbox.height);
        }
        ctx.restore();
      }],
    },
  });

  // Each chart names its lines; a reference or a threshold is a line of equal values, dashed.
  const flat = (n, v) => new Array(n).fill(v);
  const both = (d, key) => d.sides.map((s, i) => ({ label: d.names[i], values: s[key], color: i === 0 ? "current" : "second" }));
  const edges = (lower, upper, color) => [{ label: "to", values: upper, color, edge: "upper" }, { label: "from", values: lower, color, edge: "lower" }];
  const kinds = {
    volume: (d) => ({ unit: "", lines: [{ label: "events", values: d.events, color: "current", bars: true }, { label: "errors", values: d.errors, color: "drift-fill", bars: true }], zero: true }),
    latency: (d) => {
      const lines = [];
      for (const [key, values, q, c] of [["p50", d.p50, "0.5", "current"], ["p95", d.p95, "0.95", "second"], ["p99", d.p99, "0.99", "third"]]) {
        lines.push({ label: key, values, color: c });
        if (d.reference_ms[q]) lines.push({ label: key + " reference", values: flat(values.length, d.reference_ms[q]), color: c, dash: true });
      }
      return { unit: " ms", lines, zero: true };
    },
    // The interval of what labels say is a band, and so is that of the estimate while labels may come.
    quality: (d) => {
      const q = d.quality, some = (values) => values.some((v) => v !== null);
      const lines = [{ label: q.metric, values: q.value, color: "current" }, ...edges(q.lower, q.upper, "current")];
      if (some(q.estimate)) lines.push({ label: "estimate", values: q.estimate, color: "second", dash: true });
      if (some(q.estimate_lower)) lines.push(...edges(q.estimate_lower, q.estimate_upper, "second"));
      if (some(q.baseline)) lines.push({ label: "reference", values: q.baseline, color: "reference", dash: true });
      return { unit: "", lines, zero: false };
    },
    coverage: (d) => ({ unit: " %", lines: [{ label: "labels", values: d.quality.coverage.map((v) => (v === null ? null : v * 100)), color: "current" }], zero: true }),
    delay: (d) => ({ unit: " h", lines: [{ label: "p50", values: d.quality.delay_p50_h, color: "current" }, { label: "p95", values: d.quality.delay_p95_h, color: "second" }], zero: true }),
    compare_events: (d) => ({ unit: "", lines: both(d, "events"), zero: true }),
    compare_p95: (d) => ({ unit: " ms", lines: both(d, "p95"), zero: true }),
    compare_errors: (d) => ({ unit: " %", lines: both(d, "errors"), zero: true }),
    compare_value: (d) => ({ unit: "", zero: false, lines: both(d, "value").flatMap((l, i) => [l, ...edges(d.sides[i].lower, d.sides[i].upper, l.color)]) }),
    stat: (d) => {
      const share = d.stat.endsWith("_rate");
      const scale = (v) => (v === null ? null : share ? v * 100 : v);
      const lines = [{ label: d.stat, values: d.values.map(scale), color: "current" }];
      for (const l of d.lines) {
        const c = l.label === "drift" ? "drift-fill" : l.label === "warning" ? "warning-fill" : "reference";
        lines.push({ label: l.label, values: flat(d.values.length, scale(l.value)), color: c, dash: true });
      }
      return { unit: share ? " %" : "", lines, zero: true };
    },
    rates: (d) => {
      const colors = ["current", "second", "third", "fourth", "drift-fill"];
      const lines = Object.keys(d.rates).sort().map((name, i) => ({
        label: name.replace(/_rate$/, "").replaceAll("_", " "), values: d.rates[name].map((v) => (v === null ? null : v * 100)), color: colors[i % colors.length],
      }));
      return { unit: " %", lines, zero: true };
    },
    level: (d) => {
      const lines = [{ label: "mean", values: d.mean, color: "current" }, { label: "median", values: d.median, color: "second" }];
      if (d.reference_mean !== null) lines.push({ label: "reference mean", values: flat(d.mean.length, d.reference_mean), color: "current", dash: true });
      if (d.reference_median !== null) lines.push({ label: "reference median", values: flat(d.mean.length, d.reference_median), color: "second", dash: true });
      return { unit: "", lines, zero: false };
    },
  };

  function options(element, data, spec, width) {
    const axis = { stroke: color("dim"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 }, font: "11px system-ui, sans-serif" };
    return {
      width, height: 190, tzDate: utc,
      fmtDate: (tpl) => uPlot.fmtDate(tpl.replaceAll("{M}/{D}/{YY}", "{YYYY}-{MM}-{DD}").replaceAll("{M}/{D}", "{MM}-{DD}").replaceAll("{h}:{mm}{aa}", "{HH}:{mm}").replaceAll("{h}{aa}", "{HH}:00")),
      plugins: [bands(data)],
      legend: { live: true },
      cursor: { y: false, drag: { x: true, y: false } },
      scales: {
        x: { time: true },
        y: { range: (u, min, max) => {
          if (min === null) return [0, 1];
          if (spec.zero) min = Math.min(0, min);
          if (min === max) max = min + (min === 0 ? 1 : Math.abs(min) * 0.1);
          const pad = (max - min) * 0.06;
          return [spec.zero && min === 0 ? 0 : min - pad, max + pad];
        } },
      },
      series: [{ label: "window", value: (u, v) => (v === null ? "–" : iso(v * 1e3)) }].concat(spec.lines.map((l) => ({
        label: l.label, stroke: color(l.color), width: l.bars || l.edge ? 0 : l.dash ? 1 : 1.5, dash: l.dash ? [5, 4] : undefined, spanGaps: false,
        points: { show: !l.dash && !l.bars && !l.edge && l.values.length < 90, size: 4 },
        fill: l.bars ? color(l.color) + "99" : undefined, paths: l.bars ? uPlot.paths.bars({ size: [0.8, 40] }) : undefined,
        value: (u, v) => (v === null ? "–" : digits(v) + spec.unit),
      }))),
      bands: spec.lines.flatMap((l, i) => (l.edge === "upper" ? [{ series: [i + 1, i + 2], fill: color(l.color) + "33" }] : [])),
      axes: [{ ...axis, space: 76, values: utcTicks }, { ...axis, size: 58, values: (u, ticks) => ticks.map((v) => digits(v) + spec.unit) }],
      hooks: data.kind === "feature" ? { ready: [(u) => u.over.addEventListener("click", (e) => open(data, u.posToIdx(e.offsetX)))] } : {},
    };
  }

  // utcTicks writes dates as ISO does: months and days first, the time of day where ticks are closer.
  function utcTicks(u, splits) {
    let before = "";
    return splits.map((s) => {
      const text = new Date(s * 1e3).toISOString();
      const day = text.slice(0, 10), time = text.slice(11, 16);
      const out = time === "00:00" ? (day.slice(0, 4) === before.slice(0, 4) ? day.slice(5) : day) : (before === day ? time : day.slice(5) + "\n" + time);
      before = day;
      return out;
    });
  }

  function open(data, index) {
    if (index === null || index === undefined || !data.start_ms[index]) return;
    const query = new URLSearchParams(data.query);
    query.set("window", iso(data.start_ms[index]));
    location.assign(data.path + "?" + query);
  }

  function draw() {
    const data = read();
    if (!data || typeof uPlot === "undefined") return;
    for (const element of document.querySelectorAll("[data-chart]")) {
      const spec = kinds[element.dataset.chart](data);
      const values = [data.start_ms.map((ms) => ms / 1e3), ...spec.lines.map((l) => l.values)];
      const shape = spec.lines.map((l) => l.label).join("|") + "|" + data.chosen_ms + JSON.stringify(data.annotations) + (values[0].length < 90);
      const old = charts.get(element);
      if (old && old.shape === shape) { // the same lines with newer values: no flicker
        old.chart.setData(values);
        continue;
      }
      if (old) old.chart.destroy();
      element.replaceChildren();
      const chart = new uPlot(options(element, data, spec, element.clientWidth), values, element);
      charts.set(element, { chart, shape });
    }
  }

  function redraw() {
    for (const { chart } of charts.values()) chart.destroy();
    charts.clear();
    draw();
  }
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    for (const [element, { chart }] of charts) chart.setSize({ width: element.clientWidth, height: 190 });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("driftd:refresh", draw);
  draw();
})();
