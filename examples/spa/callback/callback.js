// Where a provider sends the browser back to, with a code in the query. Each provider has a page of
// its own, called after it: so the app knows which provider has answered (RFC 9700, section 4.4).
//
// The page is replaced by the app's, with the query as its fragment: the code is in no history, and
// "back" does not lead here.

const [, provider] = location.pathname.match(/([a-z0-9]+)\.html$/);
const query = new URLSearchParams(location.search);
query.set("callback", provider);
location.replace(new URL(`../#${query}`, import.meta.url));
