// Accounts at providers that are linked to the user's.

import { PROVIDERS, leaveFor, nameOf } from "./providers.js";
import { call } from "./service.js";
import { withStepUp } from "./step-up.js";
import { asText, element, onClick, rowButton, showStatus, tableRow } from "./views.js";

for (const [provider, name] of Object.entries(PROVIDERS)) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = `Link an account at ${name}`;
  onClick(button, () => withStepUp(() => leaveFor(provider, "link")));
  element("link-buttons").append(button);
}

/** Show the linked accounts. */
export async function showIdentities() {
  const { identities } = await call("GET", "/me/identities");
  element("identity-rows").replaceChildren(...identities.map(identityRow));
  element("identity-table").hidden = identities.length === 0;
  element("identities").hidden = identities.length === 0 && Object.keys(PROVIDERS).length === 0;
}

function identityRow({ id, provider, issuer, subject, created_at, last_used_at }) {
  const place = provider === null ? issuer : nameOf(provider);
  const lastUsed = last_used_at ? asText(last_used_at) : "never";
  const texts = [`${place}: ${subject}`, asText(created_at), lastUsed];
  return tableRow(texts, [rowButton("Unlink", `${subject} at ${place}`, () => unlink(id, place))]);
}

async function unlink(id, place) {
  await withStepUp(() => call("DELETE", `/me/identities/${id}`));
  await showIdentities();
  element("signed-in").dispatchEvent(new Event("factors-changed"));
  showStatus(`Your account at ${place} was unlinked.`);
  element("identities-title").focus();
}
