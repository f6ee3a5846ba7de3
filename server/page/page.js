// Lists the jobs and draws the one that is selected, live.

import { offer } from "./try.js";

const $ = (id) => document.getElementById(id);
const COLOURS = ["#1f6feb", "#e3742f", "#2da44e", "#a371f7", "#d4459c", "#0aa5b8", "#b08800", "#8b949e"];

let jobs = [];
let older = [];
let selected = null; // id
let stream = null; // EventSource
let curves = new Map(); // label -> {x, y, split}
let latest = new Map(); // label -> values
let plot = null;
let dirty = false;

const ask = async (path, options) => {
  const answer = await fetch(path, options);
  if (answer.status === 401) showSignIn();
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer.status === 204 ? null : answer.json();
};

// -- who is there

function showSignIn() {
  stream?.close();
  document.querySelector("main").hidden = true;
  $("sign-out").hidden = true;
  $("sign-in").hidden = false;
  $("key").focus();
}

$("sign-in").onsubmit = async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ key: $("key").value });
  const answer = await fetch("/v1/session", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  $("sign-in-error").textContent = answer.ok ? "" : (await answer.json()).detail;
  if (answer.ok) {
    $("key").value = "";
    start();
  }
};

$("sign-out").onclick = async () => {
  await ask("/v1/session", { method: "DELETE" });
  location.reload();
};

async function start() {
  const who = await ask("/v1/session").catch(() => null);
  if (!who) return;
  $("sign-in").hidden = true;
  $("sign-out").hidden = !who.keys;
  $("sign-out").title = who.owner ? `signed in as ${who.owner}` : "";
  document.querySelector("main").hidden = false;
  refresh();
}

const ago = (seconds) => {
  const s = Math.max(0, Date.now() / 1000 - seconds);
  return s < 60 ? "just now" : s < 3600 ? `${Math.floor(s / 60)} min ago` : s < 86400 ? `${Math.floor(s / 3600)} h ago` : new Date(seconds * 1000).toLocaleDateString();
};

const element = (tag, text, className) => Object.assign(document.createElement(tag), { textContent: text, className: className ?? "" });

// -- the list

async function refresh() {
  try {
    const page = await ask("/v1/jobs?limit=30");
    jobs = page.data;
    $("more").hidden = !(older.length ? older.at(-1).more : page.has_more);
    const workers = (await ask("/v1/workers")).data.filter((w) => w.queue !== "data");
    const busy = workers.filter((w) => w.state === "busy").length;
    $("workers").textContent = workers.length ? `${workers.length} worker${workers.length > 1 ? "s" : ""}, ${busy} busy` : "no worker is connected";
    drawList();
    if (selected) await showJob();
  } catch (error) {
    $("workers").textContent = `the server cannot be asked: ${error.message}`;
  }
}

function drawList() {
  const all = [...jobs, ...older.flatMap((p) => p.data).filter((j) => !jobs.some((k) => k.id === j.id))];
  $("empty").hidden = all.length > 0;
  $("jobs").replaceChildren(...all.map((job) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.id = job.id;
    button.setAttribute("aria-current", job.id === selected);
    button.append(
      element("span", job.name || job.id, "name"), element("span", job.state, `state ${job.state}`),
      element("span", ago(job.created), "when"), element("span", job.progress ? `${Math.round(job.progress.fraction * 100)}%` : "", "share"),
    );
    button.onclick = () => select(job.id);
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  if (!selected && all.length) select(location.hash.slice(1) || all[0].id);
}

$("more").onclick = async () => {
  const last = older.length ? older.at(-1).data.at(-1) : jobs.at(-1);
  const page = await ask(`/v1/jobs?limit=30&after=${last.id}`);
  older.push({ data: page.data, more: page.has_more });
  refresh();
};

// -- one job

async function showJob() {
  const id = selected;
  const job = await ask(`/v1/jobs/${id}`);
  if (id !== selected) return;
  $("detail").hidden = false;
  $("name").textContent = job.name || job.id;
  $("state").textContent = job.state;
  $("state").className = `state ${job.state}`;
  $("progress").value = job.progress?.fraction ?? 0;
  const facts = [job.id];
  if (job.progress) facts.push(`epoch ${job.progress.epoch} of ${job.progress.epochs}`, `step ${job.progress.step} of ${job.progress.total_steps}`);
  if (job.queue_position) facts.push(`position ${job.queue_position} in the queue`);
  if (job.eta_s !== null) facts.push(`about ${job.eta_s < 60 ? `${Math.ceil(job.eta_s)} s` : `${Math.ceil(job.eta_s / 60)} min`} left`);
  if (job.attempt > 1) facts.push(`attempt ${job.attempt}`);
  if (job.started && job.finished) facts.push(`took ${(job.finished - job.started).toFixed(1)} s`);
  $("facts").textContent = facts.join("  ·  ");
  $("error").hidden = !job.error;
  $("error").textContent = job.error ? `${job.error.message}${job.error.pointer ? `\nat ${job.error.pointer}` : ""}` : "";
  $("spec").textContent = JSON.stringify(job.spec, null, 2);
  for (const button of document.querySelectorAll("[data-action]")) {
    const action = button.dataset.action;
    button.hidden = !job.actions.includes(action);
  }
  const saved = (await ask(`/v1/jobs/${id}/checkpoints`)).data;
  if (id !== selected) return;
  offer(job, saved);
  $("checkpoints").replaceChildren(...saved.map((c) => {
    const item = document.createElement("li");
    const link = element("a", `step ${c.step}`);
    link.href = `/v1/jobs/${id}/checkpoints/${c.step}`;
    const values = Object.entries(c.values).map(([n, v]) => `${n} ${v.toFixed(4)}`).join(", ");
    item.append(link, ` (epoch ${c.epoch}${c.variant ? `, ${c.variant}` : ""}${values ? `; ${values}` : ""}${c.step === saved.at(-1).best ? "; best" : ""})`);
    return item;
  }));
  if (!saved.length) $("checkpoints").replaceChildren(element("li", "none yet", "when"));
}

for (const button of document.querySelectorAll("[data-action]")) {
  button.onclick = async () => {
    await ask(`/v1/jobs/${selected}/${button.dataset.action}`, { method: "POST" });
    refresh();
  };
}

async function select(id) {
  selected = id;
  history.replaceState(null, "", `#${id}`);
  stream?.close();
  curves = new Map();
  latest = new Map();
  plot?.destroy();
  plot = null;
  drawList();
  await showJob().catch((error) => { $("workers").textContent = error.message; });
  const past = await ask(`/v1/jobs/${id}/metrics?max_points=2000`);
  if (id !== selected) return;
  past.data.forEach(take);
  const seen = past.data.reduce((seq, p) => Math.max(seq, p.seq), 0);
  if (past.complete) return;
  stream = new EventSource(`/v1/jobs/${id}/events?after=${seen}`);
  stream.addEventListener("metrics", (event) => take(JSON.parse(event.data)));
  for (const type of ["state", "done"]) stream.addEventListener(type, () => setTimeout(refresh, 50));
  stream.addEventListener("done", () => stream.close());
}

function take(point) {
  const label = point.variant ? (point.split === "train" ? point.variant : `${point.variant} ${point.split}`) : point.split;
  latest.set(label, Object.fromEntries(Object.entries(point.values).filter(([, v]) => typeof v === "number")));
  if (point.values.loss !== undefined) {
    if (!curves.has(label)) curves.set(label, { x: [], y: [], split: point.split });
    curves.get(label).x.push(point.step);
    curves.get(label).y.push(point.values.loss);
  }
  if (!dirty) {
    dirty = true;
    requestAnimationFrame(draw);
  }
}

// -- the chart

function smoothed(values) {
  let total = 0, norm = 0;
  return values.map((v) => {
    total = 0.9 * total + 0.1 * v;
    norm = 0.9 * norm + 0.1;
    return total / norm;
  });
}

function draw() {
  dirty = false;
  drawValues();
  if (!curves.size) return;
  const labels = [...curves.keys()];
  const rows = labels.map((l) => {
    const { x, y, split } = curves.get(l);
    return [x, $("smooth").checked && split === "train" ? smoothed(y) : y];
  });
  const data = uPlot.join(rows);
  if (plot && plot.series.length === labels.length + 1) {
    plot.setData(data);
    return;
  }
  plot?.destroy();
  const ink = getComputedStyle(document.body).getPropertyValue("color");
  const grid = { stroke: "#8884", width: 1 };
  const axis = { stroke: ink, grid, ticks: grid };
  plot = new uPlot({
    width: $("chart").clientWidth, height: 340, scales: { x: { time: false }, y: { distr: $("log").checked ? 3 : 1 } },
    axes: [{ ...axis, label: "step" }, { ...axis, label: "loss", size: 60 }],
    series: [{ label: "step" }, ...labels.map((label, i) => ({
      label, stroke: COLOURS[i % COLOURS.length], width: 1.5, spanGaps: true, points: { show: curves.get(label).split !== "train" },
      value: (_, v) => (v === null ? "" : v.toPrecision(4)),
    }))],
  }, data, $("chart"));
}

function drawValues() {
  const names = [...new Set([...latest.values()].flatMap((v) => Object.keys(v)))];
  const head = document.createElement("tr");
  head.append(element("th", ""), ...names.map((n) => element("th", n)));
  $("values").replaceChildren(head, ...[...latest].map(([label, values]) => {
    const row = document.createElement("tr");
    row.append(element("th", label), ...names.map((n) => element("td", values[n] === undefined ? "" : String(+values[n].toPrecision(4)))));
    return row;
  }));
}

const redraw = () => { plot?.destroy(); plot = null; draw(); };
$("log").onchange = redraw;
$("smooth").onchange = redraw;
addEventListener("resize", () => plot?.setSize({ width: $("chart").clientWidth, height: 340 }));

document.addEventListener("visibilitychange", () => { // a browser has few connections to a server: a hidden tab holds none
  if (document.hidden) stream?.close();
  else if (selected) select(selected);
});

start();
setInterval(() => { if (!document.hidden && !document.querySelector("main").hidden) refresh(); }, 2000);
