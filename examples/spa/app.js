// A single-page app on Ostiary: sign up, log in, who am I, a forgotten password, the e-mail address,
// devices, log out. No build, no library.
//
// The browser keeps the session in a cookie that scripts cannot read: there is no token here, and
// nothing to store. Each request needs `credentials: "include"`, or the cookie is neither kept nor
// sent.
//
// The fragment of the address names the view. Mails lead to `#reset=…` and `#undo=…`, with the token
// of a link: a fragment is sent to no server.

const SERVICE = document.querySelector('meta[name="ostiary"]').content;

/**
 * A failed request: a problem of the service (RFC 9457), with a stable `code`, the `errors` of
 * fields and the `methods` of step-up, or `unreachable`, `no_json` or `cancelled` of this page.
 */
class Problem extends Error {
  constructor({ code, detail, errors = [], methods = [] }, retryAfter = null) {
    super(detail);
    this.code = code;
    this.errors = errors;
    this.methods = methods;
    this.retryAfter = retryAfter;
  }
}

/** Send a request; return the JSON of its response, `null` if there is none, or throw a `Problem`. */
async function call(method, path, body) {
  const options = { method, credentials: "include" };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(SERVICE + path, options);
  } catch {
    // A browser does not tell a page which of these it was.
    throw new Problem({
      code: "unreachable",
      detail: `${SERVICE} cannot be reached, or does not allow the origin ${location.origin}.`,
    });
  }
  if (response.status === 204) return null;
  let json;
  try {
    json = await response.json();
  } catch {
    // Something before the service answered: a proxy, for example.
    throw new Problem({ code: "no_json", detail: `The answer was ${response.status}.` });
  }
  if (!response.ok) throw new Problem(json, response.headers.get("Retry-After"));
  return json;
}

const element = (id) => document.getElementById(id);

/** Show a view, with its forms empty, and let the keyboard go on there. */
function show(id) {
  for (const form of document.forms) {
    form.reset();
    clearProblem(form);
  }
  element("verify-email").hidden = true;
  element("verify-sign-up").hidden = true;
  for (const view of document.querySelectorAll("main")) view.hidden = view.id !== id;
  element(id).querySelector("h2[tabindex], input:not([type=hidden])").focus();
}

function showStatus(text) {
  element("status").textContent = text;
}

/** Remove the fragment, and with it the token of a link, from the address bar and the history. */
function removeFragment() {
  history.replaceState(null, "", location.pathname + location.search);
}

function showSignedOut(status = "") {
  element("step-up").close();
  removeFragment();
  showStatus(status);
  show("signed-out");
}

async function showSignedIn({ user }) {
  removeFragment();
  element("greeting").textContent = `Hello, ${user.username ?? user.email}`;
  showEmail(user);
  show("signed-in");
  await listDevices();
}

function showEmail({ email, email_verified_at }) {
  const none = "None. With one, you can log in by it, and choose a new password if you forget it.";
  const unverified = email_verified_at === null ? " (not verified)" : "";
  element("email").textContent = email === null ? none : email + unverified;
  element("remove-email").hidden = email === null;
}

/** Show the problem of a form: beside the fields it names, else above them. */
function showProblem(form, problem) {
  clearProblem(form);
  for (const { field, message } of problem.errors) {
    const input = form.elements.namedItem(field);
    if (input === null || input.type === "hidden") continue;
    const place = element(`${input.id}-error`);
    place.textContent = message;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", place.id);
  }
  const first = form.querySelector('[aria-invalid="true"]');
  if (first) {
    first.focus();
    return;
  }
  // Where the form knows better what the problem means, it says so.
  const own = form.getAttribute(`data-${problem.code.replaceAll("_", "-")}`);
  const later = problem.retryAfter ? ` Try again in ${problem.retryAfter} seconds.` : "";
  form.querySelector('[role="alert"]').textContent = (own ?? problem.message) + later;
}

function clearProblem(form) {
  for (const place of form.querySelectorAll(".error")) place.textContent = "";
  for (const input of form.querySelectorAll("input")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
}

/** Do `work` with the fields of a form when it is submitted, never before. */
function onSubmit(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const focused = document.activeElement;
    button.disabled = true;
    showStatus("");
    try {
      await work(Object.fromEntries(new FormData(form)));
      clearProblem(form);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.code === "not_authenticated") showSignedOut("You have been logged out.");
      else showProblem(form, problem);
    } finally {
      button.disabled = false;
      // A button that is disabled loses the focus.
      if (document.activeElement === document.body) focused.focus();
    }
  });
}

/** Let a form send its fields to an endpoint that opens a session. */
function openSessionOnSubmit(form, path, status = "") {
  onSubmit(form, async (fields) => {
    const opened = await call("POST", path, fields);
    showStatus(status);
    await whileSignedIn(() => showSignedIn(opened));
  });
}

/** Show the form for the code of a challenge that was mailed. */
function askForCode(form, { challenge_token }) {
  form.reset();
  clearProblem(form);
  form.elements.challenge_token.value = challenge_token;
  form.hidden = false;
  form.elements.code.focus();
}

/** Do what needs a recent proof of the user; where that is missing, ask for the password first. */
async function withStepUp(work) {
  try {
    return await work();
  } catch (problem) {
    if (problem.code !== "reauthentication_required") throw problem;
    if (!problem.methods.includes("password")) throw problem;
  }
  await askForPassword();
  return await work();
}

/** Return once the user has been proven; throw a `Problem` if they do not want to be. */
function askForPassword() {
  const dialog = element("step-up");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    const onClose = () => {
      element("reauthenticate").reset();
      clearProblem(element("reauthenticate"));
      if (dialog.returnValue === "proven") resolve();
      else reject(new Problem({ code: "cancelled", detail: "Nothing was changed." }));
    };
    dialog.addEventListener("close", onClose, { once: true });
  });
}

async function listDevices() {
  const rows = [];
  let cursor = "";
  do {
    const page = await call("GET", `/sessions${cursor}`);
    rows.push(...page.sessions.map(deviceRow));
    cursor = page.next === null ? "" : `?cursor=${encodeURIComponent(page.next)}`;
  } while (cursor);
  element("devices").replaceChildren(...rows);
  element("end-others").disabled = rows.length < 2;
}

function deviceRow(session) {
  const row = document.createElement("tr");
  // Names of devices and of browsers are what clients sent: text, never HTML.
  const texts = [
    session.device_name ?? session.user_agent ?? "unknown",
    session.address ?? "unknown",
    new Date(session.created_at).toLocaleString(),
  ];
  for (const text of texts) row.insertCell().textContent = text;
  const last = row.insertCell();
  if (session.current) {
    last.textContent = "this device";
    return row;
  }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Log out";
  button.setAttribute("aria-label", `Log out ${texts[0]}`);
  button.addEventListener("click", () =>
    whileSignedIn(async () => {
      await withStepUp(() => call("DELETE", `/sessions/${session.id}`));
      await listDevices();
      element("greeting").focus();
    }),
  );
  last.append(button);
  return row;
}

/** Do what needs a session; when it has ended meanwhile, show the forms again. */
async function whileSignedIn(work) {
  try {
    await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.code !== "not_authenticated") {
      showStatus(problem.message);
      return;
    }
    showSignedOut("You have been logged out.");
  }
}

openSessionOnSubmit(element("log-in"), "/login");
openSessionOnSubmit(element("sign-up"), "/signup");
openSessionOnSubmit(element("verify-sign-up"), "/signup/email/verify");
openSessionOnSubmit(
  element("confirm-reset"),
  "/password-reset/confirm",
  "Your new password is set. All other devices were logged out.",
);

onSubmit(element("email-sign-up"), async (fields) => {
  askForCode(element("verify-sign-up"), await call("POST", "/signup/email", fields));
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

onSubmit(element("change-email"), async (fields) => {
  const sent = await withStepUp(() => call("PUT", "/me/email", fields));
  askForCode(element("verify-email"), sent);
  showStatus(`A code was sent to ${fields.email}.`);
});

onSubmit(element("verify-email"), async (fields) => {
  const { user } = await call("POST", "/me/email/verify", fields);
  show("signed-in");
  showEmail(user);
  showStatus(`Your address is ${user.email}.`);
});

onSubmit(element("reauthenticate"), async (fields) => {
  await call("POST", "/me/reauthenticate", fields);
  element("step-up").close("proven");
});

element("step-up-cancel").addEventListener("click", () => element("step-up").close());

element("remove-email").addEventListener("click", () =>
  whileSignedIn(async () => {
    await withStepUp(() => call("DELETE", "/me/email"));
    showEmail((await call("GET", "/me")).user);
    showStatus("Your address was removed.");
    element("greeting").focus();
  }),
);

element("log-out").addEventListener("click", () =>
  whileSignedIn(async () => {
    await call("POST", "/logout");
    showSignedOut("You are logged out.");
  }),
);

element("end-others").addEventListener("click", () =>
  whileSignedIn(async () => {
    const { ended } = await withStepUp(() => call("DELETE", "/sessions"));
    showStatus(`${ended} ${ended === 1 ? "device was" : "devices were"} logged out.`);
    await listDevices();
  }),
);

/** Show whether somebody is logged in: whether a cookie is there, only the service can tell. */
async function showAccount() {
  let authenticated = null;
  try {
    authenticated = await call("GET", "/me");
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showSignedOut(problem.code === "not_authenticated" ? "" : problem.message);
  }
  if (authenticated !== null) await whileSignedIn(() => showSignedIn(authenticated));
}

/**
 * Show the view that the fragment names. A link of a mail is only shown: programs that look for
 * malicious pages open it too, so that nothing may happen before the form is submitted.
 */
async function showView() {
  const [name, token = ""] = location.hash.slice(1).split("=");
  showStatus("");
  if (name === "reset") element("confirm-reset").elements.token.value = token;
  if (name === "undo") element("take-back").elements.token.value = token;
  if (["reset", "undo", "forgot", "sign-up-by-email"].includes(name)) show(name);
  else await showAccount();
}

addEventListener("hashchange", showView);
await showView();
