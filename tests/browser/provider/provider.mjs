// An OpenID provider on a free port of this machine: oidc-provider, with users of its own.
//
// The first line of the standard input has the `clients`, as JSON in the members of OpenID Connect
// Registration. Each `rotate` after it gives the provider a new signing key. Every line is answered
// by one with the issuer. The process ends with its standard input.
//
// Whoever is named in the form for log-in exists: the name is the subject.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";

import Provider from "oidc-provider";

import { page } from "./pages.mjs";

// oidc-provider has notices for its operator, which are no answers.
console.info = console.warn;

// Browsers send cookies to all ports of a host: those of two providers need names of their own.
const id = randomBytes(8).toString("hex");
const names = { session: `${id}.session`, interaction: `${id}.interaction`, resume: `${id}.resume` };
const cookies = { names, keys: [randomBytes(32).toString("base64url")] };
const refusal = { error: "access_denied", error_description: "<b>The user refused.</b>" };

function newKey() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig" };
}

function newProvider(issuer, clients) {
  return new Provider(issuer, {
    clients,
    cookies,
    jwks: { keys: [newKey()] },
    claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"] },
    // Google and others put these into the ID token too.
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, accountId) => ({ accountId, claims: () => claimsOf(accountId) }),
    renderError: (context, { error, error_description }) => {
      context.type = "html";
      context.body = page("Error", `${error}: ${error_description}`);
    },
  });
}

function claimsOf(name) {
  return { sub: name, name, email: `${name}@provider.example`, email_verified: true };
}

/** Show the form for log-in or consent, or take what the user has answered there. */
async function interact(request, response) {
  const details = await provider.interactionDetails(request, response);
  if (request.method === "GET") {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(formFor(details));
    return;
  }
  const answers = new URLSearchParams(await text(request));
  const isRefused = ["Cancel", "Refuse"].includes(answers.get("answer"));
  const result = isRefused ? refusal : await resultOf(details, answers);
  const options = { mergeWithLastSubmission: !isRefused };
  await provider.interactionFinished(request, response, result, options);
}

function formFor({ prompt, params }) {
  if (prompt.name === "login") {
    return page("Log in at the provider", "", ["name"], ["Log in", "Cancel"]);
  }
  return page("Consent", `${params.client_id} asks who you are.`, [], ["Allow", "Refuse"]);
}

async function resultOf(details, answers) {
  if (details.prompt.name === "login") return { login: { accountId: answers.get("name") } };
  return { consent: { grantId: await grant(details) } };
}

async function grant({ grantId, session, params, prompt }) {
  const found = grantId && (await provider.Grant.find(grantId));
  const { accountId } = session;
  const granted = found || new provider.Grant({ accountId, clientId: params.client_id });
  granted.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(" "));
  return await granted.save();
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { clients } = JSON.parse((await lines.next()).value);

let provider;
const server = createServer((request, response) => {
  if (!request.url.startsWith("/interaction/")) return provider.callback()(request, response);
  interact(request, response).catch((error) => {
    response.statusCode = 400;
    response.end(page("Error", `${error.name}: ${error.error_description}`));
  });
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;

do {
  provider = newProvider(issuer, clients);
  process.stdout.write(`${issuer}\n`);
} while (!(await lines.next()).done);
process.exit();
