// A single-page app on Ostiary: sign up, log in, who am I, devices, log out. No build, no library.
//
// The browser keeps the session in a cookie that scripts cannot read: there is no token here, and
// nothing to store. Each request needs `credentials: "include"`, or the cookie is neither kept nor
// sent.

const SERVICE = document.querySelector('meta[name="ostiary"]').content;

/**
 * A failed request: a problem of the service (RFC 9457), with a stable `code` and the `errors` of
 * fields, or `unreachable` or `no_json` of this page.
 */
class Problem extends Error {
  constructor({ code, detail, errors = [] }, retryAfter = null) {
    super(detail);
    this.code = code;
    this.errors = errors;
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

function show(id) {
  for (const view of document.querySelectorAll("main")) view.hidden = view.id !== id;
}

function showStatus(text) {
  element("status").textContent = text;
}

function showSignedOut() {
  show("signed-out");
  element("log-in-username").focus();
}

async function showSignedIn({ user }) {
  for (const form of document.forms) form.reset();
  element("greeting").textContent = `Hello, ${user.username}`;
  show("signed-in");
  element("greeting").focus();
  await listDevices();
}

/** Show the problem of a form: beside the fields it names, else above them. */
function showProblem(form, problem) {
  clearProblem(form);
  for (const { field, message } of problem.errors) {
    const input = form.elements.namedItem(field);
    if (input === null) continue;
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
  const later = problem.retryAfter ? ` Try again in ${problem.retryAfter} seconds.` : "";
  form.querySelector('[role="alert"]').textContent = problem.message + later;
}

function clearProblem(form) {
  for (const place of form.querySelectorAll(".error")) place.textContent = "";
  for (const input of form.querySelectorAll("input")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
}

/** Let a form send its fields to an endpoint that opens a session. */
function openSessionOnSubmit(form, path) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const opened = await call("POST", path, Object.fromEntries(new FormData(form)));
      clearProblem(form);
      showStatus("");
      await whileSignedIn(() => showSignedIn(opened));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showProblem(form, problem);
    } finally {
      button.disabled = false;
    }
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
      await call("DELETE", `/sessions/${session.id}`);
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
    showStatus("You have been logged out.");
    showSignedOut();
  }
}

openSessionOnSubmit(element("log-in"), "/login");
openSessionOnSubmit(element("sign-up"), "/signup");

element("log-out").addEventListener("click", () =>
  whileSignedIn(async () => {
    await call("POST", "/logout");
    showStatus("You are logged out.");
    showSignedOut();
  }),
);

element("end-others").addEventListener("click", () =>
  whileSignedIn(async () => {
    const { ended } = await call("DELETE", "/sessions");
    showStatus(`${ended} ${ended === 1 ? "device was" : "devices were"} logged out.`);
    await listDevices();
  }),
);

// Whether a cookie is there, only the service can tell.
let authenticated = null;
try {
  authenticated = await call("GET", "/me");
} catch (problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (problem.code !== "not_authenticated") showStatus(problem.message);
  showSignedOut();
}
if (authenticated !== null) await whileSignedIn(() => showSignedIn(authenticated));
