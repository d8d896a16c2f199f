// One message as an element: who and when, blocks, attachments with their colour bar, and what can be done with it.

import { element, emoji, link, mrkdwn, textObject, utc } from "./mrkdwn.js";

const NAMED_COLORS = { good: "#2EB67D", warning: "#ECB22E", danger: "#E01E5A" };

export function momentOf(ts) {
  return new Date(Number(ts) * 1000);
}

export function clockTime(moment) {
  return moment.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

export function plural(count, word, words) {
  return `${count} ${count === 1 ? word : words}`;
}

// `role` is "root" or "reply" (in the thread pane "root" too); `replies` are those of its thread.
export function messageElement(message, role, replies = []) {
  const article = element("article", "message");
  article.tabIndex = 0;
  article.dataset.role = role;
  article.dataset.ts = message.ts;
  article.dataset.channel = message.channel;
  const color = colorOf(message);
  if (color) article.dataset.color = color;
  const body = element("div", "body");
  article.append(avatar(message), body);
  if (message.deleted) {
    article.classList.add("tombstone");
    body.append(element("p", "text", "This message was deleted."));
  } else {
    body.append(byline(message), ...safeContent(message), ...reactions(message));
    article.append(toolbar(role));
  }
  return article;
}

export function colorOf(message) {
  const color = (message.attachments ?? []).map((a) => a.color).find((c) => typeof c === "string");
  return color ? hexColor(color) : "";
}

function hexColor(color) {
  const hex = NAMED_COLORS[color] ?? (color.startsWith("#") ? color : `#${color}`);
  return /^#[0-9a-f]{3,8}$/i.test(hex) ? hex.toUpperCase() : "";
}

function avatar(message) {
  const made = element("span", "avatar", message.deleted ? "🗑" : "🧵");
  made.ariaHidden = "true";
  return made;
}

function byline(message) {
  const moment = momentOf(message.ts);
  const time = element("time", "", clockTime(moment));
  time.dateTime = moment.toISOString();
  time.title = utc(moment);
  const also = message.broadcast ? [element("span", "edited", "also sent to the channel")] : [];
  return element("p", "byline", element("b", "", message.user), element("span", "app", "APP"), time, ...also);
}

// Slack accepts more shapes than are known here; one that cannot be shown must not take the page with it.
function safeContent(message) {
  try {
    return content(message);
  } catch (error) {
    console.info(`cannot show ${message.ts}: ${error}`);
    return [element("p", "text", message.text || "(this message cannot be shown here)")];
  }
}

function content(message) {
  const nodes = [];
  // As in Slack: beside blocks the text is what a notification shows, and the page does not.
  if (message.blocks.length) nodes.push(...message.blocks.map(blockElement));
  else if (message.text) nodes.push(element("div", "text", ...mrkdwn(message.text)));
  nodes.push(...message.attachments.map(attachmentElement));
  if (message.edited) nodes.push(editedMark(message.edited));
  return nodes;
}

function editedMark(ts) {
  const mark = element("span", "edited", "(edited)");
  mark.title = utc(momentOf(ts));
  return mark;
}

function attachmentElement(attachment) {
  const made = element("div", "attachment");
  const color = typeof attachment.color === "string" ? hexColor(attachment.color) : "";
  if (color) {
    made.dataset.color = color;
    made.style.setProperty("--bar", color);
  }
  if (attachment.blocks) made.append(...attachment.blocks.map(blockElement));
  else made.append(...oldAttachment(attachment));
  return made;
}

// https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
function oldAttachment(attachment) {
  const nodes = [];
  const { pretext, title, title_link: target, text, fields, footer, fallback } = attachment;
  if (pretext) nodes.push(element("div", "text", ...mrkdwn(pretext)));
  if (title) nodes.push(element("div", "title", target ? link(target, title) : title));
  if (text) nodes.push(element("div", "text", ...mrkdwn(text)));
  if (Array.isArray(fields)) {
    const cells = fields.map((f) =>
      element("div", "field", element("strong", "", f.title ?? ""), "\n", ...mrkdwn(f.value ?? "")),
    );
    nodes.push(element("div", "fields", ...cells));
  }
  if (footer) nodes.push(element("div", "context", ...mrkdwn(footer)));
  return nodes.length ? nodes : [element("div", "text", fallback ?? "")];
}

function blockElement(block) {
  switch (block.type) {
    case "header":
      return element("h3", "block header", ...textObject(block.text));
    case "section":
      return sectionElement(block);
    case "context":
      return element("div", "block context", ...block.elements.map(contextElement));
    case "divider":
      return element("hr", "block");
    case "actions":
      return element("div", "block actions", ...block.elements.map(controlElement));
    case "image":
      return element("p", "block context", `🖼 ${block.alt_text ?? ""}`);
    case "markdown":
      return element("div", "block text", block.text ?? "");
    default:
      return element("p", "block context", `(a ${block.type} block)`);
  }
}

function sectionElement(block) {
  const section = element("div", "block section");
  const words = element("div", "words");
  if (block.text) words.append(element("div", "text", ...textObject(block.text)));
  if (block.fields) {
    const cells = block.fields.map((field) => element("div", "field", ...textObject(field)));
    words.append(element("div", "fields", ...cells));
  }
  section.append(words);
  if (block.accessory) section.append(controlElement(block.accessory));
  return section;
}

function contextElement(part) {
  return element("span", "", ...(part.type === "image" ? [`🖼 ${part.alt_text ?? ""}`] : textObject(part)));
}

function controlElement(control) {
  if (control.type === "static_select") return menuElement(control);
  if (control.type !== "button") return element("span", "context", `(${control.type})`);
  const label = textObject(control.text).join("");
  const made = control.url ? link(control.url, label) : element("button", "", label);
  if (!control.url) {
    made.type = "button";
    made.dataset.press = control.action_id;
  }
  if (made.classList) made.classList.add("button", control.style ?? "plain");
  return made;
}

function menuElement(control) {
  const made = element("select", "button plain");
  const choices = [{ text: control.placeholder, value: "" }, ...(control.options ?? [])];
  made.append(
    ...choices.map((choice) => {
      const option = element("option", "", textObject(choice.text).join(""));
      option.value = choice.value;
      return option;
    }),
  );
  made.dataset.press = control.action_id;
  made.ariaLabel = textObject(control.placeholder).join("");
  return made;
}

function reactions(message) {
  if (!message.reactions.length) return [];
  const pills = message.reactions.map((name) => element("span", "reaction", `${emoji(name)} 1`));
  return [element("p", "reactions", ...pills)];
}

function toolbar(role) {
  const made = element("div", "toolbar");
  if (role === "root") made.append(toolButton("open", "💬", "Open thread"));
  made.append(toolButton("delete", "🗑", "Delete message"));
  return made;
}

function toolButton(action, sign, label) {
  const made = element("button", action, sign);
  made.type = "button";
  made.dataset.action = action;
  made.title = label;
  made.ariaLabel = label;
  return made;
}

export function replyCount(replies) {
  const last = momentOf(replies[replies.length - 1].ts);
  const today = last.toDateString() === new Date().toDateString();
  const when = today ? clockTime(last) : `${last.toLocaleDateString()} ${clockTime(last)}`;
  const made = element("button", "reply-count", element("b", "", plural(replies.length, "reply", "replies")));
  made.append(element("span", "last-reply", ` · last reply ${when}`));
  made.type = "button";
  made.dataset.action = "open";
  made.title = utc(last);
  return made;
}
