// Requests to Ostiary.
//
// The browser keeps the session in a cookie that scripts cannot read: there is no token here, and
// nothing to store. Each request needs `credentials: "include"`, or the cookie is neither kept nor
// sent.

const SERVICE = document.querySelector('meta[name="ostiary"]').content;

/**
 * A failed request: a problem of the service (RFC 9457), with a stable `code`, the `errors` of
 * fields and further members in `json`, or `unreachable`, `no_json`, `cancelled` or `no_passkey`
 * of this page.
 */
export class Problem extends Error {
  constructor(json, retryAfter = null) {
    super(json.detail);
    this.json = json;
    this.code = json.code;
    this.errors = json.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

/** Send a request; return the JSON of its response, `null` if there is none, or throw a `Problem`. */
export async function call(method, path, body) {
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
