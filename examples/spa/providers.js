// Log-in at providers (Google, GitHub, any OpenID provider): the browser leaves for the provider's
// page, and comes back with a code, which the service exchanges.

import { call } from "./service.js";
import { invitation } from "./views.js";

/** What users call the providers, by their names in the settings of the service. */
export const PROVIDERS = JSON.parse(document.querySelector('meta[name="providers"]').content);

export const nameOf = (provider) => PROVIDERS[provider] ?? provider;

/** The endpoints that begin what is proven at a provider; `…/callback` completes it. */
const ENDPOINTS = {
  "log-in": (provider) => `/login/oidc/${provider}`,
  link: (provider) => `/me/identities/${provider}`,
  reauthenticate: (provider) => `/me/reauthenticate/oidc/${provider}`,
};

/** Leave for the page of a provider: to `log-in`, `link` or `reauthenticate`. */
export async function leaveFor(provider, purpose) {
  const redirect_uri = new URL(`callback/${provider}.html`, import.meta.url).href;
  const begun = await call("POST", ENDPOINTS[purpose](provider), { redirect_uri });
  // Of this tab: two tabs can be at the provider's page at once.
  const flow = { purpose, invitation: invitation() };
  sessionStorage.setItem(keyOf(begun.state), JSON.stringify(flow));
  location.assign(begun.authorization_url);
}

/** Return what was begun with a state, and forget it. */
export function takeFlow(state) {
  const flow = sessionStorage.getItem(keyOf(state));
  sessionStorage.removeItem(keyOf(state));
  // Whoever comes back in another tab can only have wanted to log in.
  return flow === null ? { purpose: "log-in", invitation: "" } : JSON.parse(flow);
}

const keyOf = (state) => `oidc ${state}`;

/** Send what a provider sent back to the service. Return its answer, or throw a `Problem`. */
export async function complete(provider, purpose, parameters) {
  const { code, state, iss, error } = Object.fromEntries(parameters);
  return await call("POST", `${ENDPOINTS[purpose](provider)}/callback`, { code, state, iss, error });
}
