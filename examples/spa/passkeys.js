// Passkeys in the browser: ceremonies, and what authenticators are told of.

import { Problem } from "./service.js";

const FAILURES = {
  NotAllowedError: "No passkey was used: it was cancelled, or took too long.",
  AbortError: "No passkey was used.",
  InvalidStateError: "There is a passkey of your account already, where this one would be kept.",
  SecurityError: "This page cannot use the passkeys of the service: see OSTIARY_PASSKEY_RP_ID.",
};

/** Whether the browser has the functions that are used here: only at https and on localhost. */
export const canUsePasskeys = Boolean(
  globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON &&
    globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON,
);

let ceremony = new AbortController();

/** Begin a ceremony: end the one that waits, for browsers refuse a second one. Return its signal. */
export function beginCeremony() {
  ceremony.abort();
  ceremony = new AbortController();
  return ceremony.signal;
}

/** Let the authenticator make a passkey; return its credential as JSON, or throw a `Problem`. */
export async function createPasskey(options) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const request = { publicKey, signal: beginCeremony() };
  return await perform(() => navigator.credentials.create(request));
}

/**
 * Let a passkey answer the options, and return what `send` returns for its credential.
 *
 * `mediation: "conditional"` waits until the user chooses a passkey where the browser fills in a
 * user name. `waiting` is the signal of a ceremony that has begun already.
 */
export async function usePasskey(options, send, { mediation, signal: waiting } = {}) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const request = { publicKey, mediation, signal: waiting ?? beginCeremony() };
  const credential = await perform(() => navigator.credentials.get(request));
  try {
    return await send(credential);
  } catch (problem) {
    // For this code only: an authenticator that is told so may delete the passkey.
    if (problem.code === "unknown_passkey") {
      const { rpId } = options;
      await signal("signalUnknownCredential", { rpId, credentialId: credential.id });
    }
    throw problem;
  }
}

async function perform(ask) {
  try {
    return (await ask()).toJSON();
  } catch (error) {
    throw new Problem({ code: "no_passkey", detail: FAILURES[error.name] ?? error.message });
  }
}

/**
 * Make a passkey and add it, in all tabs one at a time. An authenticator that is told of a list from
 * before may delete the new passkey: see `betweenRegistrations`.
 */
export async function inRegistration(register) {
  const { locks } = navigator;
  return locks ? await locks.request("registration", register) : await register();
}

/** Call `run` with whether no tab makes a passkey, nor begins to, until it has ended. */
export async function betweenRegistrations(run) {
  const { locks } = navigator;
  if (!locks) return await run(true);
  return await locks.request("registration", { ifAvailable: true }, (lock) => run(lock !== null));
}

/** Tell authenticators which passkeys still count, so that they offer no other. */
export async function signalAccepted({ rp_id, user_handle, all_accepted_credential_ids }) {
  if (user_handle === null) return;
  await signal("signalAllAcceptedCredentials", {
    rpId: rp_id,
    userId: user_handle,
    allAcceptedCredentialIds: all_accepted_credential_ids,
  });
}

/** Tell authenticators the user's new name, so that they show no former one. */
export async function signalUser({ rp_id, user_handle }, user) {
  if (user_handle === null) return;
  const name = user.username ?? user.email;
  const details = { rpId: rp_id, userId: user_handle, name, displayName: name };
  await signal("signalCurrentUserDetails", details);
}

/** Not every browser has these functions, and none tells whether anything came of them. */
async function signal(name, details) {
  try {
    await globalThis.PublicKeyCredential?.[name]?.(details);
  } catch (error) {
    console.warn(name, error);
  }
}
