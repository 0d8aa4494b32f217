// The view of who is logged in: their name, address and devices. Factors are in security.js.

import { showIdentities } from "./identities.js";
import { signalUser } from "./passkeys.js";
import { nameOf } from "./providers.js";
import { showSecurity } from "./security.js";
import { Problem, call } from "./service.js";
import { withStepUp } from "./step-up.js";
import {
  asText,
  clearProblem,
  element,
  onClick,
  onSubmit,
  removeFragment,
  rowButton,
  show,
  showSignedOut,
  showStatus,
  tableRow,
} from "./views.js";

const METHODS = {
  password: "password",
  totp: "authenticator app",
  passkey: "passkey",
  recovery_code: "recovery code",
  email_code: "code by mail",
  reset: "link by mail",
};

/** Show whether somebody is logged in: whether a cookie is there, only the service can tell. */
export async function showAccount(status = "") {
  try {
    await showSignedIn(await call("GET", "/me"), status);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showSignedOut(problem.code === "not_authenticated" ? status : problem.message);
  }
}

export async function showSignedIn({ user }, status = "") {
  removeFragment();
  showUser(user);
  show("signed-in");
  showStatus(status);
  try {
    await Promise.all([listDevices(), showSecurity(), showIdentities()]);
  } catch (problem) {
    // The form that opened the session, where its problems are shown, is out of sight.
    if (!(problem instanceof Problem) || problem.code === "not_authenticated") throw problem;
    showStatus(problem.message);
  }
}

function showUser({ username, email, email_verified_at }) {
  element("greeting").textContent = `Hello, ${username ?? email ?? "you"}`;
  const none = "None. With one, you can log in by it, and choose a new password if you forget it.";
  const unverified = email_verified_at === null ? " (not verified)" : "";
  element("email").textContent = email === null ? none : email + unverified;
  element("remove-email").hidden = email === null;
}

/** Show a name or an address that was changed, also where passkeys are chosen. */
async function showChanged(user, passkeys, status) {
  showUser(user);
  showStatus(status);
  if (passkeys) await signalUser(passkeys, user);
}

onSubmit(element("change-username"), async (fields) => {
  const { user } = await withStepUp(() => call("PUT", "/me/username", fields));
  element("change-username").reset();
  await showChanged(user, await showSecurity(), `Your user name is ${user.username}.`);
});

onSubmit(element("change-email"), async (fields) => {
  const { challenge_token } = await withStepUp(() => call("PUT", "/me/email", fields));
  const form = element("verify-email");
  form.reset();
  clearProblem(form);
  form.elements.challenge_token.value = challenge_token;
  form.hidden = false;
  form.elements.code.focus();
  showStatus(`A code was sent to ${fields.email}.`);
});

onSubmit(element("verify-email"), async (fields) => {
  const { user } = await call("POST", "/me/email/verify", fields);
  element("change-email").reset();
  element("verify-email").hidden = true;
  element("greeting").focus();
  await showChanged(user, await showSecurity(), `Your address is ${user.email}.`);
});

onClick(element("remove-email"), async () => {
  await withStepUp(() => call("DELETE", "/me/email"));
  showUser((await call("GET", "/me")).user);
  showStatus("Your address was removed.");
  element("greeting").focus();
});

onClick(element("log-out"), async () => {
  await call("POST", "/logout");
  showSignedOut("You are logged out.");
});

onClick(element("end-others"), async () => {
  const { ended } = await withStepUp(() => call("DELETE", "/sessions"));
  showStatus(`${ended} ${ended === 1 ? "device was" : "devices were"} logged out.`);
  await listDevices();
});

async function listDevices() {
  const rows = [];
  let cursor = "";
  do {
    const page = await call("GET", `/sessions${cursor}`);
    rows.push(...page.sessions.map(deviceRow));
    cursor = page.next === null ? "" : `?cursor=${encodeURIComponent(page.next)}`;
  } while (cursor);
  element("devices").replaceChildren(...rows);
  element("end-others").disabled = rows.length < 2;
}

const nameOfMethod = (method) => METHODS[method] ?? nameOf(method.replace(/^oidc:/, ""));

// Changes of factors end other sessions.
element("signed-in").addEventListener("factors-changed", listDevices);

function deviceRow(session) {
  const name = session.device_name ?? session.user_agent ?? "unknown";
  const methods = session.methods.map(({ method }) => nameOfMethod(method));
  const texts = [name, session.address ?? "unknown", asText(session.created_at), methods.join(", ")];
  const logOut = async () => {
    await withStepUp(() => call("DELETE", `/sessions/${session.id}`));
    await listDevices();
    element("devices-title").focus();
  };
  return tableRow(texts, [session.current ? "this device" : rowButton("Log out", name, logOut)]);
}
