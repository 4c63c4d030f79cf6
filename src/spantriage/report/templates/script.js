"use strict";
(function () {
  const root = document.documentElement, all = (what) => Array.from(document.querySelectorAll(what));
  const one = (id) => document.getElementById(id);
  const search = one("search"), agent = one("agent"), severity = one("severity"), shown = one("shown");
  const RANK = {info: 0, warning: 1, error: 2, critical: 3};
  const keep = (name, value) => { try { localStorage.setItem(name, value); } catch (e) { /* a file may have no storage */ } };
  const kept = (name) => { try { return localStorage.getItem(name); } catch (e) { return null; } };

  function theme(next) {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const chosen = next || (dark ? "light" : "dark");
    root.dataset.theme = chosen;
    keep("spantriage-theme", chosen);
  }
  if (kept("spantriage-theme")) theme(kept("spantriage-theme") === "dark" ? "dark" : "light");

  function filter() {
    const words = (search ? search.value : "").toLowerCase().split(/\s+/).filter(Boolean);
    const who = agent ? agent.value : "", least = severity ? RANK[severity.value] : 0;
    const holds = (element) => {
      const said = element.textContent.toLowerCase() + " " + (element.dataset.said || "");
      return words.every((word) => said.includes(word)) && (!who || element.dataset.agent === undefined || element.dataset.agent === who);
    };
    let count = 0;
    all(".finding").forEach((each) => {
      const on = holds(each) && RANK[each.dataset.severity] >= least;
      each.hidden = !on;
      if (on) count += 1;
    });
    all("tr[data-filter]").forEach((each) => { each.hidden = each.dataset.folded === "1" || !holds(each); });
    all("svg .bar").forEach((each) => each.classList.toggle("faint", !holds(each)));
    if (shown) shown.textContent = all(".finding").length ? count + " of " + all(".finding").length + " findings shown" : "";
  }
  ["input", "change"].forEach((name) => [search, agent, severity].forEach((each) => each && each.addEventListener(name, filter)));

  function fold(row, close) {
    const level = Number(row.getAttribute("aria-level"));
    row.setAttribute("aria-expanded", String(!close));
    let skip = Infinity;
    for (let next = row.nextElementSibling; next && Number(next.getAttribute("aria-level")) > level; next = next.nextElementSibling) {
      const own = Number(next.getAttribute("aria-level"));
      if (own <= skip) skip = Infinity;
      next.dataset.folded = close || own > skip ? "1" : "";
      if (next.getAttribute("aria-expanded") === "false" && own < skip) skip = own;
    }
    filter();
  }
  all(".twist").forEach((each) => each.addEventListener("click", () => {
    const row = each.closest("tr");
    fold(row, row.getAttribute("aria-expanded") !== "false");
  }));

  const rows = () => all("tr[aria-level]").filter((each) => !each.hidden);
  const tree = one("tree");
  if (tree) tree.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr[aria-level]");
    if (!row) return;
    const list = rows(), at = list.indexOf(row);
    const go = (next) => { if (next) { row.tabIndex = -1; next.tabIndex = 0; next.focus(); event.preventDefault(); } };
    if (event.key === "ArrowDown") go(list[at + 1]);
    else if (event.key === "ArrowUp") go(list[at - 1]);
    else if (event.key === "Home") go(list[0]);
    else if (event.key === "End") go(list[list.length - 1]);
    else if (event.key === "ArrowLeft" && row.getAttribute("aria-expanded") === "true") { fold(row, true); event.preventDefault(); }
    else if (event.key === "ArrowRight" && row.getAttribute("aria-expanded") === "false") { fold(row, false); event.preventDefault(); }
  });

  function reveal() {
    const id = decodeURIComponent(location.hash.slice(1)), target = id && document.getElementById(id);
    all(".here").forEach((each) => each.classList.remove("here"));
    if (!target) return;
    if (target.matches("tr")) {
      if (search) search.value = "";
      if (agent) agent.value = "";
      all("tr[aria-expanded=false]").forEach((each) => fold(each, false));
      all("tr[aria-level]").forEach((each) => { each.tabIndex = -1; });
      target.tabIndex = 0;
      filter();
    }
    target.classList.add("here");
    target.scrollIntoView({block: "center"});
    target.focus({preventScroll: true});
  }
  addEventListener("hashchange", reveal);

  function step(by) {
    const list = all(".finding").filter((each) => !each.hidden), at = list.findIndex((each) => each.classList.contains("here"));
    const next = list[Math.max(0, Math.min(list.length - 1, at + by))];
    if (!next) return;
    all(".here").forEach((each) => each.classList.remove("here"));
    next.classList.add("here");
    next.scrollIntoView({block: "center"});
    next.focus({preventScroll: true});
  }
  const help = one("help");
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      if (event.key === "Escape") { event.target.value = ""; event.target.blur(); filter(); }
      return;
    }
    if (event.key === "/" && search) { search.focus(); event.preventDefault(); }
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "t") theme();
    else if (event.key === "?" && help) { help.showModal(); }
  });
  const button = one("theme");
  if (button) button.addEventListener("click", () => theme());
  const asked = one("keys");
  if (asked && help) asked.addEventListener("click", () => help.showModal());
  const closer = one("close");
  if (closer) closer.addEventListener("click", () => help.close());
  filter();
  if (location.hash) reveal();
}());
