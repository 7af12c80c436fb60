// The console's own script: the live chart and its table twin, the live mark, and a few keys.
// Everything here is an addition: each page works without it.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);

  // Keys: g then n / i / r / l go to Now, Incidents, Runbooks, Ledger; / goes to the search field.
  const places = { n: "/console/now", i: "/console/incidents", r: "/console/runbooks", l: "/console/ledger" };
  let went = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === "g") { went = Date.now(); return; }
    if (Date.now() - went < 1200 && places[event.key]) { location.assign(places[event.key]); return; }
    if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (search) { event.preventDefault(); search.focus(); }
    }
  });

  const live = byId("live");
  if (!live) return;
  const status = byId("live-status");
  const mark = (on) => {
    document.body.classList.toggle("live", on);
    if (status) status.textContent = on ? "Live" : "Not live";
  };
  live.addEventListener("htmx:sse:after:connection", () => mark(true));
  live.addEventListener("htmx:sse:error", () => mark(false));
  live.addEventListener("htmx:sse:close", () => mark(false));

  // The chart: the last two minutes, a point a second.
  const chart = byId("rate-chart");
  const twin = byId("rate-rows");
  if (!chart || !window.uPlot) return;
  const series = [[], [], []];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const probe = document.createElement("span");
  const shown = (name) => {
    // Resolves light-dark() to the colour of the theme in force.
    probe.className = `probe-${name}`;
    chart.appendChild(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value || colour(`--${name}`);
  };
  let plot = null;
  const draw = () => {
    if (plot) plot.destroy();
    const text = shown("quiet");
    const grid = { stroke: shown("line"), width: 1 };
    plot = new uPlot({
      width: chart.clientWidth, height: 190,
      cursor: { show: false },
      scales: { y: { range: (_, __, max) => [0, Math.max(5, max * 1.1)] } },
      axes: [{ stroke: text, grid }, { stroke: text, grid, size: 56 }],
      series: [
        {},
        { label: "events per second", stroke: shown("accent"), width: 2 },
        { label: "findings per second", stroke: shown("high"), width: 2, dash: [6, 4] },
      ],
    }, series, chart);
  };
  draw();
  new ResizeObserver(() => plot && plot.setSize({ width: chart.clientWidth, height: 190 })).observe(chart);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  live.addEventListener("rates", (event) => {
    let rates;
    try { rates = JSON.parse(event.detail.data); } catch { return; }
    series[0].push(rates.time); series[1].push(rates.events); series[2].push(rates.findings);
    for (const line of series) if (line.length > 120) line.shift();
    plot.setData(series);
    if (twin) {
      const row = document.createElement("tr");
      for (const value of [new Date(rates.time * 1000).toISOString().slice(11, 19), rates.events, rates.findings]) {
        const cell = document.createElement("td");
        cell.textContent = value;
        row.appendChild(cell);
      }
      twin.prepend(row);
      while (twin.children.length > 20) twin.lastChild.remove();
    }
  });
})();
