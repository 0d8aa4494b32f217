// Views, their forms and buttons, and where problems are shown.

import { Problem } from "./service.js";

export const element = (id) => document.getElementById(id);

/** Show a view, with its forms empty, and let the keyboard go on there. Views get the event `show`. */
export function show(id) {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const form of document.forms) {
    form.reset();
    clearProblem(form);
    // Forms that begin hidden are those for the next step of another one.
    if (form.hasAttribute("data-next")) form.hidden = true;
  }
  for (const view of document.querySelectorAll("main")) view.hidden = view.id !== id;
  element(id).querySelector("h2[tabindex], input:not([type=hidden])").focus();
  element(id).dispatchEvent(new Event("show"));
}

export function showStatus(text) {
  element("status").textContent = text;
}

export function showSignedOut(status = "") {
  removeFragment();
  showStatus(status);
  show("signed-out");
}

/** Remove the fragment, and with it the token of a link, from the address bar and the history. */
export function removeFragment() {
  history.replaceState(null, "", location.pathname + location.search);
}

/** Let the forms for sign-up send the token of an invitation, or none. */
export function setInvitation(token = "") {
  for (const input of document.querySelectorAll('[name="invitation"]')) input.value = token;
}

/** Return the token of an invitation that the forms for sign-up send, or an empty string. */
export const invitation = () => document.querySelector('[name="invitation"]').value;

/** Return a time as the user writes it. */
export const asText = (time) => new Date(time).toLocaleString();

/** Add a row to a table: a cell for each text, and one with the buttons. */
export function tableRow(texts, buttons) {
  const row = document.createElement("tr");
  // Names are what users and clients sent: text, never HTML.
  for (const text of texts) row.insertCell().textContent = text;
  row.insertCell().append(...buttons);
  return row;
}

/** Return a button; `label` names what it is about, for who does not see the row that it is in. */
export function rowButton(text, label, work) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.setAttribute("aria-label", `${text} ${label}`);
  onClick(button, work);
  return button;
}

/** Show the problem of a form: beside the fields it names, else above them. */
export function showProblem(form, problem) {
  clearProblem(form);
  const elsewhere = [];
  for (const { field, message } of problem.errors) {
    const name = CSS.escape(field);
    const input = form.querySelector(`input[name="${name}"]:enabled:not([type=hidden], [type=radio])`);
    if (input === null) {
      elsewhere.push(message);
      continue;
    }
    const place = element(`${input.id}-error`);
    place.textContent = message;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", place.id);
  }
  const first = form.querySelector('[aria-invalid="true"]');
  if (first) first.focus();
  else form.querySelector('[role="alert"]').textContent = textOf(form, problem, elsewhere);
}

function textOf(form, problem, messages) {
  if (messages.length > 0) return messages.join(" ");
  // Where the form, or the part in use, knows better what the problem means, it says so.
  const attribute = `data-${problem.code.replaceAll("_", "-")}`;
  const part = form.querySelector(`fieldset[${attribute}]:enabled`) ?? form;
  return textFor(problem, { [problem.code]: part.getAttribute(attribute) });
}

/** Return what to say about a problem: by its code, where there is a text for it. */
export function textFor(problem, texts = {}) {
  const seconds = Number(problem.retryAfter);
  const wait = seconds < 120 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`;
  const later = problem.retryAfter ? ` Try again in ${wait}.` : "";
  return (texts[problem.code] ?? TEXTS[problem.code] ?? problem.message) + later;
}

// Of problems whose `detail` speaks to the developer of a page, not to its user.
const TEXTS = {
  rate_limited: "Too many attempts.",
  invalid_invitation: "To sign up you need an invitation that is still valid: ask for another one.",
};

export function clearProblem(form) {
  for (const place of form.querySelectorAll(".error")) place.textContent = "";
  for (const input of form.querySelectorAll("input")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
}

/** Do `work` with the fields of a form when it is submitted, never before. */
export function onSubmit(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(form));
    await attempt(form, form.querySelector("button"), () => work(fields));
  });
}

/** Do `work` when a button is pressed; its problems are shown in its section. */
export function onClick(button, work) {
  button.addEventListener("click", () => attempt(button.closest("section"), button, work));
}

/** Do `work`, once at a time. When the session has ended meanwhile, show the forms again. */
async function attempt(place, button, work) {
  const focused = document.activeElement;
  button.disabled = true;
  showStatus("");
  try {
    await work();
    clearProblem(place);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.code === "not_authenticated") showSignedOut("You have been logged out.");
    // Nobody cancels a dialog that closed because the session had ended: that was said already.
    else if (problem.code === "cancelled") element("status").textContent ||= problem.message;
    else showProblem(place, problem);
  } finally {
    button.disabled = false;
    // A button that is disabled loses the focus, and a dialog that closes could not give it back.
    const current = document.activeElement;
    if (current === document.body || !current.checkVisibility()) focused.focus();
  }
}
