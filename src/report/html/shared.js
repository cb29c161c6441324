"use strict";
// Everything from outside is set as text, never as markup, and characters that could fool a reader are shown as escapes.
const data = JSON.parse(document.getElementById("data").textContent);
const root = document.getElementById("page");
const SVG = "http://www.w3.org/2000/svg";
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
const safe = (text) => String(text).replace(UNSAFE, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(safe(child)));
  }
  return node;
}
const h = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => put(document.createElementNS(SVG, tag), attributes, children);

const number = new Intl.NumberFormat("en");
const n = (value) => number.format(value);
// Bytes in thousands, as network people count them.
function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  if (bytes < 1000) return bytes + " B";
  const units = ["kB", "MB", "GB", "TB", "PB", "EB"];
  let value = bytes / 1000, unit = 0;
  while (value >= 999.95 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return value.toFixed(1) + " " + units[unit];
}
const plural = (value, noun, many) => n(value) + " " + (value === 1 ? noun : many || noun + "s");
const pad = (value) => String(value).padStart(2, "0");
const DAY = 86400000;
function when(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "unknown";
  const t = new Date(ms);
  return `${t.getUTCFullYear()}-${pad(t.getUTCMonth() + 1)}-${pad(t.getUTCDate())} ${pad(t.getUTCHours())}:${pad(t.getUTCMinutes())}`;
}
const day = (ms) => when(ms).slice(0, 10);
let oneDay = false;
const short = (ms) => (ms === null ? "unknown" : when(ms).slice(oneDay ? 11 : 5));
const time = (text) => (text === null || text === undefined ? null : Date.parse(text));
const code = (text) => h("span", { class: safe(text).length > 44 ? "name" : "name one" }, text);
const tag = (text, kind) => h("span", { class: "tag " + (kind || "") }, text);
const RANK = { high: 3, medium: 2, low: 1 };
const CATEGORIES = ["internal", "infra", "vendor", "registries", "customer", "unclassified"];
const REVIEW_KIND = { pending: "medium", expired: "medium", rejected: "high", approved: "good" };

function section(title, sub, ...children) {
  const id = "s-" + title.toLowerCase().replace(/[^a-z]+/g, "-");
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), sub ? h("p", { class: "sub" }, sub) : null, ...children);
}

// Links to the sections of the page, once they are there.
function contents() {
  const heads = [...root.querySelectorAll("main > section > h2")];
  root.querySelector("header.top").append(h("nav", { class: "contents", "aria-label": "Sections" }, h("ul", {}, heads.map((head) => h("li", {}, h("a", { href: "#" + head.id }, head.textContent))))));
}

function facts(list) {
  return h("dl", { class: "facts" }, list.map(([label, value, alarm]) =>
    h("div", { class: alarm ? "alarm" : null }, h("dt", {}, label), h("dd", {}, value))));
}

function themeButton() {
  const dark = () => {
    const set = document.documentElement.dataset.theme;
    return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const button = h("button", { type: "button", class: "noprint", onclick: () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    label();
  } });
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", dark() ? "Use light colours" : "Use dark colours"); };
  label();
  return button;
}

// A table that sorts, and shows its rows in pages so that fifty thousand of them are no burden.
// columns: { label, numeric, value(row) for sorting, cell(row), first: direction of the first click }
function dataTable({ caption, columns, rows, detail, pageSize = 50, sort = null, noun = "row" }) {
  let all = rows, shown = [], page = 0, size = pageSize, order = sort;
  const body = h("tbody"), status = h("div", { role: "status", "aria-live": "polite" });
  const heads = columns.map((column, index) => {
    const press = () => {
      const first = column.first || (column.numeric ? "descending" : "ascending");
      const next = order && order[0] === index ? (order[1] === "ascending" ? "descending" : "ascending") : first;
      order = [index, next]; page = 0; arrange();
    };
    return h("th", { scope: "col", class: column.numeric ? "num" : null },
      column.value ? h("button", { type: "button", onclick: press }, column.label) : column.label);
  });
  const head = h("thead", {}, h("tr", {}, detail ? h("th", { class: "open", scope: "col" }, h("span", { class: "hidden" }, "Evidence")) : null, heads));
  const step = (by) => () => { page += by; draw(); body.parentElement.scrollIntoView({ block: "nearest" }); };
  const back = h("button", { type: "button", onclick: step(-1) }, "Previous"), next = h("button", { type: "button", onclick: step(1) }, "Next");
  const pager = h("div", { class: "pager" }, status, h("span", {}, back, next));

  function arrange() {
    shown = all;
    if (order) {
      const value = columns[order[0]].value, sign = order[1] === "ascending" ? 1 : -1;
      const keyed = all.map((row, index) => [value(row), index, row]);
      keyed.sort((a, b) => {
        if (a[0] === b[0]) return a[1] - b[1];
        if (a[0] === null || a[0] === undefined) return 1;
        if (b[0] === null || b[0] === undefined) return -1;
        return (a[0] < b[0] ? -1 : 1) * sign;
      });
      shown = keyed.map((entry) => entry[2]);
    }
    heads.forEach((th, index) => {
      if (order && order[0] === index) th.setAttribute("aria-sort", order[1]);
      else th.removeAttribute("aria-sort");
    });
    draw();
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(shown.length / size));
    page = Math.min(Math.max(0, page), pages - 1);
    const from = page * size, part = shown.slice(from, from + size);
    body.replaceChildren(...part.map(line));
    if (!part.length) body.append(h("tr", {}, h("td", { colspan: columns.length + 1 }, h("span", { class: "sub" }, "Nothing matches. Clear a filter to see more."))));
    status.textContent = shown.length ? `${n(from + 1)} to ${n(from + part.length)} of ${plural(shown.length, noun)}` : "No " + noun;
    back.disabled = page === 0; next.disabled = page === pages - 1;
    pager.querySelector("span").hidden = pages === 1;
  }

  // The first two columns say which row it is.
  const rowName = (row) => columns.slice(0, 2).map((column) => (column.value ? column.value(row) : "")).filter((text) => typeof text === "string" && text).join(" to ");

  function line(row) {
    const cells = columns.map((column, index) => h(index === 0 ? "th" : "td", { class: column.numeric ? "num" : column.tight ? "nowrap" : column.wide ? "wide" : null, scope: index === 0 ? "row" : null, "data-label": index === 0 ? null : column.label }, column.cell(row)));
    const tr = h("tr", { class: "row" });
    if (detail) {
      const button = h("button", { type: "button", "aria-expanded": "false", "aria-label": "Evidence: " + safe(rowName(row)), onclick: () => {
        const open = button.getAttribute("aria-expanded") === "true";
        button.setAttribute("aria-expanded", String(!open));
        if (open) tr.nextElementSibling.remove();
        else tr.after(h("tr", { class: "detail" }, h("td", { colspan: columns.length + 1 }, detail(row))));
      } });
      tr.append(h("td", { class: "open" }, button));
    }
    tr.append(...cells);
    return tr;
  }

  addEventListener("beforeprint", () => { size = 2000; page = 0; draw(); });
  addEventListener("afterprint", () => { size = pageSize; draw(); });
  const node = h("div", {}, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, h("table", {}, h("caption", {}, h("span", { class: "hidden" }, caption)), head, body)), pager);
  arrange();
  return { node, show(list) { all = list; page = 0; arrange(); }, get count() { return shown.length; } };
}

// What each source could see: solid where it covered, red where it was silent, empty where it had not begun or had ended.
function coverageStrips(clusters, from, until) {
  const span = Math.max(1, until - from), x = (ms) => (Math.min(Math.max(ms, from), until) - from) / span * 1000;
  const rows = [];
  for (const { name, coverage } of clusters) {
    for (const source of coverage) {
      const first = time(source.first), last = time(source.last);
      const lost = Object.values(source.lost).reduce((sum, events) => sum + events, 0);
      const silent = source.gaps.reduce((sum, gap) => sum + Math.max(0, Math.min(time(gap.until), until) - Math.max(time(gap.since), from)), 0);
      const seen = first === null ? 0 : Math.max(0, Math.min(last, until) - Math.max(first, from) - silent);
      const share = Math.round(1000 * seen / span) / 10;
      const label = `${source.kind === "dns" ? "DNS" : "Flows"} ${source.name || "(not named)"}`;
      const said = `${label}, cluster ${name}: covers ${share} % of the window, ${plural(source.gaps.length, "gap")}` + (lost ? `, ${n(lost)} events reported lost` : "");
      rows.push(h("span", { class: "name" }, clusters.length > 1 ? name + " · " + label : label),
        s("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", role: "img", "aria-label": safe(said) }, s("title", {}, said),
          s("rect", { width: 1000, height: 14, class: "fill-line" }),
          first === null ? null : s("rect", { x: x(first), width: Math.max(2, x(last) - x(first)), height: 14, class: source.kind === "dns" ? "fill-vendor" : "fill-infra" }),
          source.gaps.map((gap) => s("rect", { x: x(time(gap.since)), width: Math.max(3, x(time(gap.until)) - x(time(gap.since))), height: 14, class: "fill-gap" }))),
        h("span", { class: "num" }, share + " %"));
    }
  }
  return h("div", { class: "strip card" }, rows, h("div", { class: "axis" }, h("span", {}, when(from)), h("span", {}, when(until) + " UTC")));
}

function gapList(clusters) {
  const gaps = clusters.flatMap(({ name, coverage }) => coverage.flatMap((source) => source.gaps.map((gap) => `${name}: ${source.kind === "dns" ? "DNS" : "flows"} of ${source.name || "(not named)"} silent from ${when(time(gap.since))} to ${when(time(gap.until))} UTC`)));
  const lost = clusters.flatMap(({ name, coverage }) => coverage.flatMap((source) => Object.entries(source.lost).map(([place, events]) => `${name}: ${source.name || "(not named)"} reports ${plural(events, "lost event")} (${place})`)));
  return gaps.length + lost.length ? h("ul", { class: "notes" }, [...gaps, ...lost].slice(0, 40).map((text) => h("li", {}, text))) : null;
}

// `about` says what the finding is about, where the block does not stand below it.
function findingBlock(finding, about) {
  const line = (label, text) => (text ? h("p", {}, h("strong", {}, label + " "), text) : null);
  return h("div", { class: "finding " + (finding.exempted ? "" : finding.severity) },
    h("p", {}, tag(finding.severity, finding.severity), " ", h("strong", {}, finding.class.replaceAll("_", " ")), " ", h("span", { class: "sub" }, `confidence ${finding.confidence}`, finding.attack.length ? " · ATT&CK " + finding.attack.join(", ") : "")),
    about || null, line("Why:", finding.why), line("Matched:", finding.matched), line("Innocent reading:", finding.false_positive), line("What to do:", finding.advice), line("Not held against it:", finding.exempted));
}

function countList(title, entries, noun) {
  if (!entries.length) return null;
  const most = 12, rest = entries.length - most;
  return h("div", {}, h("h3", {}, title), h("ul", {}, entries.slice(0, most).map(([text, count]) => h("li", {}, code(text), h("span", {}, count === null ? "" : n(count)))), rest > 0 ? h("li", {}, h("span", { class: "sub" }, `and ${n(rest)} more ${noun || ""}`), h("span")) : null));
}

function select(label, options, change) {
  const node = h("select", { "aria-label": label, onchange: () => change(node.value) }, options.map(([value, text]) => h("option", { value }, text)));
  return node;
}
