"""The page at `/docs/callback`, which shows what a provider has answered: its HTML and script.

It is a redirect URI for those who try the API at `/docs`, where the provider knows it and
`OSTIARY_OIDC_<NAME>_REDIRECT_URIS` has it. It sends nothing: the reader does.
"""

from __future__ import annotations

CALLBACK_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Ostiary: the answer of a provider</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/page.css">
</head>
<body>
<div class="swagger-ui"><div class="wrapper">
<div class="info"><h1 class="title">The answer of the provider</h1></div>
<p>Send it in this browser, as it is, to the endpoint that completes what was begun:
<a href="/docs#/Account/logInAtProvider">log-in</a>,
<a href="/docs#/Identities/linkIdentity">linking</a> or
<a href="/docs#/Identities/reauthenticateAtProvider">reauthentication</a>.</p>
<pre class="microlight" id="answer" tabindex="0"></pre>
</div></div>
<script src="/docs/callback.js"></script>
</body>
</html>
"""

# The answer is text of strangers. It leaves the address bar, and with it the history.
CALLBACK_SCRIPT = """\
const answer = Object.fromEntries(new URLSearchParams(location.search));
document.getElementById("answer").textContent = JSON.stringify(answer, null, 2);
history.replaceState(null, "", location.pathname);
"""
