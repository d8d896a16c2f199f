// The page: keeps what the sandbox holds, follows its changes, and shows a channel and a thread beside it.

import { clockTime, messageElement, momentOf, plural, replyCount } from "./message.js";
import { element, mrkdwn } from "./mrkdwn.js";
import { takePeople } from "./people.js";

const SHOWN = 200; // how many of a channel's newest messages are on the page; a button shows more
const WAIT = 25; // seconds that a long poll may take
const RETRY = 1000; // milliseconds after a failed poll
const ONCE = new URLSearchParams(location.search).has("once"); // for screenshots: no request is left open
const WIDE = window.matchMedia("(min-width: 900px)");

const find = (selector) => document.querySelector(selector);
const messages = new Map(); // "channel/ts" -> message
const threads = new Map(); // "channel/ts" of the parent -> its replies that are not deleted, oldest first
let channels = [];
let version = 0;
let epoch = 0;
let shown = SHOWN;
let selected = ""; // the ts of the message whose notifications are shown; without one it is the thread's first
let threadWasChosen = false; // a person opened or closed one: no other opens by itself any more

// --- what the sandbox holds ---

function take(answer) {
  if (answer.epoch !== epoch) {
    messages.clear();
    threads.clear();
    epoch = answer.epoch;
  }
  channels = answer.channels;
  version = answer.version;
  const changed = new Set();
  for (const message of answer.messages) {
    messages.set(`${message.channel}/${message.ts}`, message);
    const root = `${message.channel}/${message.thread_ts ?? message.ts}`;
    changed.add(root);
    if (message.thread_ts) fileReply(root, message);
  }
  return changed;
}

function fileReply(root, reply) {
  const replies = (threads.get(root) ?? []).filter((other) => other.ts !== reply.ts);
  if (!reply.deleted) replies.push(reply);
  threads.set(root, replies.sort((a, b) => Number(a.ts) - Number(b.ts)));
}

function repliesTo(message) {
  return threads.get(`${message.channel}/${message.ts}`) ?? [];
}

// What stands in a channel: as in Slack, a deleted message only stays while it has replies.
function rootsOf(channel) {
  const isShown = (m) => m.channel === channel && !m.thread_ts && (!m.deleted || repliesTo(m).length);
  return [...messages.values()].filter(isShown).sort((a, b) => Number(a.ts) - Number(b.ts));
}

// --- which channel and thread: the address says it, "#C0ALERTS/1700000000.000100" ---

function place() {
  const [channel, ts] = location.hash.slice(1).split("/");
  const known = channels.some((c) => c.id === channel);
  return { channel: known ? channel : (channels[0]?.id ?? ""), ts: known ? (ts ?? "") : "" };
}

function go(channel, ts = "") {
  history.replaceState(null, "", `#${channel}${ts ? `/${ts}` : ""}`);
  showEverything();
}

function openThread(ts) {
  threadWasChosen = true;
  const root = messages.get(`${place().channel}/${ts}`);
  go(place().channel, root?.thread_ts ?? ts);
}

function closeThread() {
  const { channel, ts } = place();
  threadWasChosen = true;
  go(channel);
  find(`.messages [data-ts="${ts}"]`)?.focus();
}

// The newest thread opens by itself, once, where there is room for it.
function openFirstThread(roots) {
  const { channel, ts } = place();
  if (ts || threadWasChosen || !WIDE.matches) return;
  const newest = roots.findLast((root) => repliesTo(root).length);
  if (!newest) return;
  threadWasChosen = true;
  history.replaceState(null, "", `#${channel}/${newest.ts}`);
}

// --- showing ---

function showEverything() {
  find(".messages").replaceChildren();
  find(".thread-replies").replaceChildren();
  find(".thread-root").replaceChildren();
  show(new Set(messages.keys()));
  scrollToEnd(find(".channel-pane .scroll"));
}

function show(changed) {
  const { channel } = place();
  const roots = rootsOf(channel);
  openFirstThread(roots);
  showChannels(channel);
  showChannel(channel, roots, changed);
  showThread(changed);
}

function showChannels(current) {
  const items = channels.map(({ id, standing }) => {
    const count = rootsOf(id).length;
    const link = element("a", "", element("span", "hash", "#"), element("span", "name", id));
    link.href = `#${id}`;
    if (id === current) link.ariaCurrent = "page";
    if (standing !== "exists") link.append(element("span", "standing", standing.replaceAll("_", " ")));
    else if (count) link.append(element("span", "count", String(count)));
    return element("li", "", link);
  });
  find(".channels").replaceChildren(...items);
}

function showChannel(channel, roots, changed) {
  find(".channel-name").textContent = channel ? `# ${channel}` : "No channel yet";
  find(".channel-facts").textContent = roots.length ? factsOf(roots) : "";
  document.title = channel ? `${channel} · Slack sandbox` : "Slack sandbox";
  find(".empty").hidden = roots.length > 0;
  find(".earlier").hidden = roots.length <= shown;
  const scroll = find(".channel-pane .scroll");
  const atEnd = isAtEnd(scroll);
  sync(find(".messages"), roots.slice(-shown), changed, rootElement);
  addDays(find(".messages"));
  if (atEnd) scrollToEnd(scroll);
}

function factsOf(roots) {
  const replies = roots.reduce((sum, root) => sum + repliesTo(root).length, 0);
  return `${plural(roots.length, "message", "messages")} · ${plural(replies, "reply", "replies")} in threads`;
}

function rootElement(message) {
  const made = messageElement(message, "root");
  const replies = repliesTo(message);
  if (replies.length) made.querySelector(".body").append(replyCount(replies));
  return made;
}

function showThread(changed) {
  const { channel, ts } = place();
  const root = messages.get(`${channel}/${ts}`);
  const replies = root ? repliesTo(root) : [];
  const isOpen = Boolean(root) && (!root.deleted || replies.length > 0);
  find(".thread-pane").hidden = !isOpen;
  document.body.classList.toggle("with-thread", isOpen);
  for (const row of document.querySelectorAll(".messages .message")) {
    row.classList.toggle("open", isOpen && row.dataset.ts === ts);
  }
  if (!isOpen) return;
  const scroll = find(".thread-pane .scroll");
  const atEnd = isAtEnd(scroll);
  find(".thread-channel").textContent = `# ${channel}`;
  find(".thread-divider").textContent = replies.length ? plural(replies.length, "reply", "replies") : "No replies yet";
  sync(find(".thread-root"), [root], changed, (message) => messageElement(message, "message"));
  sync(find(".thread-replies"), replies, changed, (message) => messageElement(message, "reply"));
  showNotifications([root, ...replies]);
  if (atEnd) scrollToEnd(scroll);
}

// What is read before Slack is opened: the message's text, of which a phone shows four rows and a desktop two.
// https://docs.slack.dev/reference/methods/chat.postMessage: beside blocks the text is what notifications display.
function showNotifications(shownMessages) {
  const message = shownMessages.find((m) => m.ts === selected) ?? shownMessages[0];
  for (const row of document.querySelectorAll(".thread-pane .message")) {
    row.classList.toggle("selected", row.dataset.ts === message.ts);
  }
  const where = message.thread_ts ? `Thread in #${message.channel}` : `#${message.channel}`;
  find(".phone .title").textContent = where;
  find(".desktop .title").textContent = `New message in ${where}`;
  const said = element("span", "", ...mrkdwn(message.text)).textContent; // a notification knows no links and no bold
  for (const text of document.querySelectorAll(".notification .said")) {
    text.textContent = message.deleted ? "(deleted)" : `${message.user}: ${said}`;
  }
}

// Make a list's elements follow its messages; only those that changed are made anew, so focus and selection stay.
function sync(list, wanted, changed, make) {
  const present = new Map([...list.querySelectorAll(":scope > .message")].map((row) => [row.dataset.ts, row]));
  const focused = document.activeElement?.closest(".message");
  let before = null;
  for (const message of wanted.toReversed()) {
    let row = present.get(message.ts);
    present.delete(message.ts);
    if (!row || changed.has(`${message.channel}/${message.thread_ts ?? message.ts}`)) {
      const made = make(message);
      if (row) {
        row.replaceWith(made);
        if (row === focused) made.focus({ preventScroll: true });
      }
      row = made;
    }
    if (row.parentNode !== list || nextMessage(row) !== before) list.insertBefore(row, before);
    before = row;
  }
  for (const row of present.values()) row.remove();
}

function nextMessage(row) {
  let next = row.nextElementSibling;
  while (next && !next.matches(".message")) next = next.nextElementSibling;
  return next;
}

function addDays(list) {
  for (const old of list.querySelectorAll(".day")) old.remove();
  let before = "";
  for (const row of list.querySelectorAll(".message")) {
    const day = momentOf(row.dataset.ts).toLocaleDateString(undefined, { dateStyle: "full" });
    if (day !== before) row.before(element("p", "day", element("span", "", day)));
    before = day;
  }
}

function isAtEnd(scroll) {
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
}

function scrollToEnd(scroll) {
  scroll.scrollTop = scroll.scrollHeight;
}

// --- what a person does ---

function onClick(event) {
  const row = event.target.closest(".message");
  const button = event.target.closest("button, a, select");
  if (!row || (button && !button.dataset.action) || String(getSelection())) return;
  if (button?.dataset.action === "delete") askToDelete(row.dataset.ts);
  else if (row.closest(".messages")) openThread(row.dataset.ts);
  else select(row.dataset.ts);
}

function select(ts) {
  selected = ts;
  show(new Set());
}

function onKey(event) {
  if (find(".confirm").open || find(".view").open) return;
  const row = document.activeElement?.closest(".message");
  if (event.key === "Escape" && place().ts) closeThread();
  else if (event.key === "Enter" && row && row === document.activeElement) {
    if (row.closest(".messages")) openThread(row.dataset.ts);
    else select(row.dataset.ts);
  } else if (row && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    const rows = [...document.querySelectorAll(".message")];
    rows[rows.indexOf(row) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
    event.preventDefault();
  }
}

function askToDelete(ts) {
  const dialog = find(".confirm");
  const { channel } = place();
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue === "delete") remove(channel, ts);
  };
  dialog.showModal();
}

async function remove(channel, ts) {
  const body = JSON.stringify({ channel, ts });
  await fetch("sandbox/delete", { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

// --- following the sandbox ---

function setStatus(state, words) {
  find(".status").dataset.state = state;
  find(".status .words").textContent = words;
}

async function follow() {
  for (;;) {
    try {
      const response = await fetch(`sandbox/changes?since=${version}&wait=${version ? WAIT : 0}`);
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const answer = await response.json();
      // After a restart the sandbox counts from the start: what is on the page is void.
      if (version && (answer.version < version || answer.epoch !== epoch)) {
        version = 0;
        epoch = 0;
        continue;
      }
      const isFirst = version === 0;
      const changed = take(answer);
      takePeople(answer);
      setStatus("live", `Live · updated ${clockTime(new Date())}`);
      if (isFirst) showEverything();
      else show(changed);
      if (ONCE) {
        setStatus("live", `As of ${clockTime(new Date())}`);
        return;
      }
    } catch (error) {
      setStatus("lost", "Not connected, trying again…");
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  }
}

function explain() {
  const origin = location.href.replace(/[#?].*$/, "");
  find(".settings").textContent = `SLACK_API_URL=${origin}api/\nSLACK_BOT_TOKEN=xoxb-sandbox\nSLACK_CHANNEL=C0ALERTS`;
  find(".curl").textContent =
    `curl ${origin}api/chat.postMessage \\\n  -H 'Authorization: Bearer xoxb-sandbox' \\\n` +
    `  -H 'Content-Type: application/json; charset=utf-8' \\\n` +
    `  -d '{"channel": "C0ALERTS", "text": "Hello from the sandbox"}'`;
}

document.addEventListener("click", onClick);
document.addEventListener("keydown", onKey);
window.addEventListener("hashchange", () => {
  shown = SHOWN;
  threadWasChosen = false;
  showEverything();
});
find(".close").addEventListener("click", closeThread);
find(".earlier").addEventListener("click", () => {
  shown += SHOWN;
  show(new Set());
});
explain();
follow();
