// The pages of the provider.

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escaped = (text) => String(text).replace(/[&<>"]/g, (each) => ENTITIES[each]);

/** Return a page with a form that has these fields and buttons. */
export function page(title, text, fields = [], buttons = []) {
  const inputs = fields.map((name) => `<label>${name} <input name="${name}" autofocus></label>`);
  const answers = buttons.map((each) => `<button name="answer" value="${each}">${each}</button>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<main id="provider">
<h1>${escaped(title)}</h1>
<p>${escaped(text)}</p>
<form method="post">${inputs.join("")} ${answers.join(" ")}</form>
</main>
</html>
`;
}
