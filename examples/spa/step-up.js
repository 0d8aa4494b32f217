// Step-up: what needs a recent proof of the user asks for one first.

import { beginCeremony } from "./passkeys.js";
import { askForProof, onProof } from "./proofs.js";
import { PROVIDERS, leaveFor } from "./providers.js";
import { Problem, call } from "./service.js";
import { clearProblem, element } from "./views.js";

const dialog = element("step-up");
const form = element("reauthenticate");

for (const [provider, name] of Object.entries(PROVIDERS)) {
  const method = `oidc:${provider}`;
  const radio = document.createElement("input");
  Object.assign(radio, { type: "radio", name: "method", value: method });
  const label = document.createElement("label");
  label.append(radio, ` your account at ${name}`);
  form.querySelector(".methods").append(label);
  const part = document.createElement("fieldset");
  part.dataset.method = method;
  part.append(`You log in at ${name} once more, and come back here.`);
  form.querySelector("button").before(part);
}

/** Do what needs a recent proof of the user; where that is missing, ask for it, and do it again. */
export async function withStepUp(work) {
  try {
    return await work();
  } catch (problem) {
    if (problem.code !== "reauthentication_required") throw problem;
  }
  await reauthenticate();
  return await work();
}

/** Return once the user has been proven; throw a `Problem` if they do not want to be. */
async function reauthenticate() {
  const question = await call("POST", "/me/reauthenticate/options");
  dialog.returnValue = "";
  dialog.showModal();
  if (!askForProof(form, question)) {
    dialog.close();
    const detail = "Nothing was changed: log out and in again, and do it within ten minutes.";
    throw new Problem({ code: "cancelled", detail });
  }
  await new Promise((resolve, reject) => {
    const onClose = () => {
      beginCeremony();
      form.reset();
      clearProblem(form);
      if (dialog.returnValue === "proven") resolve();
      else reject(new Problem({ code: "cancelled", detail: "Nothing was changed." }));
    };
    dialog.addEventListener("close", onClose, { once: true });
  });
}

onProof(form, async (body) => {
  const [, provider] = body.method.split("oidc:");
  if (provider !== undefined) {
    await leaveFor(provider, "reauthenticate");
    return;
  }
  try {
    await call("POST", "/me/reauthenticate", body);
  } catch (problem) {
    // Too old, or answered wrongly too often: the next try gets a new challenge.
    if (problem.code === "invalid_challenge") {
      askForProof(form, await call("POST", "/me/reauthenticate/options"));
    }
    throw problem;
  }
  dialog.close("proven");
});

for (const cancel of document.querySelectorAll("dialog .cancel")) {
  cancel.addEventListener("click", () => cancel.closest("dialog").close());
}
