// A single-page app on Ostiary: sign up, log in with or without a second factor or by passkey, who
// am I, a forgotten password, the e-mail address, factors, devices, log out. No build, no library.
//
// The fragment of the address names the view. Mails lead to `#reset=…`, `#undo=…` and
// `#invitation=…`, with the token of a link: a fragment is sent to no server.

import "./log-in.js";
import { Problem, call } from "./service.js";
import { showSignedIn } from "./signed-in.js";
import { element, setInvitation, show, showSignedOut, showStatus } from "./views.js";

/** Show whether somebody is logged in: whether a cookie is there, only the service can tell. */
async function showAccount() {
  try {
    await showSignedIn(await call("GET", "/me"));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showSignedOut(problem.code === "not_authenticated" ? "" : problem.message);
  }
}

/**
 * Show the view that the fragment names. A link of a mail is only shown: programs that look for
 * malicious pages open it too, so that nothing may happen before the form is submitted.
 */
async function showView() {
  const [name, token = ""] = location.hash.slice(1).split("=");
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
await showView();
