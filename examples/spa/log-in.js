// Whatever opens a session: sign-up, log-in by password or passkey, a new password by a link. Log-in
// at a provider is in provider-log-in.js.

import { beginCeremony, canUsePasskeys, usePasskey } from "./passkeys.js";
import { askForProof, onProof } from "./proofs.js";
import { Problem, call } from "./service.js";
import { showSignedIn } from "./signed-in.js";
import {
  clearProblem,
  element,
  onClick,
  onSubmit,
  removeFragment,
  setInvitation,
  show,
  showProblem,
  showSignedOut,
  showStatus,
} from "./views.js";

// What to say once the second factor has completed what a form began.
let statusAfterwards = "";

/** Let a form send its fields to an endpoint that opens a session. */
export function openSessionOnSubmit(form, path, status = "") {
  onSubmit(form, async (fields) => {
    let opened;
    try {
      opened = await call("POST", path, fields);
    } catch (problem) {
      if (problem.code !== "second_factor_required") throw problem;
      askForSecondFactor(problem.json, status);
      return;
    }
    setInvitation();
    await showSignedIn(opened, status);
  });
}

/** The first proof was right: ask for the second one. The link of a reset is used up by now. */
export function askForSecondFactor(question, status = "") {
  statusAfterwards = status;
  removeFragment();
  show("second-factor");
  const isPossible = askForProof(element("complete-log-in"), question);
  element("complete-log-in").hidden = !isPossible;
  element("no-second-factor").hidden = isPossible;
}

onProof(element("complete-log-in"), async (body) => {
  await showSignedIn(await call("POST", "/login/second-factor", body), statusAfterwards);
});

onClick(element("begin-again"), () => showSignedOut());

openSessionOnSubmit(element("log-in"), "/login");
openSessionOnSubmit(element("sign-up"), "/signup");
openSessionOnSubmit(element("verify-sign-up"), "/signup/email/verify");
openSessionOnSubmit(
  element("confirm-reset"),
  "/password-reset/confirm",
  "Your new password is set. All other devices were logged out.",
);

onSubmit(element("email-sign-up"), async (fields) => {
  const { challenge_token } = await call("POST", "/signup/email", fields);
  const form = element("verify-sign-up");
  form.reset();
  clearProblem(form);
  form.elements.challenge_token.value = challenge_token;
  form.hidden = false;
  form.elements.code.focus();
  showStatus(`A mail was sent to ${fields.email}.`);
});

onSubmit(element("request-reset"), async (fields) => {
  await call("POST", "/password-reset", fields);
  element("request-reset").reset();
  // The page does not know either whether there is such an account, and must not guess.
  showStatus(
    "If there is such an account, and its e-mail address is verified, a link to choose a new " +
      "password is on its way there.",
  );
});

onSubmit(element("take-back"), async (fields) => {
  await call("POST", "/undo", fields);
  showSignedOut("The change was taken back. You are mailed a link to choose a new password.");
});

onSubmit(element("passkey-log-in"), async () => {
  try {
    await logInByPasskey({ signal: beginCeremony() });
  } finally {
    if (!element("signed-out").hidden) offerAutofill();
  }
});

/** Log in by whichever passkey the user chooses. */
async function logInByPasskey(ceremony) {
  const { challenge_token, options } = await call("POST", "/login/passkey/options");
  const send = (credential) => call("POST", "/login/passkey", { challenge_token, credential });
  // The challenge can be answered for longer than a browser waits, but where it fills in a name it
  // waits for ever: begin again by then.
  if (ceremony.mediation === "conditional") {
    const timer = setTimeout(offerAutofill, options.timeout);
    ceremony.signal.addEventListener("abort", () => clearTimeout(timer));
  }
  await showSignedIn(await usePasskey(options, send, ceremony));
}

/** Let the browser offer passkeys where it fills in the user name, until there is another ceremony. */
async function offerAutofill() {
  const signal = beginCeremony();
  if (!(await globalThis.PublicKeyCredential?.isConditionalMediationAvailable?.())) return;
  try {
    await logInByPasskey({ mediation: "conditional", signal });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    // Nobody has asked for anything yet, unless a passkey was sent and refused.
    const wasSent = !["no_passkey", "not_found", "unreachable"].includes(problem.code);
    if (wasSent && !signal.aborted) showProblem(element("passkey-log-in"), problem);
  }
}

element("passkey-log-in").hidden = !canUsePasskeys;
element("signed-out").addEventListener("show", offerAutofill);
for (const view of document.querySelectorAll("main:not(#signed-out)")) {
  view.addEventListener("show", beginCeremony);
}
