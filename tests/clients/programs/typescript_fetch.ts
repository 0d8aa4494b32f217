/** What an application does with a client for typescript-fetch. Arguments: URL, transport. */

import fetchCookie from "fetch-cookie";
import {
  AccountApi,
  Configuration,
  KnownProblemCode,
  ProblemFromJSON,
  ResponseError,
  SessionsApi,
  Transport,
} from "./client";
import type { Authenticated } from "./client";

const [url, wanted] = process.argv.slice(2);
const transport = wanted === "bearer" ? Transport.Bearer : Transport.Cookie;
const username = "Alice";
const password = "correct horse battery staple";

let token = "";
const configuration = new Configuration({
  basePath: url ?? "",
  // A browser keeps the cookies itself, with `credentials: "include"`.
  ...(transport === Transport.Cookie
    ? { fetchApi: fetchCookie(fetch) }
    : { accessToken: () => token }),
});
const account = new AccountApi(configuration);
const sessions = new SessionsApi(configuration);

async function step(name: string, call: () => Promise<void>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    const problem = ProblemFromJSON(await error.response.json());
    const fields = (problem.errors ?? []).map(({ field, code }) => `${field} ${code}`);
    const reason =
      problem.code === KnownProblemCode.InvalidCredentials
        ? "wrong user name or password"
        : problem.code;
    console.log(`${name} refused: ${[reason, ...fields].join(", ")}`);
  }
}

async function open(name: string, call: () => Promise<Authenticated>): Promise<void> {
  await step(name, async () => {
    const { session, user } = await call();
    token = session.token ?? token;
    console.log(`${name}: ${user.username}, ${session.fresh ? "fresh" : session.state}`);
  });
}

const signUp = (username: string, password: string) => () =>
  account.signUp({ signUpRequest: { username, password, transport } });
const logIn = (password: string) => () =>
  account.logIn({ logInRequest: { username, password, transport, deviceName: "a laptop" } });

await open("sign-up", signUp("al", "password1"));
await open("sign-up", signUp(username, password));
await open("log-in", logIn("an entirely wrong one"));
await open("log-in", logIn(password));
await open("me", () => account.getMe());

await step("sessions", async () => {
  const page = await sessions.listSessions();
  const current = page.sessions.find((session) => session.current);
  if (current !== undefined) {
    const lifetime = current.absoluteExpiresAt.getTime() - current.createdAt.getTime();
    console.log(`session: ${current.deviceName}, ${lifetime / 86_400_000} days`);
  }
});

const newPassword = "an entirely different one";
const changePasswordRequest = { currentPassword: password, newPassword };
await open("password change", () => account.changePassword({ changePasswordRequest }));

await step("log-out", async () => {
  await account.logOut();
  console.log("log-out");
});
await open("me", () => account.getMe());
