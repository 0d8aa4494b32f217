// Prints the names that TypeScript files export, and their members, a line each. Arguments: the files.

import { readFileSync } from "node:fs";
import ts from "typescript";

const isPublic = (member) =>
  !member.modifiers?.some((each) => each.kind === ts.SyntaxKind.PrivateKeyword);

const namesOf = (members) =>
  members.filter((each) => each.name !== undefined && isPublic(each)).map((each) => each.name.text);

const list = (names) => names.map((name) => `\n  ${name}`).join("");

// The members of `components.schemas`, in which openapi-typescript has the models.
const nested = (name, members) =>
  members
    .filter((each) => each.type !== undefined && ts.isTypeLiteralNode(each.type))
    .map((each) => `${name}.${each.name.text}${list(namesOf(each.type.members))}`);

function constant(declaration) {
  const value = declaration.initializer;
  // An enumeration, as generators write it: `{…} as const`.
  const object = value && ts.isAsExpression(value) ? value.expression : undefined;
  const members = object && ts.isObjectLiteralExpression(object) ? namesOf(object.properties) : [];
  return `const ${declaration.name.text}${list(members)}`;
}

function describe(node) {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(constant);
  if (ts.isClassDeclaration(node)) return [`class ${node.name.text}${list(namesOf(node.members))}`];
  if (ts.isEnumDeclaration(node)) return [`enum ${node.name.text}${list(namesOf(node.members))}`];
  if (ts.isFunctionDeclaration(node)) return [`function ${node.name.text}`];
  if (ts.isTypeAliasDeclaration(node)) return [`type ${node.name.text}`];
  if (!ts.isInterfaceDeclaration(node)) return [];
  const { text } = node.name;
  if (text === "components") return nested(text, node.members);
  if (text === "operations" || text === "paths") return [`${text}${list(namesOf(node.members))}`];
  return [`interface ${text}`];
}

const isExported = (node) =>
  node.modifiers?.some((each) => each.kind === ts.SyntaxKind.ExportKeyword);

for (const file of process.argv.slice(2)) {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest);
  for (const line of source.statements.filter(isExported).flatMap(describe)) console.log(line);
}
