
const T = data.texts, several = data.clusters.length > 1;
const pairsOf = (flat) => { const out = []; for (let i = 0; i < flat.length; i += 2) out.push([T[flat[i]], flat[i + 1]]); return out.sort((a, b) => b[1] - a[1]); };
const edges = data.edges.map((edge) => {
  const [cluster, namespace, kind, name] = edge.from.map((i) => T[i]);
  const [type, peerCluster, peerNamespace, peerKind, peerName] = edge.to.map((i) => T[i]);
  const findings = edge.findings.map((i) => data.findings[i]).filter((finding) => !finding.exempted);
  const review = data.reviews[edge.review] || { state: "not needed" };
  // A decision that ran out, or is ignored, is a suspect of its own.
  const severity = findings.reduce((worst, finding) => Math.max(worst, RANK[finding.severity]), ["expired", "rejected"].includes(review.state) ? 1 : 0);
  const workload = (several ? cluster + ":" : "") + (namespace ? namespace + "/" : "") + name;
  const peer = (peerCluster ? peerCluster + ":" : "") + (peerNamespace ? peerNamespace + "/" : "") + peerName;
  const outside = type === "name" || type === "address";
  const port = edge.port ? edge.port + "/" + T[edge.protocol] : T[edge.protocol];
  let grade = "none", strongest = 0;
  for (let i = 0; i < edge.grades.length; i += 2) if (edge.grades[i + 1] > strongest) { strongest = edge.grades[i + 1]; grade = T[edge.grades[i]]; }
  return { raw: edge, cluster, namespace, kind, name, type, outside, workload, peer, peerKind, port, protocol: T[edge.protocol], category: edge.category,
    bytes: edge.bytes, connections: edge.count[0], denied: edge.count[1], first: edge.seen[0], last: edge.seen[1], findings, severity, review,
    open: ["pending", "expired", "rejected"].includes(review.state), rejected: review.state === "rejected", grade, hay: null,
    fromId: cluster + "\n" + namespace + "\n" + kind + "\n" + name, toId: type + "\n" + peer };
});
// Made when the first filter is typed: most readers look before they search.
const hay = (edge) => edge.hay ?? (edge.hay = [edge.workload, edge.kind, edge.peer, edge.port, edge.category, ...edge.findings.map((finding) => finding.class), T[edge.raw.label]].join(" ").toLowerCase());
const least = (list) => list.reduce((a, b) => (b !== null && (a === null || b < a) ? b : a), null);
const most = (list) => list.reduce((a, b) => (b !== null && (a === null || b > a) ? b : a), null);
const sources = data.clusters.flatMap((cluster) => cluster.coverage);
const from = time(data.window.since) ?? least(sources.map((source) => time(source.first))) ?? least(edges.map((edge) => edge.first)) ?? 0;
const until = time(data.window.until) ?? most(sources.map((source) => time(source.last))) ?? most(edges.map((edge) => edge.last)) ?? from + 1;

oneDay = day(from) === day(until);

// Days with traffic where the window has several; else the span from first to last.
function timeline(edge) {
  const W = 120, H = 14, whole = Math.max(1, until - from), d0 = Math.floor(from / DAY), d1 = Math.floor(until / DAY), days = d1 - d0 + 1;
  const said = edge.first === null ? "time unknown" : `${plural(edge.raw.days.length, "day")} with traffic of ${days}, ${when(edge.first)} to ${when(edge.last)}`;
  const marks = [s("rect", { y: 6, width: W, height: 2, class: "fill-line" })];
  if (days > 2 && days <= 65) {
    const w = W / days;
    for (const d of edge.raw.days) if (d >= d0 && d <= d1) marks.push(s("rect", { x: (d - d0) * w + .5, y: 1, width: Math.max(1.2, w - 1), height: 12, rx: 1.5, class: edge.open ? "fill-suspect" : "fill-accent" }));
  } else if (edge.first !== null) {
    const a = (edge.first - from) / whole * W, b = (edge.last - from) / whole * W;
    marks.push(s("rect", { x: Math.max(0, Math.min(W - 3, a)), y: 3, width: Math.max(3, Math.min(b, W) - a), height: 8, rx: 2, class: edge.open ? "fill-suspect" : "fill-accent" }));
  }
  return s("svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "img", "aria-label": said }, s("title", {}, said), marks);
}

const SEVERITIES = ["", "low", "medium", "high"];
// What a workload does as a whole: no destination stands for it.
const whole = data.whole.filter((row) => !row.finding.exempted && ["pending", "expired", "rejected"].includes(row.review.state)).map((row) => ({ ...row, rejected: row.review.state === "rejected",
  label: (several ? row.cluster + ":" : "") + (row.namespace ? row.namespace + "/" : "") + row.workload.name }));

const state = { text: "", cluster: "", namespace: "", category: "", review: "", outside: true, suspects: false };
const fits = (edge) => (!state.outside || edge.outside) && (!state.suspects || edge.open) && (!state.cluster || edge.cluster === state.cluster) && (state.namespace === "" || edge.namespace === state.namespace) &&
  (!state.category || edge.category === state.category) && (!state.review || edge.review.state === state.review) && (!words.length || words.every((word) => hay(edge).includes(word)));
let words = [];

const table = dataTable({
  caption: "Destinations", noun: "connection pair", sort: null, rows: [], pageSize: 50,
  columns: [
    { label: "Destination", value: (edge) => edge.peer + " " + edge.port, cell: (edge) => [code(edge.peer), h("div", { class: "sub" }, edge.port, T[edge.raw.label] && T[edge.raw.label] !== edge.peer ? " · " + T[edge.raw.label] : "")] },
    { label: "Workload", value: (edge) => edge.workload, cell: (edge) => code(edge.workload) },
    { label: "Category", value: (edge) => CATEGORIES.indexOf(edge.category), cell: (edge) => h("span", { class: "cat " + edge.category }, edge.category) },
    { label: "Suspicion", first: "descending", value: (edge) => (edge.open ? 10 : 0) + edge.severity, cell: (edge) => (edge.findings.length ? [tag(edge.findings[0].class.replaceAll("_", " "), SEVERITIES[edge.severity]), " ", tag(edge.review.state, REVIEW_KIND[edge.review.state])] : edge.review.state === "not needed" ? "" : tag(edge.review.state, REVIEW_KIND[edge.review.state])) },
    { label: "Evidence", tight: true, value: (edge) => edge.grade, cell: (edge) => (edge.type === "name" ? edge.grade : edge.outside ? "address only" : "identity") },
    { label: "Connections", numeric: true, value: (edge) => edge.connections, cell: (edge) => [n(edge.connections), edge.denied ? h("div", {}, tag(n(edge.denied) + " denied", "high")) : null] },
    ...(edges.some((edge) => edge.bytes) ? [{ label: "Sent", numeric: true, value: (edge) => edge.bytes && edge.bytes[0], cell: (edge) => size(edge.bytes && edge.bytes[0]) }, { label: "Received", numeric: true, value: (edge) => edge.bytes && edge.bytes[1], cell: (edge) => size(edge.bytes && edge.bytes[1]) }] : []),
    { label: "When", value: (edge) => edge.first, first: "descending", cell: timeline },
  ],
  detail: (edge) => h("div", {}, edge.raw.findings.map((i) => findingBlock(data.findings[i])),
    edge.review.owner ? h("p", {}, tag(edge.review.state, REVIEW_KIND[edge.review.state]), ` by ${edge.review.owner}: ${edge.review.reason}`, edge.review.expires ? ` (until ${edge.review.expires})` : "") : null,
    h("div", { class: "grid" },
      h("div", {}, h("h3", {}, "Category"), h("p", {}, T[edge.raw.rule] ? `${edge.category}: ${T[edge.raw.rule]}` : `${edge.category}: no rule knows it`),
        h("h3", {}, "Seen"), h("p", {}, `${when(edge.first)} to ${when(edge.last)} UTC, ${plural(edge.raw.days.length, "day")}`),
        h("h3", {}, "Client"), h("p", {}, code((edge.namespace ? edge.namespace + "/" : "") + (edge.kind ? edge.kind + "/" : "") + edge.name), several ? ` in ${edge.cluster}` : "")),
      countList(`Evidence for the name (confidence ${edge.raw.confidence.toFixed(2)})`, pairsOf(edge.raw.grades)),
      countList("Addresses", pairsOf(edge.raw.addresses), "addresses"),
      countList("Other names the evidence allows", pairsOf(edge.raw.candidates), "names"),
      countList("Also looked up as", pairsOf(edge.raw.names).filter(([name]) => name !== edge.peer), "names"),
      countList("CNAME chains", edge.raw.chains.map((i) => [T[i], null])),
      countList("Pods", edge.raw.pods.map((i) => [T[i], null]), "pods"))),
});

const flow = h("div", { class: "flow card" }), hint = h("p", { class: "sub" });
const search = h("input", { type: "search", placeholder: "Filter by name, address, workload, port, class", "aria-label": "Filter", autocomplete: "off", spellcheck: "false" });
let waiting = 0;
const apply = () => { clearTimeout(waiting); const text = search.value.trim().toLowerCase(); if (text !== state.text) { state.text = text; update(); } };
search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 120); });
search.addEventListener("change", apply);
const check = (label, key) => { const box = h("input", { type: "checkbox", onchange: () => { state[key] = box.checked; update(); } }); box.checked = state[key]; return [box, h("label", { class: "check" }, box, label)]; };
const [outsideBox, outsideLabel] = check("Outside only", "outside"), [suspectBox, suspectLabel] = check("Open suspects only", "suspects");
const clusterSelect = several ? select("Cluster", [["", "All clusters"], ...data.clusters.map((cluster) => [cluster.name, cluster.name])], (value) => { state.cluster = value; update(); }) : null;
const names = [...new Set(data.clusters.flatMap((cluster) => cluster.namespaces))].filter((name) => name !== "").sort();
const namespaceSelect = select("Namespace", [["", "All namespaces"], ...names.map((name) => [name, safe(name)])], (value) => { state.namespace = value; update(); });
const categorySelect = select("Category", [["", "All categories"], ...CATEGORIES.map((name) => [name, name])], (value) => { state.category = value; update(); });
const reviewSelect = select("Review", [["", "Any review"], ...["pending", "expired", "rejected", "approved"].map((name) => [name, name])], (value) => { state.review = value; update(); });
function reset() { Object.assign(state, { text: "", cluster: "", namespace: "", category: "", review: "", outside: true, suspects: false }); sync(); update(); }
function sync() { search.value = state.text; if (clusterSelect) clusterSelect.value = state.cluster; namespaceSelect.value = state.namespace; categorySelect.value = state.category; reviewSelect.value = state.review; outsideBox.checked = state.outside; suspectBox.checked = state.suspects; }
const byUrgency = (a, b) => (b.open - a.open) || (b.open ? b.severity - a.severity : 0) || b.connections - a.connections;
function update() {
  words = state.text.split(/\s+/).filter(Boolean);
  const list = edges.filter(fits).sort(byUrgency);
  table.show(list);
  flow.replaceChildren(list.length ? flowMap(list, (side, item) => { state.text = item.label.toLowerCase(); sync(); update(); search.focus(); }) : h("p", { class: "sub" }, "Nothing matches."));
  hint.textContent = `${plural(list.length, "pair")} of workload and destination${list.length === edges.length ? "" : " of " + n(edges.length)}. Red is suspect and without an approval.`;
}
function go(change) { Object.assign(state, { text: "", cluster: "", namespace: "", category: "", review: "", outside: true, suspects: false }, change); sync(); update(); document.getElementById("s-destinations").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" }); }

function suspects() {
  const groups = new Map();
  for (const edge of edges) {
    if (!edge.open) continue;
    const group = groups.get(edge.toId) || { peer: edge.peer, severity: 0, finding: null, connections: 0, workloads: new Set(), states: new Set(), first: null, last: null };
    if (edge.severity > group.severity) { group.severity = edge.severity; group.finding = edge.findings.find((finding) => RANK[finding.severity] === edge.severity) || null; }
    group.connections += edge.connections; group.workloads.add(edge.workload); group.states.add(edge.review.state);
    group.first = least([group.first, edge.first]); group.last = most([group.last, edge.last]);
    groups.set(edge.toId, group);
  }
  for (const row of whole) groups.set("whole\n" + groups.size, { peer: row.subject || row.workload.name, whole: !row.subject, severity: RANK[row.finding.severity], finding: row.finding, connections: null, workloads: new Set([row.label]), states: new Set([row.review.state]), first: null, last: null });
  const rows = [...groups.values()].sort((a, b) => b.severity - a.severity || (b.connections ?? Number.MAX_SAFE_INTEGER) - (a.connections ?? Number.MAX_SAFE_INTEGER));
  if (!rows.length) return section("Look here first", null, h("p", { class: "notice good" }, "No suspect is without an approval."));
  const list = dataTable({ caption: "Suspects without an approval", noun: "destination", rows, pageSize: 10, columns: [
    { label: "Destination", value: (row) => row.peer, cell: (row) => h("button", { type: "button", class: "plain name" + (row.peer.length > 44 ? "" : " one"), onclick: () => go({ text: row.peer.toLowerCase() }) }, row.whole ? row.peer + " as a whole" : row.peer) },
    { label: "Severity", value: (row) => row.severity, first: "descending", cell: (row) => tag(SEVERITIES[row.severity], SEVERITIES[row.severity]) },
    { label: "Why", value: (row) => (row.finding ? row.finding.class : ""), wide: true, cell: (row) => (row.finding ? [h("strong", {}, row.finding.class.replaceAll("_", " ")), h("div", { class: "sub" }, row.finding.why, row.connections === null ? "; " + row.finding.matched : null)] : h("div", { class: "sub" }, "no list and no behaviour speaks against it; the owner's decision does")) },
    { label: "Workloads", value: (row) => row.workloads.size, cell: (row) => [...row.workloads].slice(0, 3).map((name) => h("div", {}, code(name))).concat(row.workloads.size > 3 ? h("div", { class: "sub" }, `and ${n(row.workloads.size - 3)} more`) : []) },
    { label: "Review", value: (row) => [...row.states].join(), cell: (row) => [...row.states].map((word) => [tag(word, REVIEW_KIND[word]), " "]) },
    { label: "Connections", numeric: true, value: (row) => row.connections, cell: (row) => (row.connections === null ? "–" : n(row.connections)) },
    { label: "Last seen", tight: true, first: "descending", value: (row) => row.last, cell: (row) => (row.connections === null ? "–" : short(row.last)) },
  ] });
  return section("Look here first", "Suspects that no owner has approved, or that an owner has rejected.", list.node);
}

function overview() {
  const outside = edges.filter((edge) => edge.outside);
  const bars = (list) => CATEGORIES.map((category) => [category, new Set(list.filter((edge) => edge.category === category).map((edge) => edge.toId + edge.port)).size]).filter(([, count]) => count > 0);
  const bar = (list) => {
    const counts = bars(list), total = counts.reduce((sum, [, count]) => sum + count, 0) || 1;
    let x = 0;
    const said = counts.map(([category, count]) => `${category} ${n(count)}`).join(", ") || "none";
    return s("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", class: "bar", role: "img", "aria-label": said }, s("title", {}, said), s("rect", { width: 1000, height: 14, class: "fill-faint" }), counts.map(([category, count]) => { const w = count / total * 1000, rect = s("rect", { x, width: Math.max(0, w - 2), height: 14, class: "fill-" + category }); x += w; return rect; }));
  };
  const count = (list, rejected) => counted(list, rejected) + whole.filter((row) => row.cluster === list[0].cluster && row.namespace === list[0].namespace && row.rejected === rejected).length;
  const groups = new Map();
  for (const edge of edges) { const id = edge.cluster + "\n" + edge.namespace; if (!groups.has(id)) groups.set(id, []); groups.get(id).push(edge); }
  const rows = [...groups.values()].map((list) => {
    const out = list.filter((edge) => edge.outside);
    return { cluster: list[0].cluster, namespace: list[0].namespace, list: out, destinations: new Set(out.map((edge) => edge.toId + edge.port)).size, workloads: new Set(list.map((edge) => edge.fromId)).size,
      open: count(list, false), rejected: count(list, true), connections: list.reduce((sum, edge) => sum + edge.connections, 0), denied: list.reduce((sum, edge) => sum + edge.denied, 0) };
  }).sort((a, b) => b.open + b.rejected - a.open - a.rejected || b.destinations - a.destinations);
  const namespaces = dataTable({ caption: "Namespaces", noun: "namespace", rows, pageSize: 15, columns: [
    { label: "Namespace", value: (row) => row.cluster + "/" + row.namespace, cell: (row) => row.namespace ? h("button", { type: "button", class: "plain name one", onclick: () => go({ cluster: several ? row.cluster : "", namespace: row.namespace }) }, (several ? row.cluster + ":" : "") + row.namespace) : h("span", { class: "sub" }, (several ? row.cluster + ": " : "") + "clients in no namespace") },
    { label: "Open suspects", numeric: true, value: (row) => row.open, cell: (row) => (row.open ? tag(n(row.open), "high") : "0") },
    ...(rejectedCount ? [{ label: "Rejected, in use", numeric: true, value: (row) => row.rejected, cell: (row) => (row.rejected ? tag(n(row.rejected), "high") : "0") }] : []),
    { label: "Outside", numeric: true, value: (row) => row.destinations, cell: (row) => n(row.destinations) },
    { label: "Categories", cell: (row) => bar(row.list) },
    { label: "Workloads", numeric: true, value: (row) => row.workloads, cell: (row) => n(row.workloads) },
    { label: "Connections", numeric: true, value: (row) => row.connections, cell: (row) => n(row.connections) },
    { label: "Denied", numeric: true, value: (row) => row.denied, cell: (row) => n(row.denied) },
  ] });
  const legend = h("ul", { class: "legend" }, bars(outside).map(([category, count]) => h("li", {}, h("button", { type: "button", class: "plain key " + category, onclick: () => go({ category }) }, `${category} ${n(count)}`))));
  return section("Namespaces and categories", "Destinations outside the cluster: a name or address with a port.", namespaces.node, legend);
}

// As the documents count: a destination once in a namespace, by the workload that is most urgent, and what a workload does as a whole once.
function counted(list, rejected) {
  const key = (edge) => edge.cluster + edge.namespace + edge.toId + edge.port, open = new Set(list.filter((edge) => edge.open && !edge.rejected).map(key));
  return rejected ? new Set(list.filter((edge) => edge.rejected && !open.has(key(edge))).map(key)).size : open.size;
}
const openCount = counted(edges, false) + whole.filter((row) => !row.rejected).length, rejectedCount = counted(edges, true) + whole.filter((row) => row.rejected).length;
const outsideEdges = edges.filter((edge) => edge.outside);
const outsideTotal = outsideEdges.reduce((sum, edge) => sum + edge.connections, 0);
const named = outsideEdges.reduce((sum, edge) => sum + pairsOf(edge.raw.grades).reduce((own, [grade, count]) => own + (grade.startsWith("pod") ? count : 0), 0), 0);
root.append(
  h("header", { class: "top" }, h("h1", {}, "Egress atlas"), h("p", { class: "sub" }, `${data.clusters.map((cluster) => safe(cluster.name)).join(", ")} · ${when(from)} to ${when(until)} UTC`), h("span", { class: "grow" }), themeButton()),
  h("main", { id: "main" },
    facts([["Open suspects, by namespace", n(openCount), openCount > 0], ...(rejectedCount ? [["Rejected, in use", n(rejectedCount), true]] : []), ["Destinations outside", n(new Set(outsideEdges.map((edge) => edge.toId + edge.port)).size)], ["Unclassified", n(new Set(outsideEdges.filter((edge) => edge.category === "unclassified").map((edge) => edge.toId + edge.port)).size)],
      ["Workloads", n(new Set(edges.map((edge) => edge.fromId)).size)], ["Connections", n(edges.reduce((sum, edge) => sum + edge.connections, 0))], ["Named by the pod's own answer", outsideTotal ? Math.round(named / outsideTotal * 100) + " %" : "–"]]),
    data.warnings.map((text) => h("p", { class: "notice" }, text)),
    suspects(),
    section("Coverage", "What the sources could see. Red is silence of a source that is busy otherwise: nothing seen there proves nothing.", coverageStrips(data.clusters, from, until), gapList(data.clusters)),
    overview(),
    section("Flow map", null, hint, flow),
    section("Destinations", "Every workload with every destination. Open a row for the evidence.", h("div", { class: "filters", role: "search" }, search, clusterSelect, namespaceSelect, categorySelect, reviewSelect, outsideLabel, suspectLabel, h("button", { type: "button", onclick: reset }, "Clear")), table.node)),
  h("footer", {}, h("p", {}, `Inputs: ${data.inputs.map((input) => `${safe(input.name)} (${n(input.used)} of ${n(input.read)} records used)`).join("; ")}.`), h("p", {}, "Times are UTC. A connection counts once, however many records tell of it. This page holds its data and asks no network.")));
update();
contents();
document.documentElement.dataset.ready = "true";
