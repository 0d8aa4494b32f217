// Factors: the authenticator app, passkeys, recovery codes; and an account without a password.

import {
  betweenRegistrations,
  canUsePasskeys,
  createPasskey,
  inRegistration,
  signalAccepted,
} from "./passkeys.js";
import { Problem, call } from "./service.js";
import { withStepUp } from "./step-up.js";
import {
  asText,
  clearProblem,
  element,
  onClick,
  onSubmit,
  rowButton,
  showStatus,
  tableRow,
} from "./views.js";

/** Show the factors. Return the answer about passkeys, or `null` where the service has none. */
export async function showSecurity() {
  const [factors, passkeys] = await Promise.all([call("GET", "/me/factors"), listPasskeys()]);
  showApp(factors.totp);
  showRecoveryCodes(factors);
  element("passkeys").hidden = passkeys === null;
  if (passkeys !== null) showPasskeys(passkeys);
  return passkeys;
}

/** Show the factors after a change, and the devices that it has logged out. */
async function showChanged(status) {
  await showSecurity();
  element("signed-in").dispatchEvent(new Event("factors-changed"));
  showStatus(status);
}

function showApp(app) {
  const used = app?.last_used_at ? `, last used ${asText(app.last_used_at)}` : "";
  element("app-state").textContent =
    app === undefined
      ? "None. With one, log-in asks for a code that your phone shows."
      : `Set up ${asText(app.confirmed_at)}${used}.`;
  element("set-up-app").hidden = app !== undefined;
  element("remove-app").hidden = app === undefined;
}

onClick(element("set-up-app"), async () => {
  const { secret, uri } = await withStepUp(() => call("POST", "/me/totp"));
  const form = element("confirm-app");
  form.reset();
  clearProblem(form);
  // A library for QR codes would draw `uri` here: see docs/factors.md.
  element("app-secret").textContent = secret.replace(/.{4}(?=.)/g, "$& ");
  element("app-uri").href = uri;
  element("app-uri").textContent = uri;
  form.hidden = false;
  form.elements.code.focus();
});

onSubmit(element("confirm-app"), async (fields) => {
  const { recovery_codes } = await withStepUp(() => call("POST", "/me/totp/confirm", fields));
  forgetSecret();
  await showChanged("Your authenticator app is set up.");
  showNewCodes(recovery_codes, "app-title");
});

onClick(element("cancel-app"), () => {
  forgetSecret();
  element("set-up-app").focus();
});

function forgetSecret() {
  element("confirm-app").hidden = true;
  element("app-secret").textContent = element("app-uri").textContent = "";
  element("app-uri").removeAttribute("href");
}

onClick(element("remove-app"), async () => {
  await withStepUp(() => call("DELETE", "/me/totp"));
  await showChanged("Your authenticator app was removed.");
  element("app-title").focus();
});

/** List the passkeys, and tell authenticators: but not while one is made, which would not be listed. */
async function listPasskeys() {
  try {
    return await betweenRegistrations(async (isBetween) => {
      const listed = await call("GET", "/me/passkeys");
      if (isBetween) await signalAccepted(listed);
      return listed;
    });
  } catch (problem) {
    // In production a service without OSTIARY_PASSKEY_RP_ID has no passkeys.
    if (problem instanceof Problem && problem.code === "not_found") return null;
    throw problem;
  }
}

function showPasskeys(listed) {
  element("passkey-rows").replaceChildren(...listed.passkeys.map(passkeyRow));
  element("passkey-table").hidden = listed.passkeys.length === 0;
  element("add-passkey").hidden = !canUsePasskeys;
  element("no-passkeys-here").hidden = canUsePasskeys;
}

function passkeyRow({ id, name, created_at, last_used_at, backed_up }) {
  const lastUsed = last_used_at ? asText(last_used_at) : "never";
  const texts = [name, asText(created_at), lastUsed, backed_up ? "yes" : "no"];
  return tableRow(texts, [
    rowButton("Rename", name, () => askForName(id, name)),
    rowButton("Remove", name, () => removePasskey(id, name)),
  ]);
}

onSubmit(element("add-passkey"), async ({ name }) => {
  const { challenge_token, options } = await withStepUp(() => call("POST", "/me/passkeys/options"));
  const { passkey, recovery_codes } = await inRegistration(async () => {
    const credential = await createPasskey(options);
    const body = { challenge_token, credential, ...(name && { name }) };
    return await withStepUp(() => call("POST", "/me/passkeys", body));
  });
  element("add-passkey").reset();
  await showChanged(`The passkey “${passkey.name}” was added.`);
  showNewCodes(recovery_codes, "passkeys-title");
});

async function removePasskey(id, name) {
  await withStepUp(() => call("DELETE", `/me/passkeys/${id}`));
  await showChanged(`The passkey “${name}” was removed.`);
  element("passkeys-title").focus();
}

let renamed = null;

function askForName(id, name) {
  renamed = id;
  const form = element("rename-passkey");
  clearProblem(form);
  form.elements.name.value = name;
  element("rename").showModal();
  form.elements.name.select();
}

onSubmit(element("rename-passkey"), async (fields) => {
  const { name } = await withStepUp(() => call("PATCH", `/me/passkeys/${renamed}`, fields));
  element("rename").close();
  await showChanged(`The passkey is called “${name}”.`);
  element("passkeys-title").focus();
});

function showRecoveryCodes({ recovery_codes_left: left, totp, passkeys }) {
  const hasFactor = totp !== undefined || passkeys.length > 0;
  element("recovery-codes-left").textContent = hasFactor
    ? `${left} ${left === 1 ? "is" : "are"} left. Each logs you in once, in place of a factor that you have lost.`
    : "You get ten with the first factor.";
  element("renew-recovery-codes").hidden = !hasFactor;
}

onClick(element("renew-recovery-codes"), async () => {
  const { recovery_codes } = await withStepUp(() => call("POST", "/me/recovery-codes"));
  await showSecurity();
  showNewCodes(recovery_codes);
});

/** Show recovery codes, which the service does not show again; without any, focus a title. */
function showNewCodes(codes, title) {
  if (codes === undefined) {
    element(title).focus();
    return;
  }
  const items = codes.map((code) => {
    const item = document.createElement("li");
    item.textContent = code;
    return item;
  });
  element("new-codes").replaceChildren(...items);
  element("copy-codes").hidden = navigator.clipboard === undefined;
  element("new-recovery-codes").hidden = false;
  element("new-recovery-codes-title").focus();
}

onClick(element("copy-codes"), async () => {
  const codes = [...element("new-codes").children].map((item) => item.textContent);
  await navigator.clipboard.writeText(codes.join("\n") + "\n");
  showStatus("The recovery codes were copied.");
});

onClick(element("codes-kept"), () => {
  forgetCodes();
  element("recovery-codes-title").focus();
});

function forgetCodes() {
  element("new-recovery-codes").hidden = true;
  element("new-codes").replaceChildren();
}

onClick(element("remove-password"), async () => {
  await withStepUp(() => call("DELETE", "/me/password"));
  await showChanged("Your password was removed: log in by passkey from now on.");
});

for (const view of document.querySelectorAll("main")) {
  view.addEventListener("show", () => {
    forgetSecret();
    forgetCodes();
  });
}
