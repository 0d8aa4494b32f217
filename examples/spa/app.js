// A single-page app on Ostiary: sign up, log in with or without a second factor, by passkey or at a
// provider, who am I, a forgotten password, the e-mail address, factors, linked accounts, devices,
// log out. No build, no library.
//
// The fragment of the address names the view. Mails lead to `#reset=…`, `#undo=…` and
// `#invitation=…`, with the token of a link; `#…&callback=…` has what a provider has sent. A fragment
// is sent to no server.

import "./log-in.js";
import { comeBack } from "./provider-log-in.js";
import { showAccount } from "./signed-in.js";
import { element, setInvitation, show, showStatus } from "./views.js";

/**
 * Show the view that the fragment names. A link of a mail is only shown: programs that look for
 * malicious pages open it too, so that nothing may happen before the form is submitted.
 */
async function showView() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  if (parameters.has("callback")) {
    await comeBack(parameters);
    return;
  }
  const [[name, token] = ["", ""]] = parameters;
  showStatus("");
  if (name === "reset" || name === "undo") {
    show(name);
    element(name).querySelector('[name="token"]').value = token;
  } else if (name === "invitation") {
    setInvitation(token);
    show("sign-up-by-email");
  } else if (name === "forgot" || name === "sign-up-by-email") show(name);
  else await showAccount();
}

addEventListener("hashchange", showView);
// Who comes back to a page that the browser has kept sees who is logged in now.
addEventListener("pageshow", (event) => event.persisted && showView());
await showView();
