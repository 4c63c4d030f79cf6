// What agents said is text here and never markup: everything goes in by textContent.
const ROWS = 200;
const byId = (id) => document.getElementById(id);
const findings = new Map();
let state = { agents: [], runs: [] };
let chosen = null;

function cell(row, text, kind = "") {
  const made = row.insertCell();
  made.textContent = text ?? "-";
  if (kind) made.className = kind;
}

const count = (value) => (typeof value === "number" ? value.toLocaleString("en") : "-");
const wanted = (...texts) => texts.join(" ").toLowerCase().includes(byId("filter").value.trim().toLowerCase());

function fill(id, things, draw, empty) {
  const body = byId(id);
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  body.replaceChildren();
  for (const thing of things.slice(0, ROWS)) draw(body.insertRow(), thing);
  if (!things.length) {
    cell(body.insertRow(), empty, "quiet");
    body.rows[0].cells[0].colSpan = 9;
  }
  if (focused) [...body.rows].find((row) => row.dataset.id === focused)?.focus();
}

function opens(row, id, act) {
  row.tabIndex = 0;
  row.dataset.id = id;
  row.addEventListener("click", act);
  row.addEventListener("keydown", (event) => event.key === "Enter" && act());
}

function drawAgents() {
  const shown = state.agents.filter((agent) => wanted(agent.agent));
  fill("agents", shown, (row, agent) => {
    cell(row, agent.agent);
    cell(row, agent.outcome, agent.outcome === "ok" ? "ok" : "failed");
    for (const key of ["model_calls", "tool_calls", "tool_errors", "input_tokens", "output_tokens"]) cell(row, count(agent[key]), "n");
    cell(row, typeof agent.cost_usd === "number" ? agent.cost_usd.toFixed(4) : "-", "n");
    cell(row, (agent.red_flags ?? []).join(", "), "failed");
  }, "No agent has been seen yet.");
}

function drawFindings() {
  const notes = (finding) => finding.severity === "info"; // below what is wrong
  const shown = [...findings.values()].reverse().sort((a, b) => notes(a) - notes(b)).filter((f) => wanted(f.agent, f.code, f.trace_id, f.summary));
  fill("findings", shown, (row, finding) => {
    cell(row, finding.severity, `${finding.severity} word`);
    cell(row, finding.code, "word");
    cell(row, finding.agent);
    cell(row, finding.summary + (finding.primary ? " (root cause)" : ""));
    cell(row, finding.time.slice(11, 19), "word");
    opens(row, finding.finding_id, () => explain(finding));
  }, "Nothing has been found yet.");
}

function drawRuns() {
  const shown = state.runs.filter((run) => wanted(run.trace_id, ...run.agents));
  fill("runs", shown, (row, run) => {
    cell(row, run.trace_id.slice(0, 8), "word");
    const word = run.outcome ?? (run.ended ? "ended" : "running");
    cell(row, word, word === "passed" || word === "ok" ? "ok" : word === "failed" || word === "error" ? "failed" : "");
    cell(row, run.agents.join(", "));
    cell(row, count(run.number), "n");
    cell(row, run.duration_s.toFixed(1), "n");
    opens(row, run.trace_id, () => { chosen = run.trace_id; drawTimeline(); });
  }, "No run has been seen yet.");
}

function part(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawTimeline() {
  const run = state.runs.find((each) => each.trace_id === chosen) ?? (chosen ? null : state.runs[0]);
  if (!run) return;
  const height = 18, left = 210, width = 390;
  const whole = Math.max(1e-6, ...run.steps.map((step) => step.at_s + step.for_s));
  const svg = part("svg", { viewBox: `0 0 ${left + width + 6} ${run.steps.length * height + 6}`, role: "img" });
  run.steps.forEach((step, number) => {
    const y = number * height + 3, x = left + (step.at_s / whole) * width;
    const long = Math.max((step.for_s / whole) * width, 2);
    svg.append(part("text", { x: 6, y: y + 12 }, step.name.length > 32 ? `${step.name.slice(0, 31)}…` : step.name));
    const bar = part("rect", { x, y: y + 2, width: long, height: height - 6, rx: 2, class: step.failed ? "failed" : "" });
    bar.append(part("title", {}, `${step.name}\n${step.kind} ${step.agent}\n${step.for_s} s`));
    svg.append(bar);
  });
  byId("timeline").replaceChildren(svg);
}

function explain(finding) {
  chosen = finding.trace_id;
  drawTimeline();
  byId("evidence-title").textContent = `${finding.code} (${finding.agent ?? "unknown"})`;
  const list = byId("evidence-list");
  list.replaceChildren();
  const told = [["What happened", finding.summary], ["Why", finding.root_cause], ["What to do", finding.actionable], ["Trace", finding.trace_id],
    ["Span", finding.span_id], ...finding.evidence.map((each) => [each.name, each.excerpt ?? each.span_id])];
  for (const [name, text] of told) {
    if (!text || text === "none") continue;
    list.append(Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: text }));
  }
  byId("evidence").showModal();
}

function draw() { drawAgents(); drawFindings(); drawRuns(); drawTimeline(); }

function take(kind, text) {
  const told = JSON.parse(text);
  if (kind === "state") state = told;
  else {
    findings.delete(told.finding_id);
    if (!(told.severity === "info" && told.score === 0)) findings.set(told.finding_id, told);
    while (findings.size > 500) findings.delete(findings.keys().next().value);
  }
}

async function listen() {
  const key = sessionStorage.getItem("key");
  const answer = await fetch("/events", { headers: key ? { Authorization: `Bearer ${key}` } : {} });
  byId("entry").hidden = answer.status !== 401;
  if (!answer.ok) throw new Error(answer.status === 401 ? "a key is needed" : `status ${answer.status}`);
  byId("link").textContent = "live";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const events = (rest + piece.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const found = /^event: (\w+)\ndata: (.*)$/s.exec(event);
      if (found) take(found[1], found[2]);
    }
    draw();
  }
}

async function stay() {
  for (;;) {
    try { await listen(); byId("link").textContent = "the service has ended; waiting for it"; }
    catch (error) { byId("link").textContent = `not connected: ${error.message}`; }
    await new Promise((done) => setTimeout(done, 2000));
  }
}

byId("entry").addEventListener("submit", (event) => { event.preventDefault(); sessionStorage.setItem("key", byId("key").value); });
byId("filter").addEventListener("input", draw);
draw();
stay();
