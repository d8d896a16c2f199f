// Slack's mrkdwn as DOM nodes. Text only ever becomes text nodes, never HTML.
// https://docs.slack.dev/messaging/formatting-message-text

// The people of the sandbox, as people.py has them.
export const USERS = { U0KIM: "Kim", U0LEE: "Lee", U0EVE: "Eve" };

const EMOJI = {
  "+1": "👍", bell: "🔔", book: "📖", bug: "🐛", chart_with_upwards_trend: "📈", eyes: "👀", fire: "🔥",
  hourglass: "⏳", information_source: "ℹ️", large_green_circle: "🟢", large_yellow_circle: "🟡", link: "🔗",
  loudspeaker: "📢", mute: "🔇", no_bell: "🔕", ok_hand: "👌", red_circle: "🔴", repeat: "🔁",
  rotating_light: "🚨", warning: "⚠️", white_check_mark: "✅", x: "❌",
};

// One alternative for each construct; the order decides where two begin at the same place.
const INLINE = new RegExp(
  [
    "```([\\s\\S]+?)```",
    "`([^`\\n]+)`",
    "<([^<>\\n]+)>",
    "(?<![\\w*])\\*(?![\\s*])([^*\\n]*[^*\\s])\\*(?![\\w*])",
    "(?<![\\w_])_(?![\\s_])([^_\\n]*[^_\\s])_(?![\\w_])",
    "(?<![\\w~])~(?![\\s~])([^~\\n]*[^~\\s])~(?![\\w~])",
    ":([a-z0-9_+-]+):",
  ].join("|"),
  "g",
);

export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function emoji(name) {
  return EMOJI[name] ?? `:${name}:`;
}

// A Slack text object.
export function textObject(object) {
  if (object?.type === "plain_text") return [plain(object.text ?? "")];
  return mrkdwn(object?.text ?? "");
}

function plain(text) {
  return text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => EMOJI[name] ?? whole);
}

export function mrkdwn(text) {
  const nodes = [];
  let quote = null;
  const lines = splitLines(text);
  lines.forEach((line, index) => {
    const quoted = /^(?:&gt;|>) ?/.exec(line);
    if (quoted) {
      if (quote) quote.append("\n");
      else nodes.push((quote = element("blockquote")));
      quote.append(...inline(line.slice(quoted[0].length)));
      return;
    }
    if (index > 0 && !quote) nodes.push("\n");
    quote = null;
    nodes.push(...inline(line));
  });
  return nodes;
}

// Lines, except that a ``` block stays whole.
function splitLines(text) {
  const lines = [];
  let open = false;
  for (const line of text.split("\n")) {
    if (open) lines[lines.length - 1] += `\n${line}`;
    else lines.push(line);
    if ((line.match(/```/g) ?? []).length % 2) open = !open;
  }
  return lines;
}

function inline(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, block, code, angle, bold, italic, struck, name] = match;
    if (match.index > from) nodes.push(unescape(text.slice(from, match.index)));
    from = match.index + whole.length;
    if (block !== undefined) nodes.push(element("pre", "", unescape(block.replace(/^\n/, ""))));
    else if (code !== undefined) nodes.push(element("code", "", unescape(code)));
    else if (angle !== undefined) nodes.push(reference(angle));
    else if (bold !== undefined) nodes.push(element("strong", "", ...inline(bold)));
    else if (italic !== undefined) nodes.push(element("em", "", ...inline(italic)));
    else if (struck !== undefined) nodes.push(element("s", "", ...inline(struck)));
    else nodes.push(emoji(name));
  }
  if (from < text.length) nodes.push(unescape(text.slice(from)));
  return nodes;
}

// What stands between < and >: a mention, a date or a link.
function reference(inside) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? null : unescape(inside.slice(bar + 1));
  if (target.startsWith("!date^")) return date(target, label);
  if (target.startsWith("!subteam^")) return mention(label ?? `@${target.slice(9)}`);
  if (target.startsWith("!")) return mention(`@${target.slice(1)}`);
  if (target.startsWith("@")) return mention(`@${label ?? USERS[target.slice(1)] ?? target.slice(1)}`);
  if (target.startsWith("#")) return mention(`#${label ?? target.slice(1)}`);
  return link(unescape(target), label);
}

function mention(text) {
  return element("span", "mention", text);
}

export function link(target, label) {
  if (!/^(https?:\/\/|mailto:)/i.test(target)) return label ? `${label} (${target})` : target;
  const made = element("a", "", label || target);
  made.href = target;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

function date(target, label) {
  const [, seconds, format] = target.split("^");
  const moment = new Date(Number(seconds) * 1000);
  if (Number.isNaN(moment.getTime())) return label ?? target;
  const day = moment.toLocaleDateString(undefined, { dateStyle: "medium" });
  const time = moment.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  const made = element("time", "");
  made.textContent = (format ?? "{date} {time}")
    .replace(/\{date[a-z_]*\}/g, day)
    .replace(/\{time_secs\}/g, moment.toLocaleTimeString())
    .replace(/\{time\}/g, time);
  made.title = label ?? utc(moment);
  return made;
}

export function utc(moment) {
  return `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function unescape(text) {
  return text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}
