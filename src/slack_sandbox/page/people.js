// What a person does on the page: presses, forms, and the lines that only this person sees.

import { clockTime, momentOf } from "./message.js";
import { USERS, element, mrkdwn } from "./mrkdwn.js";

const GUEST = "U0EVE";
const KEPT = 3; // how many of the lines are shown

const find = (selector) => document.querySelector(selector);
let state = { ephemerals: [], views: [] };
let shownView = ""; // the id and hash of the form on the page
let warning = "";

export function takePeople(answer) {
  state = { ephemerals: answer.ephemerals, views: answer.views };
  showWhispers();
  showView();
}

function user() {
  return find(".who").value;
}

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return response.json();
}

// --- pressing ---

async function press(control, option) {
  const row = control.closest(".message");
  control.disabled = true;
  const place = { channel: row.dataset.channel, ts: row.dataset.ts };
  const answer = await post("sandbox/press", { ...place, action_id: control.dataset.press, option, user: user() });
  control.disabled = false;
  // As in Slack: where the app does not answer, the presser sees a warning.
  warning = answer.ok ? "" : "⚠️ The app did not answer. Try again.";
  showWhispers();
}

document.addEventListener("click", (event) => {
  const control = event.target.closest("button[data-press]");
  if (control) press(control, "");
});
document.addEventListener("change", (event) => {
  const control = event.target.closest("select[data-press]");
  if (control && control.value) press(control, control.value).then(() => (control.value = ""));
  if (event.target.matches(".who")) takePeople(state);
});

// --- what only one person sees ---

function showWhispers() {
  const mine = state.ephemerals.filter((each) => each.user === user()).slice(-KEPT);
  const lines = mine.map((each) => {
    const time = element("span", "time", clockTime(momentOf(each.ts)));
    return element("p", "whisper", element("b", "", "Only visible to you"), time, element("br"), ...mrkdwn(each.text));
  });
  if (warning) lines.push(element("p", "whisper warning", warning));
  for (const list of document.querySelectorAll(".whispers")) list.replaceChildren(...lines.map((line) => line.cloneNode(true)));
}

// --- forms ---

function showView() {
  const dialog = find(".view");
  const view = state.views.findLast((each) => each.user === user());
  if (!view) {
    shownView = "";
    if (dialog.open) dialog.close();
    return;
  }
  const now = `${view.id}/${view.hash}/${JSON.stringify(view.errors)}`;
  if (now === shownView) return;
  shownView = now;
  const typed = values(dialog); // what was typed in stays
  dialog.dataset.id = view.id;
  const { title, submit, close, blocks } = view.content;
  const cancel = element("button", "", close?.text ?? "Cancel");
  cancel.type = "button";
  cancel.addEventListener("click", () => post("sandbox/close", { view_id: view.id }));
  const send = element("button", "button primary", submit?.text ?? "Submit");
  send.type = "button";
  send.addEventListener("click", () => post("sandbox/submit", { view_id: view.id, values: values(dialog) }));
  dialog.replaceChildren(
    element("h3", "", title.text),
    ...blocks.map((block) => viewBlock(block, typed, view.errors)),
    element("p", "choices", cancel, send),
  );
  if (!dialog.open) dialog.showModal();
}

function viewBlock(block, typed, errors) {
  if (block.type !== "input") return element("p", "text", ...mrkdwn(block.text?.text ?? ""));
  const { element: input, label } = block;
  const name = input.action_id;
  const fault = errors[block.block_id] ? [element("span", "fault", errors[block.block_id])] : [];
  if (input.type === "checkboxes") {
    const boxes = input.options.map((option) => {
      const box = document.createElement("input");
      box.type = "checkbox";
      box.name = name;
      box.value = option.value;
      box.checked = (typed[name] ?? []).includes(option.value);
      return element("label", "choice", box, ` ${option.text.text}`);
    });
    return element("div", "input", element("b", "", label.text), ...boxes, ...fault);
  }
  const field = document.createElement("input");
  field.type = "text";
  field.name = name;
  field.placeholder = input.placeholder?.text ?? "";
  field.value = typed[name] ?? "";
  return element("label", "input", element("b", "", label.text), field, ...fault);
}

function values(dialog) {
  const found = {};
  for (const field of dialog.querySelectorAll("input")) {
    if (field.type !== "checkbox") found[field.name] = field.value;
    else if (field.checked) found[field.name] = [...(found[field.name] ?? []), field.value];
  }
  return found;
}

find(".who").append(
  ...Object.entries(USERS).map(([id, name]) => {
    const option = element("option", "", id === GUEST ? `${name} (another workspace)` : name);
    option.value = id;
    return option;
  }),
);
find(".view").addEventListener("cancel", () => post("sandbox/close", { view_id: find(".view").dataset.id }));
