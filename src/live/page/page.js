// The live page: asks for the overview as JSON, shows it, and asks again whenever the server says that it changed.
//
// Views are functions from data to nodes; `patch` brings what is on the page up to them, so that open rows, focus and
// scrolling stay as they are. Text from data only ever becomes text nodes: a client may be named `<script>`. Characters in it that
// nobody sees, or that turn others round, are shown as escapes.
"use strict";

// ---------------------------------------------------------------- numbers and times, as people read them

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const large = new Intl.NumberFormat("en", { notation: "compact", minimumFractionDigits: 0, maximumFractionDigits: 2 });
const number = (value) => (Math.abs(value) < 1e10 ? whole : large).format(value);
const count = (value, one, many = one + "s") => `${number(value)} ${Math.round(value) === 1 ? one : many}`;

function percent(ratio) {
  const value = ratio * 100;
  // The spaces do not break.
  if (value > 0 && value < 0.1) return "< 0.1 %";
  if (value > 99.9 && value < 100) return "> 99.9 %";
  if (value > 9_999) return "> 9,999 %";
  return `${value < 10 ? Math.round(value * 10) / 10 : number(value)} %`;
}

function duration(seconds) {
  const steps = [[60, 1, "s"], [3600, 60, "min"], [172800, 3600, "h"], [Infinity, 86400, "days"]];
  const [, unit, name] = steps.find(([below]) => Math.abs(seconds) < below);
  const value = seconds / unit;
  return `${Math.abs(value) < 10 ? Math.round(value * 10) / 10 : number(value)} ${name}`;
}

const minutes = (iso) => iso.slice(0, 16).replace("T", " ");
const seconds = (iso) => iso.slice(0, 19).replace("T", " ");
const time = (iso, none = "never") => iso ? h("time", { datetime: iso, title: `${seconds(iso)} UTC` }, `${minutes(iso)} UTC`) : none;

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const monthName = (name) => `${MONTHS[Number(name.slice(5, 7)) - 1] ?? name} ${name.slice(0, 4)}`;

// ---------------------------------------------------------------- nodes

const UNSEEN = /[\p{Cf}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}]|(?![\n\t])\p{Cc}/gu;

/** Text as it is read: names are chosen by strangers. */
const seen = (text) => text.replace(UNSEEN, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
const readable = (child) => typeof child === "string" ? seen(child) : child;

function h(name, properties, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    // The policy of this page refuses style attributes, and allows this.
    if (key === "css") Object.assign(node.style, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false).map(readable));
  return node;
}

const keyOf = (node) => node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;

/** Makes `old` equal to `fresh`, and keeps whatever nodes it can. Rows with a `data-key` stay themselves wherever they move. */
function patch(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    // Whether a row is open is the reader's to say.
    if (name !== "open" && name !== "style" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  patchChildren(old, [...fresh.childNodes]);
}

function patchChildren(old, fresh) {
  const keyed = new Map();
  for (const child of old.childNodes) if (keyOf(child) !== null) keyed.set(keyOf(child), child);
  let at = old.firstChild;
  for (const child of fresh) {
    const key = keyOf(child);
    const match = key !== null ? keyed.get(key) : at && keyOf(at) === null ? at : null;
    if (match && match.nodeName === child.nodeName) {
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      patch(match, child);
    } else {
      old.insertBefore(child, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

const byId = (id) => document.getElementById(id);

function show(target, ...children) {
  const focused = document.activeElement;
  patchChildren(target, children.flat(2).filter(Boolean).map((child) => typeof child === "string" ? document.createTextNode(seen(child)) : child));
  target.hidden = false;
  // A row that moved has lost the focus on its way.
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

// ---------------------------------------------------------------- what is shown of long lists

const LIMITS = { ghosts: 10, partitions: 8, resolved: 3, findings: 10 };
const expanded = new Set();

function limited(list, name) {
  return expanded.has(name) ? list : list.slice(0, LIMITS[name]);
}

function moreButton(list, name, what) {
  if (list.length <= LIMITS[name]) return null;
  const label = expanded.has(name) ? `Show the first ${LIMITS[name]} only` : `Show all ${list.length} ${what}`;
  return h("button", { type: "button", "data-more": name, "aria-expanded": String(expanded.has(name)) }, label);
}

document.addEventListener("click", (event) => {
  const name = event.target.closest?.("[data-more]")?.dataset.more;
  if (!name) return;
  if (!expanded.delete(name)) expanded.add(name);
  render();
});

// ---------------------------------------------------------------- the month

const heading = (id, title, ...sub) => [h("h2", { id: `${id}-title` }, title), sub.length > 0 && h("p", { class: "sub" }, ...sub)];

function gauge(what, used, wasted, quota, projected) {
  const end = Math.max(quota, used, projected?.upper ?? 0) * 1.02;
  const part = (value) => `${Math.min(100, value / end * 100)}%`;
  const label = `${what}: ${percent(used / quota)} of the quota used` + (projected ? `, ${percent(projected.value / quota)} projected` : "");
  return h("div", { class: "gauge", role: "img", "aria-label": label },
    projected && h("i", { class: "projected", css: { width: part(projected.value) } }),
    projected && h("i", { class: "interval", css: { left: part(projected.lower), width: part(projected.upper - projected.lower) } }),
    h("i", { class: used > quota ? "used over" : "used", css: { width: part(used) } }),
    wasted > 0 && h("i", { class: "wasted", css: { left: part(used - wasted), width: part(wasted) } }),
    h("i", { class: "limit", css: { left: part(quota) } }));
}

function card(title, { used, unit, detail, parts, wasted = 0, quota, setting, projected, runsOut }) {
  const over = quota !== null && used > quota;
  let verdict = null;
  if (over) verdict = h("p", { class: "verdict bad" }, runsOut ? `Over the quota since ${runsOut}` : "Over the quota");
  else if (runsOut) verdict = h("p", { class: "verdict bad" }, `Runs out on ${runsOut}`);
  else if (quota !== null && projected) verdict = projected.upper > quota
    ? h("p", { class: "verdict warn" }, "May run out before the month ends")
    : h("p", { class: "verdict good" }, "Lasts the month");
  return h("div", { class: "card", "data-key": title },
    h("h3", null, title),
    h("p", { class: "big" }, number(used), " ", h("small", null, unit)),
    h("p", { class: "muted" }, detail),
    quota !== null && gauge(title, used, wasted, quota, projected),
    quota !== null
      ? h("p", null, h("strong", null, quota > 0 ? percent(used / quota) : "–"), ` of the quota of ${number(quota)}`)
      : h("p", { class: "muted" }, "No quota set: add ", h("code", null, setting), " to the settings to see how far this goes."),
    verdict,
    projected && h("p", null, "By the month’s end ", h("strong", null, number(projected.value)),
      h("span", { class: "muted" }, ` (${number(projected.lower)} to ${number(projected.upper)}, 80 % interval)`)),
    parts);
}

function month(overview) {
  const { month } = overview;
  const { active_users: users, m2m_tokens: tokens, organizations, enterprise_connections: connections } = month;
  const ghosts = overview.ghosts.reduce((all, ghost) => all + (ghost.billable ? ghost.avoidable : 0), 0);
  const parts = tokens.issued > 0 && [
    h("p", null, h("span", { class: "key" }), `${number(tokens.needed)} needed`),
    h("p", null, h("span", { class: "key wasted" }), `${number(tokens.avoidable)} avoidable`,
      ` (${percent(tokens.avoidable / tokens.issued)}) with a cache at each address`),
    tokens.avoidable > 0 && h("p", { class: "muted" }, `${number(ghosts)} of them by ghosts`,
      ghosts < tokens.avoidable && ", the others by fleets behind one address, jobs, restarts, or clients too young or too irregular to tell"),
  ];
  show(byId("month"),
    heading("month", month.name ? `${monthName(month.name)} so far` : "This month so far",
      `${percent(month.elapsed)} of the month has passed.`),
    h("div", { class: "cards" },
      card("Active users", {
        used: users.users.estimate, unit: "users", detail: `between ${number(users.users.lower)} and ${number(users.users.upper)}`, quota: users.quota, setting: "quota.mau",
        projected: users.projected, runsOut: users.runs_out_on,
      }),
      card("M2M tokens", {
        used: tokens.issued, unit: "billable tokens", detail: `and ${number(tokens.unbillable)} not billed, for Auth0’s APIs`, parts, wasted: tokens.avoidable, quota: tokens.quota,
        setting: "quota.m2m_tokens", projected: tokens.projected, runsOut: tokens.runs_out_on,
      }),
      card("Organizations", { used: organizations.active, unit: "active", detail: "with a login this month", quota: organizations.quota, setting: "quota.organizations" }),
      card("Enterprise connections", {
        used: connections.active, unit: "used", detail: "for a login this month", quota: connections.quota, setting: "quota.enterprise_connections",
      })));
}

// ---------------------------------------------------------------- charts

const charts = new Map();
const dark = matchMedia("(prefers-color-scheme: dark)");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const CHART_HEIGHT = 220;
const utc = (stamp) => uPlot.tzDate(new Date(stamp * 1000), "Etc/UTC");
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

/** Draws `data` into the section's chart; `options` is asked again when colours change. */
function draw(section, options, data, label) {
  const target = byId(section).querySelector(".chart");
  target.setAttribute("aria-label", label);
  target.hidden = false;
  const chart = charts.get(section);
  if (chart) {
    chart.plot.setData(data);
    chart.data = data;
    return;
  }
  const make = () => new uPlot({ width: Math.max(200, target.clientWidth), height: CHART_HEIGHT, ...options() }, charts.get(section).data, target);
  const entry = { data, make, plot: null };
  charts.set(section, entry);
  entry.plot = make();
  entry.watch = new ResizeObserver(() => {
    const width = target.clientWidth;
    if (width > 0 && width !== entry.plot.width) entry.plot.setSize({ width, height: CHART_HEIGHT });
  });
  entry.watch.observe(target);
}

function undraw(section) {
  byId(section).querySelector(".chart").hidden = true;
  charts.get(section)?.watch.disconnect();
  charts.get(section)?.plot.destroy();
  charts.delete(section);
}

dark.addEventListener("change", () => {
  for (const chart of charts.values()) {
    chart.plot.destroy();
    chart.plot = chart.make();
  }
});

function axes(values, space) {
  const shared = { stroke: color("muted"), font: FONT, grid: { stroke: color("grid"), width: 1 }, ticks: { stroke: color("grid"), width: 1 } };
  return [
    { ...shared, space, values: (_, splits) => splits.map(values), size: 30 },
    {
      ...shared,
      values: (_, splits) => splits.map((value) => compact.format(value)),
      incrs: [1, 2, 5].flatMap((first) => [...Array(12).keys()].map((power) => first * 10 ** power)).sort((a, b) => a - b),
      size: (plot, values) => 18 + 7.2 * Math.max(3, ...(values ?? []).map((value) => value.length)),
    },
  ];
}

const upTo = { range: (_, low, high) => [0, Math.max(4, (high ?? 0) * 1.05)] };
const still = { drag: { x: false, y: false }, points: { size: 7 } };

const DAY = 86400;
const two = (value) => String(value).padStart(2, "0");

// What a legend shows: the point under the pointer, or else the latest.
const pointed = (plot, at) => Math.min(at ?? Infinity, plot.data[0].length - 1);
const legend = (plot, _, series, at) => number(plot.data[series][pointed(plot, at)]);

/** Breaks a line where its count starts over, at every new week or month; shows what is then alone, and the latest, as points. */
function breaks(isNew) {
  const starts = (plot, n) => n === 0 || n === plot.data[0].length || isNew(utc(plot.data[0][n]));
  return {
    gaps: (plot, series, first, last, gaps) => {
      const place = (n) => Math.round(plot.valToPos(plot.data[0][n], "x", true));
      for (let n = first + 1; n <= last; n++) if (starts(plot, n)) gaps.push([place(n - 1), place(n)]);
      return gaps.sort((a, b) => a[0] - b[0]);
    },
    points: {
      show: true, size: 6,
      filter: (plot) => [...plot.data[0].keys()].filter((n) => n === plot.data[0].length - 1 || (starts(plot, n) && starts(plot, n + 1))),
    },
  };
}

function usersOptions() {
  const shape = { day: breaks(() => false), week: breaks((date) => date.getDay() === 1), month: breaks((date) => date.getDate() === 1) };
  const line = (label, name) => ({ label, stroke: color(name), width: 2, value: legend, ...shape[name] });
  const bound = (name) => ({ stroke: "transparent", width: 0, class: "no-legend", gaps: shape[name].gaps, points: { show: false } });
  const band = (name) => color(name) + "2e";
  return {
    cursor: still,
    scales: { x: { time: true, range: (_, low, high) => [low - DAY / 4, Math.max(high, low + DAY) + DAY / 4] }, y: upTo },
    axes: axes((stamp) => { const date = utc(stamp); return `${two(date.getMonth() + 1)}-${two(date.getDate())}`; }, 56)
      .map((axis, at) => at === 0 ? { ...axis, incrs: [1, 2, 3, 7, 14, 28, 56].map((days) => days * DAY) } : axis),
    tzDate: utc,
    series: [
      { label: "Day", value: (plot, _, series, at) => new Date(plot.data[0][pointed(plot, at)] * 1000).toISOString().slice(0, 10) },
      line("Month so far (MAU)", "month"), line("Week so far (WAU)", "week"), line("Day (DAU)", "day"),
      ...["month", "month", "week", "week", "day", "day"].map(bound),
    ],
    bands: [
      { series: [5, 4], fill: band("month") }, { series: [7, 6], fill: band("week") }, { series: [9, 8], fill: band("day") },
    ],
  };
}

function users(overview) {
  const days = overview.active_users_by_day;
  const last = days.at(-1);
  const section = byId("users");
  section.hidden = false;
  const figure = (name, { estimate, lower, upper }) =>
    h("span", null, `${name} `, h("b", null, number(estimate)), ` users (${number(lower)} to ${number(upper)})`);
  show(section.querySelector(".head"),
    heading("users", "Active users by day", "Distinct users of each UTC day, of its week and of its month so far; shaded: bounds."),
    last
      ? h("p", { class: "figures" }, figure(last.date, last.day), figure("Week", last.week), figure("Month", last.month))
      : h("p", { class: "empty" }, h("strong", null, "No active users yet. "),
        "They come from logins, signups and token exchanges of users: check that the log stream is not filtered to other categories."));
  if (!last) {
    undraw("users");
    show(section.querySelector(".foot"));
    return;
  }
  const column = (pick) => days.map(pick);
  draw("users", usersOptions, [
    column((day) => Date.parse(`${day.date}T00:00:00Z`) / 1000),
    column((day) => day.month.estimate), column((day) => day.week.estimate), column((day) => day.day.estimate),
    ...["month", "week", "day"].flatMap((of) => [column((day) => day[of].lower), column((day) => day[of].upper)]),
  ], `Active users from ${days[0].date} to ${last.date}; the same numbers are in the table below`);
  const cell = ({ estimate, lower, upper }) =>
    h("td", { class: "num" }, number(estimate), h("span", { class: "line2" }, `${number(lower)} to ${number(upper)}`));
  show(section.querySelector(".foot"), table("Active users as a table",
    [["Day, UTC", false], ["Day, users", true], ["Week so far, users", true], ["Month so far, users", true]],
    days.toReversed().map((day) => h("tr", { "data-key": day.date }, h("td", null, day.date), cell(day.day), cell(day.week), cell(day.month)))));
}

/** Numbers of a chart for whoever reads tables rather than charts. */
function table(title, columns, rows) {
  return h("details", null, h("summary", null, title),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
      h("table", null,
        h("thead", null, h("tr", null, columns.map(([name, isNumber]) => h("th", { scope: "col", class: isNumber && "num" }, name)))),
        h("tbody", null, rows))));
}

const WINDOW = 300;

function tokensOptions() {
  const stepped = uPlot.paths.stepped({ align: 1 });
  const area = (label, name, extra) => ({ label, stroke: color(name), width: 1.5, paths: stepped, points: { show: false }, value: legend, ...extra });
  // The last point only ends the last window.
  const window = (plot, at) => new Date(plot.data[0][Math.min(pointed(plot, at), plot.data[0].length - 2)] * 1000).toISOString();
  return {
    cursor: still,
    scales: { x: { time: true, range: (_, low, high) => [high - DAY, high] }, y: upTo },
    axes: axes((stamp) => { const date = utc(stamp); return `${two(date.getHours())}:${two(date.getMinutes())}`; }, 56)
      .map((axis, at) => at === 0 ? { ...axis, incrs: [1, 2, 3, 4, 6, 12].map((hours) => hours * 3600) } : axis),
    tzDate: utc,
    series: [
      { label: "From", value: (plot, _, series, at) => `${minutes(window(plot, at))} UTC` },
      area("Issued", "avoidable"),
      area("Needed", "needed", { fill: color("needed") + "66" }),
      { label: "Avoidable", stroke: "transparent", width: 0, paths: () => null, points: { show: false }, value: legend },
    ],
    bands: [{ series: [1, 2], fill: color("avoidable") + "66" }],
  };
}

function tokens(overview) {
  const windows = overview.token_rate;
  const section = byId("tokens");
  section.hidden = false;
  const sum = (name) => windows.reduce((all, window) => all + window[name], 0);
  const [issued, needed, avoidable] = ["issued", "needed", "avoidable"].map(sum);
  show(section.querySelector(".head"),
    heading("tokens", "M2M token rate", "Tokens issued in each 5 minutes of the last 24 hours, UTC: needed, and avoidable on top."),
    windows.length > 0
      ? h("p", { class: "figures" },
        h("span", null, h("b", null, number(issued)), " tokens issued"),
        h("span", null, h("span", { class: "key" }), h("b", null, number(needed)), " needed"),
        h("span", null, h("span", { class: "key wasted" }), h("b", null, number(avoidable)), ` avoidable (${percent(issued > 0 ? avoidable / issued : 0)})`))
      : h("p", { class: "empty" }, h("strong", null, "No M2M tokens in the last 24 hours. "),
        "They come from events of type ", h("code", null, "seccft"), ": check that the log stream has the category ",
        h("code", null, "auth.token_exchange.success"), "."));
  if (windows.length === 0) {
    undraw("tokens");
    show(section.querySelector(".foot"));
    return;
  }
  // A window that is not named had no tokens. The last value is repeated at its window's end, where its step ends.
  const at = (window) => Date.parse(window.at) / 1000;
  const known = new Map(windows.map((window) => [at(window), window]));
  const data = [[], [], [], []];
  const push = (stamp, window) => [stamp, window?.issued ?? 0, window?.needed ?? 0, window?.avoidable ?? 0].forEach((value, n) => data[n].push(value));
  for (let stamp = at(windows[0]); stamp <= at(windows.at(-1)); stamp += WINDOW) push(stamp, known.get(stamp));
  push(at(windows.at(-1)) + WINDOW, windows.at(-1));
  draw("tokens", tokensOptions, data, `${number(issued)} M2M tokens issued in the last 24 hours, ${number(avoidable)} of them avoidable; by the hour in the table below`);
  const hours = new Map();
  for (const window of windows) {
    const hour = `${window.at.slice(0, 13).replace("T", " ")}:00`;
    const row = hours.get(hour) ?? [0, 0, 0];
    hours.set(hour, [row[0] + window.issued, row[1] + window.needed, row[2] + window.avoidable]);
  }
  show(section.querySelector(".foot"), table("Tokens by the hour as a table",
    [["Hour from, UTC", false], ["Issued, tokens", true], ["Needed, tokens", true], ["Avoidable, tokens", true]],
    [...hours].reverse().map(([hour, row]) => h("tr", { "data-key": hour }, h("td", null, hour), row.map((value) => h("td", { class: "num" }, number(value)))))));
}

// ---------------------------------------------------------------- ghosts

function verdictClass(verdict) {
  if (/^(does not cache|was caching)/.test(verdict)) return "bad";
  return /^(caches well|mended)/.test(verdict) ? "good" : "warn";
}

const facts = (pairs) => h("dl", { class: "facts" },
  pairs.filter(Boolean).map(([name, ...value]) => [h("dt", null, name), h("dd", null, ...value)]));
const mono = (text) => h("span", { class: "mono" }, text);
const orNone = (text) => text ? mono(text) : h("span", { class: "muted" }, "not known");

function ghostRow(ghost) {
  const cell = (label, kind, ...value) => h("span", { class: kind }, h("span", { class: "label" }, label), ...value);
  const named = ghost.client_name || ghost.client_id;
  const broke = ghost.since ? `was caching until ${minutes(ghost.since)} UTC` : ghost.verdict;
  const verdict = ghost.mended_at ? `mended: caches since ${minutes(ghost.mended_at)} UTC` : broke;
  return h("details", { "data-key": ghost.id, class: "ghost" },
    h("summary", null, h("span", { class: "ghost-grid" },
      h("span", { class: "who" }, h("span", { class: "name clamp" }, named), h("span", { class: "muted clamp" }, ghost.audience)),
      h("span", { class: "says" }, h("span", { class: `chip ${verdictClass(verdict)}` }, verdict),
        h("span", { class: "line2" }, `${ghost.confidence} confidence`)),
      cell("Avoidable, tokens", "num avoid", number(ghost.avoidable)),
      cell("Issued, tokens", "num", number(ghost.issued)),
      cell("Avoidable of issued", "num", percent(ghost.waste_ratio)),
      cell("By month’s end, tokens", "num", ghost.projected_avoidable === null ? "–" : number(ghost.projected_avoidable)),
      cell("Of quota", "num", ghost.quota_share !== null ? percent(ghost.quota_share) : ghost.billable ? "–" : "not billed"))),
    h("div", { class: "more" },
      h("div", null,
        h("h4", null, "Evidence, this month"),
        facts([
          ["Issued", count(ghost.issued, "token")],
          ["Needed", `${count(ghost.needed, "token")} with a cache per address`],
          ["Needed, shared", `${count(ghost.needed_shared, "token")} with one cache for all addresses`],
          ["Avoidable", `${count(ghost.avoidable, "token")}, ${percent(ghost.waste_ratio)} of those issued`],
          ["As much as", `${count(ghost.equals_processes, "process", "processes")} with good caches would ask for`],
          ["Addresses", count(ghost.addresses, "address", "addresses")],
          ["Between tokens", ghost.median_spacing_seconds === null ? "not known" : `${duration(ghost.median_spacing_seconds)} (median)`],
          ["Token lifetime", `${duration(ghost.lifetime_seconds)}, ${ghost.lifetime_from}`],
          ghost.since && ["Cached until", time(ghost.since)],
          ghost.mended_at && ["Mended", time(ghost.mended_at)],
          ["User agents", ghost.user_agents.length > 0 ? ghost.user_agents.map((agent) => h("div", null, mono(agent))) : "none sent"],
          ghost.client_name && ["Client name", ghost.client_name],
          ["Client", mono(ghost.client_id)],
          ["Audience", mono(ghost.audience)],
          ["Kept apart", `${count(ghost.keys, "organization and scope set", "organizations and scope sets")}, each with tokens of its own`],
          ["Billed", ghost.billable ? "yes" : "no: an API of Auth0’s own"],
          ["First event", orNone(ghost.first_log_id)],
          ["Last event", orNone(ghost.last_log_id)],
        ])),
      h("div", null,
        h("h4", null, "Why"), h("p", { class: "prose" }, ghost.explanation),
        ghost.fix && h("div", { class: "fix" }, h("h4", null, "Fix"), h("p", { class: "prose" }, ghost.fix)))));
}

// Every client with its verdict: also those that cache for each address alone, where one cache for all would do.
function clientsTable(clients) {
  const columns = [["Client and audience", false], ["Verdict", false], ["Issued, tokens", true], ["Needed with a cache per address", true],
    ["Needed with one cache for all", true], ["Addresses", true]];
  return table(`All M2M clients: ${count(clients.length, "verdict")} this month`, columns, clients.map((one) => h("tr", { "data-key": one.id },
    h("td", null, one.client_name || one.client_id, h("span", { class: "line2" }, one.audience)),
    h("td", null, h("span", { class: `chip ${verdictClass(one.verdict)}` }, one.verdict), h("span", { class: "line2" }, one.explanation)),
    h("td", { class: "num" }, number(one.issued)), h("td", { class: "num" }, number(one.needed)),
    h("td", { class: "num" }, number(one.needed_shared)), h("td", { class: "num" }, number(one.addresses)))));
}

function ghosts(overview) {
  const { ghosts, ghosts_checked: checked, held_back: heldBack, clients } = overview;
  const total = ghosts.reduce((all, ghost) => all + ghost.avoidable, 0);
  const since = checked.from ? [" since ", time(checked.from)] : [];
  const avoidable = clients.reduce((all, one) => all + Math.max(0, one.issued - one.needed), 0);
  // Not every client is listed.
  const atLeast = checked.clients > clients.length ? "at least " : "";
  const empty = checked.clients > 0
    ? [h("strong", null, "No ghosts. "), `${count(checked.clients, "client")} with ${count(checked.issued, "M2M token")}`, ...since,
      " were looked at", avoidable > 0
        ? `; ${atLeast}${count(avoidable, "token")} of them could have been avoided, by fleets behind one address, jobs, restarts, or clients too young or too irregular to tell.`
        : "."]
    : [h("strong", null, "Nothing to look at yet. "), "No client was issued an M2M token", ...since, ". Ghosts are found in events of type ",
      h("code", null, "seccft"), "."];
  const head = ["Client and audience", "Verdict", "Avoidable, tokens", "Issued, tokens", "Avoidable of issued", "By month’s end, tokens", "Of quota"];
  show(byId("ghosts"),
    heading("ghosts", ghosts.length > 0 ? `Ghosts: ${count(ghosts.length, "client")}, ${count(total, "avoidable token")} this month` : "Ghosts",
      "Clients that ask for M2M tokens they could have cached, most avoidable first."),
    heldBack && h("p", { class: "sub warn" }, "Verdicts wait for data: see alerts."),
    ghosts.length === 0
      ? h("p", { class: "empty" }, empty)
      : [
        h("div", { class: "rows" },
          h("div", { class: "ghost-head ghost-grid", "aria-hidden": "true" }, head.map((name, at) => h("span", { class: at > 1 && "num" }, name))),
          limited(ghosts, "ghosts").map(ghostRow)),
        moreButton(ghosts, "ghosts", "ghosts"),
      ],
    clients.length > 0 && clientsTable(clients));
}

// ---------------------------------------------------------------- alerts

const severityClass = (alert) => alert.status === "resolved" ? "" : { critical: "bad", warning: "warn" }[alert.severity] ?? "";

function alertRow(alert) {
  const isFiring = alert.status === "firing";
  return h("details", { "data-key": `${alert.id}:${alert.sequence}`, class: "alert" },
    h("summary", null, h("span", { class: "alert-grid" },
      h("span", null, h("span", { class: `chip ${severityClass(alert)}` }, isFiring ? alert.severity : "resolved")),
      h("span", null, h("span", { class: "name clamp" }, alert.title), h("span", { class: "muted clamp" }, alert.subject)),
      h("span", { class: "when" }, isFiring ? "since " : "ended ", time(isFiring ? alert.since : alert.at)))),
    h("div", { class: "more" },
      h("div", null,
        h("h4", null, "What was seen"), h("p", { class: "prose" }, alert.summary),
        alert.fix && h("div", { class: "fix" }, h("h4", null, "What to do"), h("p", { class: "prose" }, alert.fix))),
      h("div", null,
        h("h4", null, "Evidence"),
        facts([
          ...alert.evidence.map(({ name, value }) => [name, value]),
          ["Began", time(alert.since)],
          [isFiring ? "Decided at" : "Ended", time(alert.at)],
          ["Rule", mono(alert.rule)],
          ["Severity", alert.severity],
          ["Alert", mono(alert.id)],
        ]))));
}

function alerts(overview) {
  const firing = overview.alerts.filter((alert) => alert.status === "firing");
  const resolved = overview.alerts.filter((alert) => alert.status !== "firing");
  show(byId("alerts"),
    heading("alerts", firing.length > 0 ? `Alerts: ${firing.length} firing` : "Alerts", "Decided by the times of the events, once all of a window is there."),
    overview.held_back && h("p", { class: "notice" }, h("strong", null, "Held back: "), overview.held_back),
    firing.length === 0
      ? h("p", { class: "empty" }, h("strong", null, "Nothing fires. "),
        overview.as_of ? ["The newest event is of ", time(overview.as_of), "."] : "There are no events to decide by yet.")
      : h("div", { class: "rows", "data-key": "firing" }, firing.map(alertRow)),
    resolved.length > 0 && [
      h("h3", { class: "list" }, "Resolved, the newest first"),
      h("div", { class: "rows", "data-key": "resolved" }, limited(resolved, "resolved").map(alertRow)),
      moreButton(resolved, "resolved", "resolved alerts"),
    ]);
}

// ---------------------------------------------------------------- the audit

function findingRow(finding) {
  return h("details", { "data-key": `${finding.check}:${finding.subject}`, class: "alert" },
    h("summary", null, h("span", { class: "alert-grid" },
      h("span", null, h("span", { class: "chip bad" }, "required")),
      h("span", null, h("span", { class: "name clamp" }, finding.title),
        h("span", { class: "muted clamp" }, finding.subject, !finding.is_judged && ", found before, and could not be looked at now")),
      h("span", { class: "when" }))),
    h("div", { class: "more" },
      h("div", null,
        h("h4", null, "Why it matters"), h("p", { class: "prose" }, finding.why),
        h("div", { class: "fix" }, h("h4", null, "What to do"), h("p", { class: "prose" }, finding.fix))),
      h("div", null,
        h("h4", null, "Evidence"),
        facts([...finding.evidence.map((what) => ["Seen", what]), ["Check", mono(finding.check)], ["Auth0's page", mono(finding.docs)]]))));
}

function audit(overview) {
  const { audit } = overview;
  byId("audit").hidden = !audit;
  if (!audit) return;
  show(byId("audit"),
    heading("audit", audit.at ? `Audit: ${number(audit.required)} required` : "Audit",
      "The tenant's configuration, of ", mono(audit.source), audit.at ? [", read ", time(audit.at)] : audit.problem ? ", not read yet" : ", which is being read for the first time", "."),
    audit.problem && h("p", { class: "notice" }, h("strong", null, "Not read since: "), audit.problem),
    audit.at && h("p", { class: "empty" }, `Open are ${number(audit.required)} required findings, ${number(audit.recommended)} recommended and ${number(audit.best_practice)} of best practice; `
      + `${number(audit.accepted)} are accepted, and ${number(audit.not_run)} checks could not be run. Judged beside ${audit.events ?? "no events"}. All of them: ghostlight audit.`),
    audit.findings.length > 0 && [
      h("div", { class: "rows", "data-key": "findings" }, limited(audit.findings, "findings").map(findingRow)),
      moreButton(audit.findings, "findings", "findings"),
    ]);
}

// ---------------------------------------------------------------- activity

function typeTable(types, title, empty) {
  if (types.length === 0) return h("div", null, h("h3", null, title), h("p", { class: "empty" }, empty));
  const head = [["Event type", false], ["Events, last 1 h", true], ["Events, last 24 h", true]];
  return h("div", null, h("h3", null, title), h("table", null,
    h("thead", null, h("tr", null, head.map(([name, isNumber]) => h("th", { scope: "col", class: isNumber && "num" }, name)))),
    h("tbody", null, types.map((type) => h("tr", { "data-key": type.type_code },
      h("td", null, mono(type.type_code), h("span", { class: "line2" }, type.meaning), h("span", { class: "line2" }, "last ", time(type.last_at))),
      h("td", { class: "num" }, number(type.events_last_hour)),
      h("td", { class: "num" }, number(type.events_last_day)))))));
}

function failuresTable(failures) {
  const title = "Failed logins by connection, last 24 hours";
  if (failures.length === 0) return h("div", null, h("h3", null, title), h("p", { class: "empty" }, "No logins through a connection in the last 24 hours."));
  const head = [["Connection", false], ["Failed, logins", true], ["Succeeded, logins", true], ["Failed of all", true]];
  return h("div", null, h("h3", null, title), h("table", null,
    h("thead", null, h("tr", null, head.map(([name, isNumber]) => h("th", { scope: "col", class: isNumber && "num" }, name)))),
    h("tbody", null, failures.map((one) => h("tr", { "data-key": one.connection },
      h("td", null, one.connection || h("span", { class: "muted" }, "no connection named")),
      h("td", { class: "num" }, number(one.failed)), h("td", { class: "num" }, number(one.succeeded)),
      h("td", { class: "num" }, percent(one.ratio)))))));
}

function activity(overview) {
  const { rate_limits: limits, attacks, failures } = overview.activity;
  show(byId("activity"),
    heading("activity", "Rate limits, attacks and failed logins"),
    h("div", { class: "thirds" },
      typeTable(limits, "Rate limits", "No rate limit was hit or nearly hit in the last 24 hours."),
      typeTable(attacks, "Attack protection", "No attack protection was set off in the last 24 hours."),
      failuresTable(failures)));
}

// ---------------------------------------------------------------- ingest

const isBehind = (partition) => !partition.is_caught_up;
const worstLag = (partitions) => Math.max(0, ...partitions.filter(isBehind).map((partition) => partition.lag_seconds ?? 0));

function ingest(ingest) {
  const { partitions } = ingest;
  const behind = partitions.filter(isBehind);
  const lag = worstLag(partitions);
  const ordered = partitions.toSorted((a, b) =>
    Number(isBehind(b)) - Number(isBehind(a)) || (b.lag_seconds ?? 0) - (a.lag_seconds ?? 0));
  const stat = (name, value, note) => [h("div", { "data-key": name }, h("dt", null, name), h("dd", null, value, note && h("small", null, note)))];
  const state = (partition) => {
    if (partition.is_caught_up) return h("span", { class: "good" }, "caught up");
    return h("span", { class: "warn" }, partition.lag_seconds === null ? "behind" : `${duration(partition.lag_seconds)} behind`);
  };
  show(byId("ingest"),
    heading("ingest", "Ingest", "What was committed, over all tenants and partitions."),
    ingest.problem && h("p", { class: "notice bad" }, h("strong", null, "Problem: "), ingest.problem),
    h("dl", { class: "stats" },
      stat("Partitions", number(partitions.length), partitions.length === 0 ? "none read yet"
        : behind.length === 0 ? "all caught up"
        : `${number(behind.length)} behind` + (lag > 0 ? `, by up to ${duration(lag)}` : "")),
      stat("Records", number(ingest.records), "committed"),
      stat("Rejected records", number(ingest.rejected), ingest.records === 0 ? "none so far" : ingest.rejected === 0 ? "everything was understood"
        : `${percent(ingest.rejected / ingest.records)} of records, kept in dead_letters`),
      stat("Events", number(ingest.events), "in those records"),
      stat("Duplicate events", number(ingest.duplicates), "known by log_id, not counted"),
      stat("Latest arrival", duration(Math.max(0, ingest.max_lateness_ms) / 1000), "after the event’s own time, at most")),
    partitions.length === 0
      ? h("p", { class: "empty" }, "A partition shows here with its first commit.")
      : [
        h("table", null,
          h("thead", null, h("tr", null, h("th", { scope: "col" }, "Partition"), h("th", { scope: "col", class: "wide-only" }, "Newest event"),
            h("th", { scope: "col", class: "num" }, "Committed up to, offset"),
            h("th", { scope: "col", class: "num" }, "State"))),
          h("tbody", null, limited(ordered, "partitions").map((partition) => h("tr", { "data-key": partition.partition },
            h("td", null, mono(partition.partition), h("span", { class: "line2 narrow-only" }, "newest event: ", time(partition.frontier, "none yet"))),
            h("td", { class: "wide-only" }, time(partition.frontier, "none yet")),
            h("td", { class: "num" }, number(partition.position)),
            h("td", { class: "num" }, state(partition)))))),
        moreButton(partitions, "partitions", "partitions"),
      ]);
}

// ---------------------------------------------------------------- the frame

function tenantPicker(tenants, chosen) {
  const target = byId("tenant");
  if (tenants.length <= 1) {
    show(target, tenants.length === 1 && [h("span", null, "Tenant "), h("strong", { class: "clamp" }, tenants[0])]);
    return;
  }
  show(target, h("label", { for: "tenant-select" }, "Tenant"),
    h("select", { id: "tenant-select" }, tenants.map((name) => h("option", { value: name }, name))));
  byId("tenant-select").value = chosen;
}

document.addEventListener("change", (event) => {
  if (event.target.id !== "tenant-select") return;
  tenant = event.target.value;
  const url = new URL(location.href);
  url.searchParams.set("tenant", tenant);
  history.replaceState(null, "", url);
  refresh();
});

function glance(overview, ingest) {
  const firing = overview.alerts.filter((alert) => alert.status === "firing");
  const isCritical = firing.some((alert) => alert.severity === "critical");
  const { m2m_tokens: tokens, active_users: users } = overview.month;
  const share = (used, quota, runsOut) => quota > 0 ? [used / quota, used > quota ? "bad" : runsOut ? "warn" : ""] : null;
  const item = (target, kind, strong, rest) => h("a", { href: `#${target}`, class: kind }, h("b", null, strong), rest);
  const quota = (name, part) => part && item("month", part[1], percent(part[0]), `of the ${name} quota`);
  const wasted = overview.ghosts.reduce((all, ghost) => all + ghost.avoidable, 0);
  const behind = ingest.partitions.filter(isBehind).length;
  const lag = worstLag(ingest.partitions);
  show(byId("glance"),
    item("alerts", firing.length === 0 ? "good" : isCritical ? "bad" : "warn", number(firing.length), firing.length === 1 ? "alert firing" : "alerts firing"),
    item("ghosts", overview.ghosts.length > 0 ? "warn" : "good", number(overview.ghosts.length),
      (overview.ghosts.length === 1 ? "ghost" : "ghosts") + (wasted > 0 ? `, ${compact.format(wasted)} avoidable tokens` : "")),
    quota("user", share(users.users.estimate, users.quota, users.runs_out_on)),
    quota("token", share(tokens.issued, tokens.quota, tokens.runs_out_on)),
    overview.held_back && item("alerts", "warn", "Verdicts", "held back"),
    ingest.problem ? item("ingest", "bad", "Ingest", "has a problem")
      : behind > 0 ? item("ingest", "warn", number(behind), `of ${number(ingest.partitions.length)} partitions behind` + (lag > 0 ? `, ${duration(lag)}` : ""))
      : item("ingest", "good", "Ingest", "caught up"));
  document.title = `${firing.length > 0 ? `(${firing.length}) ` : ""}${seen(overview.tenant)} – ghostlight`;
}

const SECTIONS = ["month", "users", "tokens", "ghosts", "alerts", "audit", "activity"];

function noData() {
  SECTIONS.forEach((id) => { byId(id).hidden = true; });
  show(byId("glance"));
  document.title = "ghostlight";
  const url = `${location.origin}/v1/logs`;
  show(byId("notices"), h("div", { class: "panel" },
    h("h2", null, "No data yet"),
    h("p", { class: "empty" }, "Everything here is counted from the log events of an Auth0 tenant, and shows with the first commit."),
    h("h3", null, "Send it events"),
    h("p", null, "In Auth0, make a log stream of the kind Custom Webhook to this address (", h("code", null, "webhook.path"), " in the settings names the path):"),
    h("pre", null, url),
    h("h3", null, "Or a simulated tenant"),
    h("pre", null, `ghostlight simulate --events 100000 --days 3 --post ${url}`),
    h("h3", null, "Or read a Kafka topic"),
    h("pre", null, "ghostlight run --kafka HOST:PORT --topic TOPIC")));
}

// ---------------------------------------------------------------- asking, and hearing of changes

let tenant = new URL(location.href).searchParams.get("tenant");
let answer = null;
let problem = null;

function render() {
  if (!answer) return;
  const { overview, tenants } = answer;
  status();
  tenantPicker(tenants, overview?.tenant);
  ingest(answer.ingest);
  if (!overview) return noData();
  show(byId("notices"), problem && h("p", { class: "notice" }, problem));
  glance(overview, answer.ingest);
  [month, users, tokens, ghosts, alerts, audit, activity].forEach((view) => view(overview));
}

let connection = "connecting";
let lostAt = null;

function status() {
  const upTo = answer?.overview?.as_of ?? answer?.as_of;
  const data = upTo ? `events up to ${seconds(upTo)} UTC` : "no events yet";
  const texts = {
    connecting: "Connecting…",
    live: `Live, ${data}`,
    lost: `Connection lost at ${(lostAt ?? "").slice(11, 19)} UTC, trying again; shown are ${data}`,
    asking: `No live updates now, asking every few seconds; ${data}`,
    refused: "Logged out: reload the page to log in",
  };
  const live = byId("live");
  live.dataset.state = connection === "refused" ? "lost" : connection;
  if (byId("live-text").textContent !== texts[connection]) byId("live-text").textContent = texts[connection];
}

function connected(state) {
  if (state === "lost" && connection !== "lost") lostAt = new Date().toISOString();
  connection = state;
  status();
}

// The server says at least every 10 seconds that it is there.
const SILENCE_MS = 25_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 15_000;

let asking = false;
let askAgain = false;
let awaited = null;
let askTimer = 0;

/** Asks for the newest numbers; one question at a time, and one more if meanwhile a revision came that the answer is not of. */
async function refresh(revision = null) {
  if (asking) {
    askAgain = true;
    awaited = revision;
    return;
  }
  asking = true;
  try {
    do {
      askAgain = false;
      const asked = tenant;
      const query = asked === null ? "" : `?tenant=${encodeURIComponent(asked)}`;
      const response = await fetch(`/api/v1/overview${query}`, { cache: "no-store", signal: AbortSignal.timeout(20_000) });
      if (response.status === 401) return connected("refused");
      if (response.status === 404) {
        problem = `No events of the tenant ${asked} came so far; this is the first one that is known.`;
        tenant = null;
        askAgain = true;
        awaited = null;
        continue;
      }
      if (!response.ok) throw new Error(`${response.status}`);
      if (asked !== null) problem = null;
      const fresh = await response.json();
      // What was asked before the reader chose another tenant is of no use.
      if (asked === tenant) {
        answer = fresh;
        render();
      }
    } while (askAgain && (awaited === null || awaited !== answer?.revision));
    if (events.readyState === EventSource.OPEN) connected("live");
    else if (connection === "lost") connected("asking");
  } catch {
    connected("lost");
    clearTimeout(askTimer);
    askTimer = setTimeout(() => refresh(), RETRY_MAX_MS);
  } finally {
    asking = false;
  }
}

let events = null;
let retryMs = RETRY_FIRST_MS;
let silence = 0;

function heard() {
  clearTimeout(silence);
  silence = setTimeout(reconnect, SILENCE_MS);
}

function listen() {
  events = new EventSource("/api/v1/events");
  events.addEventListener("overview", (event) => {
    const revision = Number(event.data);
    retryMs = RETRY_FIRST_MS;
    heard();
    connected("live");
    if (asking || revision !== answer?.revision) refresh(revision);
  });
  events.addEventListener("alive", heard);
  events.addEventListener("error", reconnect);
  heard();
}

/** The browser itself tries again after some errors only; so every error is taken the same. */
function reconnect() {
  events.close();
  clearTimeout(silence);
  if (connection === "refused") return;
  connected("lost");
  setTimeout(() => {
    listen();
    // Where no stream is to be had, the numbers are; and a page that was logged out hears of it.
    refresh();
  }, retryMs);
  retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
}

listen();
refresh();
