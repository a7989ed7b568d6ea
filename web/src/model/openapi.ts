/** The API's own description, brought into the form in which the API page shows it. */

/** A schema, as far as the page looks into it. */
export interface Schema {
  type?: string | string[];
  description?: string;
  enum?: unknown[];
  oneOf?: Schema[];
  anyOf?: Schema[];
  const?: unknown;
  $ref?: string;
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  default?: unknown;
  items?: Schema;
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  required?: string[];
}

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

interface RawOperation {
  operationId: string;
  summary?: string;
  description?: string;
  parameters?: Parameter[];
  requestBody?: { content?: Record<string, { schema?: Schema }> };
  responses?: Record<string, { content?: Record<string, { schema?: Schema }> }>;
}

export interface Description {
  paths: Record<string, Record<string, RawOperation>>;
  components?: { schemas?: Record<string, Schema> };
}

/** A parameter of a method, wherever it travels. */
export interface Field {
  name: string;
  required: boolean;
  /** What values it takes, in a few words. */
  kind: string;
  about: string;
}

/** A method. */
export interface Operation {
  /** Verb and path; unique. */
  id: string;
  verb: string;
  path: string;
  summary: string;
  about: string;
  /** Who may call it, in words. */
  permission: string;
  fields: Field[];
  result: Schema | undefined;
}

const VERBS = ["get", "post", "put", "delete"];
const PERMISSION = "Permission: ";

/** Reads the description that was built into this page; a part of its own, because it is large. */
export async function loadDescription(): Promise<Description> {
  const text = await import("../../../services/api/openapi.json?raw");
  return JSON.parse(text.default) as Description;
}

/** Every method, by path and verb. */
export function operations(description: Description): Operation[] {
  return Object.keys(description.paths)
    .sort()
    .flatMap((path) =>
      VERBS.flatMap((verb) => {
        const raw = description.paths[path]?.[verb];
        return raw ? [operation(description, path, verb, raw)] : [];
      }),
    );
}

function operation(description: Description, path: string, verb: string, raw: RawOperation): Operation {
  const [about = "", permission = ""] = (raw.description ?? "").split(PERMISSION);
  const summary = raw.summary ?? "";
  return {
    id: `${verb.toUpperCase()} ${path}`,
    verb: verb.toUpperCase(),
    path,
    summary,
    about: about.replace(summary, "").trim(),
    permission: permission.trim().replace(/\.$/, ""),
    fields: [
      ...(raw.parameters ?? []).map((p) => parameter(description, p)),
      ...bodyFields(description, raw),
    ],
    result: answered(description, raw),
  };
}

function parameter(description: Description, found: Parameter): Field {
  const schema = resolve(description, found.schema);
  return {
    name: found.name,
    required: found.required ?? false,
    kind: kindOf(description, schema),
    about: found.description ?? schema?.description ?? "",
  };
}

function bodyFields(description: Description, raw: RawOperation): Field[] {
  const contents = Object.values(raw.requestBody?.content ?? {});
  const schema = resolve(description, contents[0]?.schema);
  const field = (name: string, found: Schema) => ({
    name,
    required: schema?.required?.includes(name) ?? false,
    kind: kindOf(description, found),
    about: found.description ?? resolve(description, found)?.description ?? "",
  });
  const named = Object.entries(schema?.properties ?? {}).map(([name, found]) => field(name, found));
  const numbered = Object.entries(schema?.patternProperties ?? {}).map(([pattern, found]) =>
    field(`${/[a-z]+/.exec(pattern)?.[0] ?? pattern}[n]`, found),
  );
  return [...named, ...numbered];
}

/** The schema of the answer's `data`. */
function answered(description: Description, raw: RawOperation): Schema | undefined {
  const content = raw.responses?.["200"]?.content ?? {};
  const whole = resolve(description, Object.values(content)[0]?.schema);
  return whole?.properties?.["data"];
}

/** Follows references; those that lead nowhere are nothing. */
export function resolve(description: Description, schema: Schema | undefined): Schema | undefined {
  let found = schema;
  for (let steps = 0; found?.$ref && steps < 8; steps += 1)
    found = description.components?.schemas?.[found.$ref.split("/").at(-1) ?? ""];
  return found;
}

/** What values a schema takes, in a few words. */
export function kindOf(description: Description, schema: Schema | undefined): string {
  const found = resolve(description, schema);
  if (!found) return "nothing";
  const words = [...(found.enum ?? []), ...(found.oneOf ?? []).flatMap((one) => one.enum ?? [one.const])];
  const named = words.filter((word) => word !== undefined && word !== null);
  if (named.length > 0) return named.map(String).join(" | ");
  const type = Array.isArray(found.type) ? found.type.join(" or ") : found.type;
  switch (type) {
    case "array":
      return `list of ${kindOf(description, found.items)}`;
    case "integer":
    case "number":
      return found.minimum !== undefined && found.maximum !== undefined
        ? `${type}, ${found.minimum} to ${found.maximum}`
        : type;
    case "string":
      return found.maxLength === undefined ? "text" : `text of up to ${found.maxLength} characters`;
    case "null":
      return "nothing";
    case undefined:
      return "any value";
    default:
      return type;
  }
}

/** The methods in which every word of `wanted` occurs: in verb, path, summary or a parameter's name. */
export function search(all: Operation[], wanted: string): Operation[] {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter((operation) => {
    const names = operation.fields.map((field) => field.name).join(" ");
    const text = `${operation.id} ${operation.summary} ${names}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** A folder of the tree of paths. */
export interface Folder {
  /** Its last segment. */
  name: string;
  path: string;
  operations: Operation[];
  folders: Folder[];
}

/** Methods as a tree of the segments of their paths. */
export function treeOf(all: Operation[]): Folder {
  const root: Folder = { name: "", path: "", operations: [], folders: [] };
  for (const operation of all) {
    let folder = root;
    for (const name of operation.path.split("/").filter(Boolean)) {
      let next = folder.folders.find((one) => one.name === name);
      if (!next) {
        next = { name, path: `${folder.path}/${name}`, operations: [], folders: [] };
        folder.folders.push(next);
      }
      folder = next;
    }
    folder.operations.push(operation);
  }
  return root;
}
