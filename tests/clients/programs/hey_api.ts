/** What an application does with a client of @hey-api/openapi-ts. Arguments: URL, transport. */

import fetchCookie from "fetch-cookie";
import { changePassword, getMe, listSessions, logIn, logOut, signUp } from "./client";
import type { Authenticated, KnownProblemCode, Problem } from "./client";
import { client } from "./client/client.gen";

const [url, wanted] = process.argv.slice(2);
const transport = wanted === "bearer" ? "bearer" : "cookie";
const username = "Alice";
const password = "correct horse battery staple";

let token: string | undefined;
client.setConfig({
  baseUrl: url ?? "",
  // A browser keeps the cookies itself, with `credentials: "include"`.
  fetch: transport === "cookie" ? fetchCookie(fetch) : fetch,
  // It asks for each way to send a token; the cookie is not for scripts to set.
  auth: ({ scheme }) => (scheme === "bearer" ? token : undefined),
});

const wrongPassword: KnownProblemCode = "invalid_credentials";

function refused(step: string, problem: Problem): void {
  const fields = (problem.errors ?? []).map((error) => `${error.field} ${error.code}`);
  const reason = problem.code === wrongPassword ? "wrong user name or password" : problem.code;
  console.log(`${step} refused: ${[reason, ...fields].join(", ")}`);
}

function opened(step: string, { session, user }: Authenticated): void {
  token = session.token ?? token;
  console.log(`${step}: ${user.username}, ${session.fresh ? "fresh" : session.state}`);
}

type Answer = { data: Authenticated | undefined; error: Problem | undefined };

function report(step: string, { data, error }: Answer): void {
  if (error !== undefined) refused(step, error);
  else if (data !== undefined) opened(step, data);
}

const invalid = { username: "al", password: "password1" };
report("sign-up", await signUp({ body: { ...invalid, transport } }));
report("sign-up", await signUp({ body: { username, password, transport } }));

const wrong = { username, password: "an entirely wrong one" };
report("log-in", await logIn({ body: { ...wrong, transport } }));
const device_name = "a laptop";
report("log-in", await logIn({ body: { username, password, transport, device_name } }));

report("me", await getMe());

const page = await listSessions();
if (page.error !== undefined) refused("sessions", page.error);
const current = page.data?.sessions.find((session) => session.current);
if (current !== undefined) {
  const lifetime = Date.parse(current.absolute_expires_at) - Date.parse(current.created_at);
  console.log(`session: ${current.device_name}, ${lifetime / 86_400_000} days`);
}

const change = { current_password: password, new_password: "an entirely different one" };
report("password change", await changePassword({ body: change }));

const end = await logOut();
if (end.error !== undefined) refused("log-out", end.error);
else console.log("log-out");

report("me", await getMe());
