/** What an application does with openapi-fetch, and types from openapi-typescript.
 *  Arguments: URL, transport. */

import fetchCookie from "fetch-cookie";
import createClient from "openapi-fetch";
import type { components, paths } from "./client/schema";

type Authenticated = components["schemas"]["Authenticated"];
type Problem = components["schemas"]["Problem"];

const [url, wanted] = process.argv.slice(2);
const transport = wanted === "bearer" ? "bearer" : "cookie";
const username = "Alice";
const password = "correct horse battery staple";

// A browser keeps the cookies itself, with `credentials: "include"`.
const client = createClient<paths>({
  baseUrl: url ?? "",
  fetch: transport === "cookie" ? fetchCookie(fetch) : fetch,
});

let token: string | undefined;
client.use({
  onRequest({ request }) {
    if (token !== undefined) request.headers.set("Authorization", `Bearer ${token}`);
  },
});

function refused(step: string, problem: Problem): void {
  const fields = (problem.errors ?? []).map((error) => `${error.field} ${error.code}`);
  const reason =
    problem.code === "invalid_credentials" ? "wrong user name or password" : problem.code;
  console.log(`${step} refused: ${[reason, ...fields].join(", ")}`);
}

function opened(step: string, { session, user }: Authenticated): void {
  token = session.token ?? token;
  console.log(`${step}: ${user.username}, ${session.fresh ? "fresh" : session.state}`);
}

function report(step: string, answer: { data?: Authenticated; error?: Problem }): void {
  if (answer.error !== undefined) refused(step, answer.error);
  else if (answer.data !== undefined) opened(step, answer.data);
}

const invalid = { username: "al", password: "password1" };
report("sign-up", await client.POST("/signup", { body: { ...invalid, transport } }));
report("sign-up", await client.POST("/signup", { body: { username, password, transport } }));

const wrong = { username, password: "an entirely wrong one" };
report("log-in", await client.POST("/login", { body: { ...wrong, transport } }));
const device_name = "a laptop";
report(
  "log-in",
  await client.POST("/login", { body: { username, password, transport, device_name } }),
);

report("me", await client.GET("/me"));

const page = await client.GET("/sessions");
if (page.error !== undefined) refused("sessions", page.error);
const current = page.data?.sessions.find((session) => session.current);
if (current !== undefined) {
  const lifetime = Date.parse(current.absolute_expires_at) - Date.parse(current.created_at);
  console.log(`session: ${current.device_name}, ${lifetime / 86_400_000} days`);
}

const change = { current_password: password, new_password: "an entirely different one" };
report("password change", await client.PUT("/me/password", { body: change }));

const end = await client.POST("/logout");
if (end.error !== undefined) refused("log-out", end.error);
else console.log("log-out");

report("me", await client.GET("/me"));
