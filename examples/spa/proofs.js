// Forms that ask for a proof, by one of several methods: the second factor, and reauthentication.

import { canUsePasskeys, usePasskey } from "./passkeys.js";
import { onSubmit } from "./views.js";

const questions = new WeakMap();

/**
 * Ask for a proof. `question` has the `methods`, the `challenge_token` and the `passkey_options` of
 * the service. Return whether there is a method that this browser can use.
 */
export function askForProof(form, question) {
  questions.set(form, question);
  const radios = [...form.elements.method];
  for (const radio of radios) {
    const isAsked = question.methods.includes(radio.value);
    radio.disabled = !isAsked || (radio.value === "passkey" && !canUsePasskeys);
    radio.closest("label").hidden = radio.disabled;
  }
  const usable = radios.filter((radio) => !radio.disabled);
  form.querySelector(".methods").hidden = usable.length < 2;
  if (usable.length === 0) return false;
  usable[0].checked = true;
  showChosen(form);
  const field = form.querySelector("fieldset[data-method]:enabled input");
  (field ?? form.querySelector("button")).focus();
  return true;
}

/** Show the field of the chosen method, and no other. */
function showChosen(form) {
  for (const part of form.querySelectorAll("fieldset[data-method]")) {
    part.hidden = part.disabled = part.dataset.method !== form.elements.method.value;
  }
}

/** Do `work` with the body of a request that has the proof, when the form is submitted. */
export function onProof(form, work) {
  for (const radio of form.elements.method) radio.addEventListener("change", () => showChosen(form));
  onSubmit(form, async (fields) => {
    const { challenge_token, passkey_options } = questions.get(form);
    const body = challenge_token === undefined ? fields : { ...fields, challenge_token };
    if (fields.method !== "passkey") await work(body);
    else await usePasskey(passkey_options, (credential) => work({ ...body, credential }));
  });
}
