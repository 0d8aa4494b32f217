// Log-in and sign-up at a provider, and whatever else is completed on the way back from its page.

import { showIdentities } from "./identities.js";
import { askForSecondFactor, openSessionOnSubmit } from "./log-in.js";
import { PROVIDERS, complete, leaveFor, nameOf, takeFlow } from "./providers.js";
import { Problem } from "./service.js";
import { showAccount, showSignedIn } from "./signed-in.js";
import { withStepUp } from "./step-up.js";
import { element, onClick, removeFragment, setInvitation, show, showStatus, textFor } from "./views.js";

for (const [provider, name] of Object.entries(PROVIDERS)) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = `Log in with ${name}`;
  onClick(button, () => leaveFor(provider, "log-in"));
  element("provider-log-in").append(button);
}
element("provider-log-in").hidden = Object.keys(PROVIDERS).length === 0;

openSessionOnSubmit(element("provider-sign-up"), "/signup/oidc");

const COMPLETE = {
  "log-in": async (provider, parameters) => {
    await showSignedIn(await complete(provider, "log-in", parameters));
  },
  link: async (provider, parameters) => {
    await showAccount();
    await withStepUp(() => complete(provider, "link", parameters));
    await showIdentities();
    showStatus(`Your account at ${nameOf(provider)} was linked: you can log in with it.`);
    element("identities-title").focus();
  },
  reauthenticate: async (provider, parameters) => {
    const answer = await complete(provider, "reauthenticate", parameters);
    await showSignedIn(answer, "Thank you. Now do once more what you were about to do.");
  },
};

/** Complete what was begun, with the parameters that the provider has sent. */
export async function comeBack(parameters) {
  removeFragment();
  showStatus("One moment …");
  const provider = parameters.get("callback");
  // The name becomes part of a path, and whoever makes a link to this page chooses it.
  if (!Object.hasOwn(PROVIDERS, provider)) {
    await showAccount();
    return;
  }
  const flow = takeFlow(parameters.get("state"));
  setInvitation(flow.invitation);
  try {
    await COMPLETE[flow.purpose](provider, parameters);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showStatus("");
    if (problem.code === "second_factor_required") askForSecondFactor(problem.json);
    else if (problem.code === "sign_up_needed") askForUsername(provider, problem.json);
    else await showAccount(textFor(problem, textsOf(nameOf(provider), problem)));
  }
}

const textsOf = (name, { json }) => ({
  provider_refused:
    json.error === "access_denied"
      ? `You did not continue at ${name}: nothing was changed.`
      : `${name} did not let you continue: ${json.error}. Nothing was changed.`,
  provider_unavailable: `${name} cannot be reached.`,
  invalid_challenge: "That was completed already, took too long, or was begun in another browser.",
  invalid_credentials: `What ${name} answered was not accepted: begin again.`,
  identity_taken: `This account at ${name} is linked to another account here: unlink it there first.`,
});

/** Nobody here has the account at the provider: let the user choose a name, and sign up with it. */
function askForUsername(provider, { challenge_token, suggestions }) {
  show("sign-up-at-provider");
  const { name, email } = suggestions;
  // What a provider tells of a user is text, never HTML, and proves nothing.
  const known = [name, email].filter(Boolean).join(", ");
  element("provider-account").textContent = known
    ? `You are logged in at ${nameOf(provider)} as ${known}.`
    : `You are logged in at ${nameOf(provider)}.`;
  const { elements } = element("provider-sign-up");
  elements.challenge_token.value = challenge_token;
  elements.username.value = (name ?? "").replaceAll(/\s/g, "");
  elements.username.select();
}
