"""The page at `/docs`: its HTML, style, script and policy."""

from __future__ import annotations

import json

from service.api.routes import operation_ids

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Ostiary</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/page.css">
</head>
<body>
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/page.js"></script>
</body>
</html>
"""

# There is one server. On a narrow screen the cells of a table stand below one another.
PAGE_STYLE = """\
body { margin: 0; }
.swagger-ui .scheme-container .schemes .schemes-server-container { display: none; }
.swagger-ui .response-col_links { display: none; }
.swagger-ui .scheme-container { padding: 12px 0; box-shadow: none; background: none; }
.swagger-ui .info { margin: 32px 0 16px; }
.swagger-ui .markdown code, .swagger-ui .renderedMarkdown code {
  padding: 1px 4px; overflow-wrap: anywhere;
}
@media (max-width: 640px) {
  .swagger-ui .wrapper { padding: 0 8px; }
  .swagger-ui .opblock-tag { flex-wrap: wrap; }
  .swagger-ui .opblock-tag small { flex-basis: 80%; padding: 0; }
  .swagger-ui table :is(thead, tr.response-header-row) { display: none; }
  .swagger-ui table, .swagger-ui table :is(tbody, tr, td) { display: block; width: auto; }
  .swagger-ui table td { max-width: none; padding: 4px 0; }
  .swagger-ui :is(pre, .microlight) { white-space: pre-wrap; overflow-wrap: anywhere; }
}
"""

# Operations stand in the order in which they are written, and nothing is asked for where a cookie
# is enough: no script can set it.
PAGE_SCRIPT = """\
const order = $ORDER;
const place = (operation) => order.indexOf(operation.getIn(["operation", "operationId"]));
const isCookie = (scheme) => scheme.get("in") === "cookie";

const cookieNeedsNoEntry = ({ React }) => ({
  wrapComponents: {
    auths: (Auths, { getComponent }) => (props) => {
      if (!props.definitions.every(isCookie)) return React.createElement(Auths, props);
      const Markdown = getComponent("Markdown", true);
      return props.definitions.entrySeq().map(([name, scheme]) =>
        React.createElement("div", { className: "auth-container", key: name },
          React.createElement("h4", null, React.createElement("code", null, name)),
          React.createElement(Markdown, { source: scheme.get("description") })));
    },
  },
});

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
  withCredentials: true,
  defaultModelsExpandDepth: 0,
  operationsSorter: (one, other) => place(one) - place(other),
  plugins: [cookieNeedsNoEntry],
});
""".replace("$ORDER", json.dumps(operation_ids()))

# Nothing is loaded from another host. Swagger UI sets styles from scripts and draws with data URLs.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

# The files of Swagger UI that the page loads, and their media types.
PAGE_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
