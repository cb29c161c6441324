
const target = data.target, totals = data.totals, buckets = data.timeline.buckets;
const clusters = Object.entries(data.coverage).map(([name, coverage]) => ({ name, coverage })), several = clusters.length > 1;
const from = time(data.window.since) ?? 0, until = time(data.window.until) ?? from + 1;
oneDay = day(from) === day(until);
const peerText = (peer) => ({ name: () => peer.name, address: () => peer.address, service: () => `${peer.namespace}/${peer.name}`, workload: () => (peer.cluster ? peer.cluster + ":" : "") + `${peer.namespace}/${peer.name}`,
  "kube-apiserver": () => "Kubernetes API server", node: () => "cluster nodes", ingress: () => "ingress gateway", outside: () => "outside the cluster" })[peer.type]();
const portText = (port, protocol) => (port ? `${port}/${protocol}` : protocol);
const clientText = (row, client) => (several ? row.cluster + ":" : "") + (row.namespace ? row.namespace + "/" : "") + client.name;
const held = (edge) => (edge.judgement ? edge.judgement.findings.filter((finding) => !finding.exempted) : []);
const worst = (edge) => held(edge).reduce((rank, finding) => Math.max(rank, RANK[finding.severity]), 0);
const grade = (row) => (row.edge.peer.type === "name" || row.edge.peer.type === "address" ? (entries(row.edge.grades)[0] || [""])[0] : "identity");
const entries = (counts) => Object.entries(counts).sort((a, b) => b[1] - a[1]);
const step = data.timeline.step_seconds;
const stepText = step % 86400 === 0 ? plural(step / 86400, "day") : step % 3600 === 0 ? plural(step / 3600, "hour") : plural(step / 60, "minute");

function bigTimeline() {
  const W = 1000, H = 150, BASE = 120, w = W / Math.max(1, buckets.length), top = Math.max(1, ...buckets.map((bucket) => bucket.began));
  const said = `${plural(totals.connections, "connection")} in buckets of ${stepText}; at most ${n(top)} began in one`;
  const svg = s("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": said });
  svg.style.width = "100%"; svg.style.height = "auto";
  svg.append(s("line", { x1: 0, x2: W, y1: BASE + .5, y2: BASE + .5, stroke: "currentColor", "stroke-opacity": .25 }));
  buckets.forEach((bucket, index) => {
    const height = (count) => (count ? Math.max(2, count / top * (BASE - 22)) : 0), x = index * w + .75, width = Math.max(1, w - 1.5);
    const all = height(bucket.began), bad = bucket.denied ? Math.max(2, all * bucket.denied / bucket.began) : 0, info = `${when(time(bucket.at))}: ${plural(bucket.began, "connection")} began, ${n(bucket.open)} open, ${n(bucket.denied)} denied` + (bucket.covered ? "" : "; nothing could be seen");
    svg.append(s("g", {}, s("title", {}, info), s("rect", { x, y: 8, width, height: BASE - 8, class: "fill-faint", "fill-opacity": 0 }),
      bucket.covered ? null : s("rect", { x, y: BASE + 2, width, height: 6, class: "fill-gap" }),
      bucket.open && !bucket.began ? s("rect", { x, y: BASE - 3, width, height: 2, class: "fill-soft" }) : null,
      s("rect", { x, y: BASE - all, width, height: all - bad, rx: 1, class: "fill-accent" }), bad ? s("rect", { x, y: BASE - bad, width, height: bad, class: "fill-denied" }) : null));
  });
  svg.append(s("text", { x: 0, y: 14, class: "small" }, `highest ${n(top)}`));
  const marks = Math.min(6, buckets.length);
  for (let i = 0; i < marks; i++) { const index = Math.round(i * (buckets.length - 1) / Math.max(1, marks - 1)); svg.append(s("text", { x: Math.min(W, Math.max(0, index * w + w / 2)), y: H - 8, class: "small", "text-anchor": i === 0 ? "start" : i === marks - 1 ? "end" : "middle" }, short(time(buckets[index].at)))); }
  return svg;
}

function spark(began) {
  const W = 120, H = 18, w = W / Math.max(1, began.length), top = Math.max(1, ...began);
  const said = `at most ${n(top)} in ${stepText}`;
  return s("svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "img", "aria-label": said }, s("title", {}, said), s("rect", { y: H - 1, width: W, height: 1, class: "fill-line" }),
    began.map((count, i) => (count ? s("rect", { x: i * w, y: H - Math.max(2, count / top * H), width: Math.max(1, w - .6), height: Math.max(2, count / top * H), class: "fill-accent" }) : null)));
}

const volume = (bytes) => (bytes ? [size(bytes.sent), h("div", { class: "sub" }, size(bytes.received) + " back")] : "–");
const grades = entries(totals.grades).map(([name]) => name);

// Evidence over time: which grades the names rest on, bucket by bucket.
function gradeTimeline() {
  const shades = ["fill-infra", "fill-vendor", "fill-registries", "fill-customer", "fill-unclassified", "fill-internal", "fill-soft", "fill-accent", "fill-gap"];
  const order = ["pod", "pod-ambiguous", "pod-stale", "pod-later", "workload", "node", "cluster", "reported", "none"], shade = (grade) => shades[order.indexOf(grade)] || "fill-soft";
  const W = 1000, H = 16, w = W / Math.max(1, buckets.length);
  const svg = s("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", class: "bar", role: "img", "aria-label": "Evidence grades over time: " + entries(totals.grades).map(([grade, count]) => `${grade} ${n(count)}`).join(", ") }, s("rect", { width: W, height: H, class: "fill-faint" }));
  buckets.forEach((bucket, i) => { let y = 0; for (const grade of order) { const part = (bucket.grades[grade] || 0) / Math.max(1, Object.values(bucket.grades).reduce((a, b) => a + b, 0)) * H; if (part) svg.append(s("rect", { x: i * w, y, width: Math.max(1, w - .8), height: part, class: shade(grade) }, s("title", {}, `${when(time(bucket.at))}: ${grade} ${n(bucket.grades[grade])}`))); y += part; } });
  const key = (grade) => { const box = s("svg", { width: 10, height: 10, viewBox: "0 0 10 10", "aria-hidden": "true" }, s("rect", { width: 10, height: 10, rx: 2, class: shade(grade) })); box.style.display = "inline-block"; return box; };
  return [svg, h("ul", { class: "legend" }, grades.map((grade) => h("li", {}, key(grade), ` ${grade} ${n(totals.grades[grade])}`)))];
}

const pairs = () => dataTable({ caption: "Who with whom", noun: "pair", rows: data.pairs, pageSize: 25, columns: [
  { label: "Client", value: (row) => clientText(row, row.edge.workload), cell: (row) => code(clientText(row, row.edge.workload)) },
  { label: "Server", value: (row) => peerText(row.edge.peer), cell: (row) => [code(peerText(row.edge.peer)), row.roles.possible ? [" ", tag("possibly", "medium")] : null, h("div", { class: "sub" }, portText(row.edge.port, row.edge.protocol))] },
  { label: "Category", value: (row) => (row.edge.judgement ? row.edge.judgement.category : ""), cell: (row) => (row.edge.judgement ? h("span", { class: "cat " + row.edge.judgement.category }, row.edge.judgement.category) : "") },
  { label: "Suspicion", first: "descending", value: (row) => worst(row.edge), cell: (row) => { const findings = held(row.edge), review = row.edge.judgement ? row.edge.judgement.review.state : "not needed"; return [findings.length ? [tag(findings[0].class.replaceAll("_", " "), findings[0].severity), " "] : null, review === "not needed" ? null : tag(review, REVIEW_KIND[review])]; } },
  { label: "Evidence", tight: true, value: grade, cell: grade },
  { label: "Connections", numeric: true, value: (row) => row.edge.connections, cell: (row) => [n(row.edge.connections), row.edge.verdicts.denied ? h("div", {}, tag(n(row.edge.verdicts.denied) + " denied", "high")) : null] },
  ...(totals.bytes ? [{ label: "Sent", numeric: true, value: (row) => row.edge.bytes && row.edge.bytes.sent, cell: (row) => volume(row.edge.bytes) }] : []),
  { label: "First", tight: true, first: "descending", value: (row) => time(row.edge.first), cell: (row) => short(time(row.edge.first)) },
  { label: "Last", tight: true, first: "descending", value: (row) => time(row.edge.last), cell: (row) => short(time(row.edge.last)) },
  { label: "When", cell: (row) => spark(row.began) },
], detail: (row) => h("div", {}, (row.edge.judgement ? row.edge.judgement.findings : []).map((finding) => findingBlock(finding)), h("div", { class: "grid" },
  row.edge.judgement ? h("div", {}, h("h3", {}, "Category"), h("p", {}, `${row.edge.judgement.category}: ${row.edge.judgement.rule || "no rule knows it"}`)) : null,
  countList(`Evidence (confidence ${row.edge.confidence.toFixed(2)})`, entries(row.edge.grades)), countList(`Addresses (${n(row.addresses_total)})`, entries(row.edge.addresses)),
  countList("Other names the evidence allows", entries(row.edge.candidates)), countList("Also looked up as", entries(row.edge.names)), countList("CNAME chains", row.edge.chains.map((chain) => [chain, null])), countList(`Pods (${n(row.pods_total)})`, row.edge.pods.map((pod) => [pod, null])))) });

const ANSWER = { "would-break": ["not allowed", "high"], undecidable: ["cannot be told", "medium"], allowed: ["allowed", "good"], "not-isolated": ["no policy isolates it", ""], "not-subject": ["no policy is about it", ""] };
const ANSWERS = Object.keys(ANSWER);
const answerTag = (answer) => tag(ANSWER[answer][0], ANSWER[answer][1]);
const whyText = (reason) => ({
  "would-break": () => [reason.nearest || "no rule comes near", h("div", { class: "sub" }, `${reason.side}, isolated by ${reason.policies.slice(0, 3).join(", ")}${reason.policies.length > 3 ? ` and ${n(reason.policies.length - 3)} more` : ""}`)],
  undecidable: () => [h("strong", {}, reason.reason), h("div", { class: "sub" }, `${reason.side}: ${reason.remedy}`)],
  allowed: () => reason.rules.slice(0, 4).map((rule) => h("div", {}, rule)).concat(reason.rules.length > 4 ? h("div", { class: "sub" }, `and ${n(reason.rules.length - 4)} more`) : []),
  "not-isolated": () => "no policy selects these pods in that direction", "not-subject": () => "neither end is a pod",
})[reason.answer]();

const policyTable = () => dataTable({ caption: "Do the policies allow it", noun: "answer", pageSize: 15,
  rows: data.pairs.flatMap((row) => row.policies.map((reason) => ({ row, reason }))).sort((a, b) => ANSWERS.indexOf(a.reason.answer) - ANSWERS.indexOf(b.reason.answer)), columns: [
  { label: "Client", value: ({ row }) => clientText(row, row.edge.workload), cell: ({ row }) => code(clientText(row, row.edge.workload)) },
  { label: "Server", value: ({ row }) => peerText(row.edge.peer), cell: ({ row }) => [code(peerText(row.edge.peer)), h("div", { class: "sub" }, portText(row.edge.port, row.edge.protocol))] },
  { label: "Answer", tight: true, value: ({ reason }) => ANSWERS.indexOf(reason.answer), cell: ({ reason }) => answerTag(reason.answer) },
  { label: "Why", wide: true, value: ({ reason }) => reason.nearest || reason.reason || reason.rules[0] || "", cell: ({ reason }) => whyText(reason) },
  { label: "Connections", numeric: true, value: ({ reason }) => reason.connections, cell: ({ reason }) => [n(reason.connections), reason.denied_when_recorded ? h("div", {}, tag(n(reason.denied_when_recorded) + " denied", "high")) : null] },
] });

const told = (caption, noun, rows, label, key, list, total, other) => dataTable({ caption, noun, rows, pageSize: 15, columns: [
  { label, value: (row) => row[key], cell: (row) => code(row[key]) },
  { label: other, value: (row) => row[total], cell: (row) => [row[list].slice(0, 4).map((text) => h("div", {}, code(text))), row[total] > 4 ? h("div", { class: "sub" }, `and ${n(row[total] - 4)} more`) : null] },
  { label: "Answers", numeric: true, value: (row) => row.answers, cell: (row) => n(row.answers) },
  { label: "First", tight: true, first: "descending", value: (row) => time(row.first), cell: (row) => short(time(row.first)) },
  { label: "Last", tight: true, first: "descending", value: (row) => time(row.last), cell: (row) => short(time(row.last)) },
] }).node;
const namesTable = (caption, rows) => told(caption, "name", rows, "Name", "name", "addresses", "addresses_total", "Addresses");
const addressTable = (caption, rows) => told(caption, "address", rows, "Address", "address", "names", "names_total", "Names");

const around = () => dataTable({ caption: "Around it", noun: "pair", rows: data.around.rows, pageSize: 15, columns: [
  { label: "Client", value: (row) => clientText(row, row.client), cell: (row) => [code(clientText(row, row.client)), row.inward ? [" ", tag("calls the pod")] : null] },
  { label: "Server", value: (row) => peerText(row.server), cell: (row) => code(peerText(row.server)) },
  { label: "Port", tight: true, value: (row) => row.port, cell: (row) => portText(row.port, row.protocol) },
  { label: "Connections", numeric: true, value: (row) => row.connections, cell: (row) => [n(row.connections), row.denied ? h("div", {}, tag(n(row.denied) + " denied", "high")) : null] },
  { label: "Nearest", numeric: true, first: "ascending", value: (row) => row.nearest_minutes, cell: (row) => (row.nearest_minutes === null ? "–" : row.nearest_minutes + " min") },
  { label: "First", tight: true, first: "descending", value: (row) => time(row.first), cell: (row) => short(time(row.first)) },
  { label: "Last", tight: true, first: "descending", value: (row) => time(row.last), cell: (row) => short(time(row.last)) },
] });

const connections = () => dataTable({ caption: "Connections", noun: "connection", rows: data.connections.rows, pageSize: 25, columns: [
  { label: "Time", tight: true, value: (row) => time(row.first), cell: (row) => (row.first ? row.first.slice(0, 19).replace("T", " ") : "unknown") },
  { label: "Client", value: (row) => row.client, cell: (row) => [code(row.client || row.client_address), row.client ? h("div", { class: "sub" }, row.client_address) : null] },
  { label: "Server", value: (row) => row.server || row.names[0] || row.server_address, cell: (row) => [code(row.server || row.names[0] || row.server_address), row.server || row.names.length ? h("div", { class: "sub" }, row.server_address) : null] },
  { label: "Port", tight: true, value: (row) => row.port, cell: (row) => portText(row.port, row.protocol) },
  { label: "Verdict", value: (row) => row.verdict, cell: (row) => (row.verdict === "denied" ? tag("denied", "high") : row.verdict) },
  { label: "Evidence", tight: true, value: (row) => (row.server ? "identity" : row.evidence), cell: (row) => [row.server ? "identity" : row.evidence, row.server ? null : row.names.length > 1 ? h("div", { class: "sub" }, plural(row.names.length, "candidate")) : null] },
  ...(data.connections.rows.some((row) => row.connections !== 1) ? [{ label: "Connections", numeric: true, value: (row) => row.connections, cell: (row) => n(row.connections) }] : []),
  ...(totals.bytes ? [{ label: "Sent", numeric: true, value: (row) => row.bytes && row.bytes.sent, cell: (row) => volume(row.bytes) }] : []),
  { label: "Answer age", numeric: true, value: (row) => (row.answered_at && row.first ? time(row.first) - time(row.answered_at) : null), cell: (row) => (row.answered_at && row.first ? ((time(row.first) - time(row.answered_at)) / 1000).toFixed(1) + " s" : "–") },
] });

// Each finding once, with everything that it is about.
const findings = new Map();
for (const row of data.pairs) for (const finding of row.edge.judgement ? row.edge.judgement.findings : []) {
  const key = finding.rule + "\n" + finding.matched + "\n" + finding.severity;
  if (!findings.has(key)) findings.set(key, { finding, about: new Set() });
  findings.get(key).about.add(clientText(row, row.edge.workload) + " → " + peerText(row.edge.peer) + " " + portText(row.edge.port, row.edge.protocol));
}
const SUSPECTS_MAX = 12;
const suspectBlocks = () => [...findings.values()].sort((a, b) => RANK[b.finding.severity] - RANK[a.finding.severity]).slice(0, SUSPECTS_MAX).map(({ finding, about }) => findingBlock(finding,
  [...about].slice(0, 3).map((text) => h("div", {}, code(text))).concat(about.size > 3 ? h("div", { class: "sub" }, `and ${n(about.size - 3)} more`) : [])));
const denied = totals.verdicts.denied || 0, found = totals.connections > 0;
const answer = found ? null : data.covered && !data.silence_proves ? h("p", { class: "notice" }, "Nothing was seen, and that is not proof: there are gaps or losses in which it may have happened.")
  : data.covered ? h("p", { class: "notice good" }, "Nothing in covered time: no connection from or to it, and the evidence covers what was asked.")
  : h("p", { class: "notice" }, "Nothing was seen, and that proves nothing: the evidence does not cover what was asked.");
root.append(
  h("header", { class: "top" }, h("h1", {}, code(target.text)), h("p", { class: "sub" }, `Investigation of ${/^[aeiou]/.test(target.kind) ? "an" : "a"} ${target.kind}${target.cluster ? " in cluster " + safe(target.cluster) : ""} · ${when(from)} to ${when(until)} UTC`), h("span", { class: "grow" }), themeButton()),
  h("main", { id: "main" }, answer,
    found && !data.covered ? h("p", { class: "notice" }, "The evidence does not cover the whole window: there may be more than is shown.") : null,
    target.known ? null : h("p", { class: "notice" }, "The evidence does not know this target at all.", target.nearest.length ? [" Did you mean ", target.nearest.map((name, i) => [i ? ", " : "", code(name)]), "?"] : null),
    found ? facts([["Connections", n(totals.connections)], ...(totals.to_target ? [["To it", n(totals.to_target)]] : []), ...(totals.from_target ? [["From it", n(totals.from_target)]] : []), ...(totals.possibly_to_target ? [["Possibly to it", n(totals.possibly_to_target)]] : []), [totals.clients === 1 ? "Client" : "Clients", n(totals.clients)], [totals.servers === 1 ? "Server" : "Servers", n(totals.servers)], ...(totals.bytes ? [["Sent by clients", size(totals.bytes.sent)], ["Received", size(totals.bytes.received)]] : []), ["Denied", n(denied), denied > 0]]) : null,
    found ? section("When", `First ${when(time(totals.first))}, last ${when(time(totals.last))} UTC. A bar is ${stepText}; red is denied, a red foot is time in which nothing could be seen.`, h("div", { class: "card chart" }, bigTimeline(), grades.length ? [h("h3", {}, "Evidence for names outside the cluster"), gradeTimeline()] : null)) : null,
    findings.size ? section("What is suspect", findings.size > SUSPECTS_MAX ? `The ${SUSPECTS_MAX} most severe of ${n(findings.size)}; the others stand with their pairs.` : null, h("div", { class: "card findings" }, suspectBlocks())) : null,
    found ? section("Who with whom", "Open a row for the evidence.", pairs().node) : null,
    found && data.policies ? section("Do the policies allow it", `${data.policies.count === 1 ? "1 policy" : n(data.policies.count) + " policies"}, profile ${[...new Set(Object.values(data.policies.profiles))].join(", ")}. What was denied when it was recorded is judged too.`,
      facts(ANSWERS.filter((answer) => data.policies.answers[answer]).map((answer) => [ANSWER[answer][0], n(data.policies.answers[answer]), answer === "would-break"])), h("div", { class: "below" }, policyTable().node),
      data.policies.caveats.length ? h("ul", { class: "notes" }, data.policies.caveats.map((text) => h("li", {}, "Not judged: " + text))) : null) : null,
    data.names.length || data.addresses.length ? section("Names and addresses", "By the DNS answers, whoever asked.", h("div", { class: "two" }, namesTable("Names", data.names), addressTable("Addresses", data.addresses))) : null,
    data.sibling_names.length || data.sibling_addresses.length ? section("Siblings", "Other names that were answered with the same addresses, and other addresses of the same names. A shared address says little where many share it.", h("div", { class: "two" }, data.sibling_names.length ? namesTable("Other names", data.sibling_names) : null, data.sibling_addresses.length ? addressTable("Other addresses", data.sibling_addresses) : null)) : null,
    data.asked_only.length ? section("Asked for, never connected to", null, dataTable({ caption: "Asked only", noun: "name", rows: data.asked_only, pageSize: 15, columns: [{ label: "Name", value: (row) => row.name, cell: (row) => code(row.name) }, { label: "Answers", numeric: true, value: (row) => row.answers, cell: (row) => n(row.answers) }, { label: "First", tight: true, value: (row) => time(row.first), cell: (row) => short(time(row.first)) }, { label: "Last", tight: true, value: (row) => time(row.last), cell: (row) => short(time(row.last)) }] }).node) : null,
    data.around && data.around.rows.length ? section("Around it", `What the same pods did within ${plural(data.around.minutes, "minute")} of a connection of the target; the nearest first.`, around().node) : null,
    found ? section("Connections", data.connections.total > data.connections.shown ? `The earliest ${n(data.connections.shown)} of ${n(data.connections.total)}.` : "Each once, however many records tell of it.", connections().node) : null,
    section("Coverage", "What the sources could see. Red is silence of a source that is busy otherwise: nothing seen there proves nothing.", coverageStrips(clusters, from, until), gapList(clusters))),
  h("footer", {}, h("ul", { class: "notes" }, data.notes.map((note) => h("li", {}, note))), h("p", {}, "Times are UTC. This page holds its data and asks no network.")));
contents();
document.documentElement.dataset.ready = "true";
