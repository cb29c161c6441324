
// Workloads on the left, destinations on the right. Width grows with the square root of the connections, so that the rare stays visible.
function flowMap(edges, pick) {
  const LEFT = 12, RIGHT = 18, W = 1100, GAP = 7, TOP = 24, INNER = 10;
  const weigh = (edge) => Math.sqrt(edge.connections);
  const gather = (key, label) => {
    const nodes = new Map();
    for (const edge of edges) {
      const id = key(edge);
      const node = nodes.get(id) || { id, label: label(edge), weight: 0, worst: 0, connections: 0, category: edge.category };
      node.weight += weigh(edge); node.connections += edge.connections; node.worst = Math.max(node.worst, edge.open ? edge.severity : 0);
      nodes.set(id, node);
    }
    return [...nodes.values()].sort((a, b) => b.worst - a.worst || b.weight - a.weight || (a.id < b.id ? -1 : 1));
  };
  const keep = (list, most, word) => {
    const kept = list.slice(0, most), rest = list.slice(most), map = new Map(kept.map((node) => [node.id, node]));
    if (rest.length) {
      const other = { id: null, label: `${n(rest.length)} other ${word}`, weight: 0, worst: 0, connections: 0, category: "other" };
      for (const node of rest) { other.weight += node.weight; other.connections += node.connections; map.set(node.id, other); }
      kept.push(other);
    }
    return [kept, map];
  };
  const allLeft = gather((edge) => edge.fromId, (edge) => edge.workload), allRight = gather((edge) => edge.toId, (edge) => edge.peer);
  const [left, leftOf] = keep(allLeft, LEFT, "workloads"), [right, rightOf] = keep(allRight, RIGHT, "destinations");
  const links = new Map();
  for (const edge of edges) {
    const a = leftOf.get(edge.fromId), b = rightOf.get(edge.toId), id = (a.id || "") + "\n" + (b.id || "");
    const link = links.get(id) || { a, b, weight: 0, connections: 0, worst: 0, category: b.category };
    link.weight += weigh(edge); link.connections += edge.connections; link.worst = Math.max(link.worst, edge.open ? edge.severity : 0);
    links.set(id, link);
  }
  const rows = Math.max(left.length, right.length), H = Math.max(180, rows * 26);
  const total = Math.max(1e-9, left.reduce((sum, node) => sum + node.weight, 0));
  const place = (nodes) => {
    const least = 7, room = H - GAP * (nodes.length - 1), flex = Math.max(0, room - least * nodes.length);
    let y = TOP + Math.max(0, (H - GAP * (nodes.length - 1) - nodes.reduce((sum, node) => sum + least + flex * node.weight / total, 0)) / 2);
    for (const node of nodes) { node.h = least + flex * node.weight / total; node.y = y; node.used = 0; y += node.h + GAP; }
  };
  place(left); place(right);
  const x0 = 300, x1 = W - 330;
  const svg = s("svg", { viewBox: `0 0 ${W} ${H + TOP + 8}`, width: W, height: H + TOP + 8, role: "group", "aria-label": "Flow map from workloads to destinations. The table below says the same." });
  svg.style.width = "100%"; svg.style.height = "auto";
  svg.append(s("text", { x: x0, y: 12, class: "small", "text-anchor": "end" }, "Workloads"), s("text", { x: x1, y: 12, class: "small" }, "Destinations"));
  const order = [...links.values()].sort((p, q) => left.indexOf(p.a) - left.indexOf(q.a) || right.indexOf(p.b) - right.indexOf(q.b));
  for (const link of order) link.ha = Math.max(1, link.a.h * link.weight / link.a.weight), link.hb = Math.max(1, link.b.h * link.weight / link.b.weight);
  const ribbons = [];
  for (const link of order) { link.ya = link.a.y + link.a.used; link.a.used += link.ha; }
  for (const link of [...order].sort((p, q) => right.indexOf(p.b) - right.indexOf(q.b) || left.indexOf(p.a) - left.indexOf(q.a))) { link.yb = link.b.y + link.b.used; link.b.used += link.hb; }
  for (const link of order) {
    const { ya, yb, ha, hb } = link, m = (x0 + x1) / 2, xa = x0 + INNER, xb = x1 - INNER;
    const d = `M${xa},${ya}C${m},${ya} ${m},${yb} ${xb},${yb}L${xb},${yb + hb}C${m},${yb + hb} ${m},${ya + ha} ${xa},${ya + ha}Z`;
    const ribbon = s("path", { d, class: "ribbon " + (link.worst ? "fill-suspect" : "fill-" + (CATEGORIES.includes(link.category) ? link.category : "soft")) }, s("title", {}, `${link.a.label} to ${link.b.label}: ${plural(link.connections, "connection")}`));
    ribbons.push([link, ribbon]); svg.append(ribbon);
  }
  const node = (item, x, side) => {
    const light = (on) => { svg.classList.toggle("focus", on); for (const [link, ribbon] of ribbons) ribbon.classList.toggle("on", on && (link.a === item || link.b === item)); };
    const text = side === "left" ? { x: x - 8, "text-anchor": "end" } : { x: x + INNER + 8 };
    const long = safe(item.label), shown = long.length > 40 ? long.slice(0, 22) + "…" + long.slice(-16) : long;
    const act = item.id === null ? {} : { role: "button", tabindex: "0", onclick: () => pick(side, item), onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(side, item); } }, "aria-label": `${long}: ${plural(item.connections, "connection")}${item.worst ? ", suspect" : ""}. Filter the table by it.` };
    return s("g", { ...act, onmouseenter: () => light(true), onmouseleave: () => light(false), onfocus: () => light(true), onblur: () => light(false) },
      s("rect", { x, y: item.y, width: INNER, height: item.h, rx: 2, class: item.worst ? "fill-suspect" : side === "left" ? "fill-soft" : "fill-" + (CATEGORIES.includes(item.category) ? item.category : "soft") }),
      s("text", { ...text, y: item.y + item.h / 2 + 4, class: "mono" }, shown), s("title", {}, `${item.label}: ${plural(item.connections, "connection")}`));
  };
  svg.append(left.map((item) => node(item, x0, "left")).reduce((all, one) => (all.append(one), all), s("g")));
  svg.append(right.map((item) => node(item, x1 - INNER, "right")).reduce((all, one) => (all.append(one), all), s("g")));
  return svg;
}
