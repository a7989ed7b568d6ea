/** Who is told of what happens: kinds of target, the settings of each and of matchers, and how lists are written. */
import type { Section } from "./realm";
import type { Config, Setting } from "./settings";
import { checkInteger, type Check } from "./validate";

export type TargetType = "smtp" | "sendmail" | "gotify" | "webhook";
/** What one form edits. */
export type NotifyKind = TargetType | "matcher";

export const KIND_NAMES: Record<NotifyKind, string> = {
  smtp: "Mail server (SMTP)",
  sendmail: "Mail by way of this host",
  gotify: "Gotify",
  webhook: "Webhook",
  matcher: "Matcher",
};

export const TARGET_TYPES: readonly TargetType[] = ["smtp", "sendmail", "gotify", "webhook"];

/** Name of a target or matcher as the server takes it. */
export function checkNotifyName(name: string): Check {
  if (name === "") return "Enter a name.";
  return /^[A-Za-z][A-Za-z0-9_-]{1,63}$/.test(name)
    ? undefined
    : "Begin with a letter, then letters, digits, '_' or '-': 2 to 64 in all.";
}

function checkUrl(url: string): Check {
  return /^https?:\/\/\S/.test(url) ? undefined : "Enter an address that begins with https://.";
}

function checkMail(address: string): Check {
  return /^[^\s@]+@[^\s@]+$/.test(address) ? undefined : "Enter an address such as host@example.org.";
}

function checkHeaders(text: string): Check {
  const wrong = lines(text).find((line) => !/^[\w-]+:/.test(line));
  return wrong === undefined ? undefined : `Write NAME: VALUE instead of “${wrong}”.`;
}

function checkSecrets(text: string): Check {
  // What was typed may be the secret itself: it is not repeated.
  return lines(text).every((line) => /^[\w-]+(=|$)/.test(line))
    ? undefined
    : "Write NAME=VALUE in each line.";
}

const text = (key: string, label: string, rest: Partial<Setting> = {}): Setting =>
  ({ kind: "text", key, label, fallback: "", ...rest }) as Setting;
const list = (key: string, label: string, hint: string, rest: Partial<Setting> = {}): Setting =>
  ({ kind: "lines", key, label, hint, fallback: "", ...rest }) as Setting;
const flag = (key: string, label: string): Setting => ({ kind: "flag", key, label, fallback: "0" });

const COMMENT = text("comment", "Description");
const OFF = flag("disable", "Off: it is told nothing");
const KEPT = "Kept apart and never shown. Leave it empty to keep the one that is there.";

const RECIPIENTS: Section = {
  title: "Recipients",
  settings: [
    list(
      "mailto-user",
      "Users",
      "One in each line, such as root@pam: the mail goes to the address they have here.",
    ),
    list("mailto", "Addresses", "One in each line."),
    text("author", "Name of the sender", { hint: "Empty for Basalt." }),
  ],
};

function smtp(): Section[] {
  const server: Setting[] = [
    text("server", "Server", { required: true }),
    {
      kind: "choice",
      key: "mode",
      label: "Encryption",
      fallback: "tls",
      options: [
        { value: "tls", label: "TLS from the start" },
        { value: "starttls", label: "StartTLS" },
        { value: "insecure", label: "None: mail and password can be read on the way" },
      ],
    },
    {
      kind: "number",
      key: "port",
      label: "Port",
      fallback: "",
      hint: "Empty for the usual one: 465 with TLS, 587 with StartTLS, else 25.",
      check: (value) => checkInteger(value, 1, 65535),
    },
    text("from-address", "Address of the sender", { required: true, check: checkMail }),
    text("username", "Account", { hint: "Empty if the server asks for none." }),
    { kind: "secret", key: "password", label: "Its password", fallback: "", hint: KEPT },
  ];
  return [{ title: "Server", settings: server }, RECIPIENTS];
}

function sendmail(): Section[] {
  const relay = text("relay", "By the server of", {
    hint: "Name of a target of the kind “Mail server”. The host has no mail server of its own: without this nothing can be sent.",
  });
  const from = text("from-address", "Address of the sender", {
    hint: "Empty for that of the server.",
    check: checkMail,
  });
  return [{ title: "Server", settings: [relay, from] }, RECIPIENTS];
}

function gotify(isNew: boolean): Section[] {
  const settings: Setting[] = [
    text("server", "Server", {
      required: true,
      hint: "Such as https://gotify.example.org.",
      check: checkUrl,
    }),
    {
      kind: "secret",
      key: "token",
      label: "Token of the application",
      fallback: "",
      hint: isNew ? "Kept apart and never shown." : KEPT,
      required: isNew,
    },
  ];
  return [{ title: "Server", settings }];
}

function webhook(): Section[] {
  const request: Setting[] = [
    {
      kind: "choice",
      key: "method",
      label: "Method",
      fallback: "post",
      options: ["post", "put", "get"].map((value) => ({ value, label: value.toUpperCase() })),
    },
    text("url", "Address", { required: true, check: checkUrl }),
    list("header", "Headers", "NAME: VALUE, one in each line.", { check: checkHeaders }),
    list(
      "body",
      "Body",
      "Here and above, {{ title }}, {{ message }}, {{ severity }}, {{ timestamp }}, {{ fields.hostname }} and {{ secrets.NAME }} are filled in; {{ url-encode … }}, {{ escape … }} and {{ json … }} write them for where they stand.",
      { code: { read: fromBase64, write: toBase64 } },
    ),
    list(
      "secret",
      "Secrets",
      "NAME=VALUE, one in each line. Values are kept apart and never shown: a line with the name alone keeps the one that is there.",
      { check: checkSecrets },
    ),
  ];
  return [{ title: "Request", settings: request }];
}

function matcher(): Section[] {
  const rules: Setting[] = [
    list(
      "match-severity",
      "Severity",
      "Of info, notice, warning, error and unknown; those in one line, joined by commas, are one rule.",
    ),
    list(
      "match-field",
      "Fields",
      "exact:type=update-fallback,certificate-renewal or regex:hostname=^n, one in each line.",
    ),
    list("match-calendar", "Time", "Such as mon..fri 8-17, one in each line."),
    {
      kind: "choice",
      key: "mode",
      label: "What must hold",
      fallback: "all",
      options: [
        { value: "all", label: "Every rule" },
        { value: "any", label: "At least one rule" },
      ],
    },
    flag("invert-match", "Turned round: what the rules do not hold for"),
  ];
  const told: Setting[] = [list("target", "Targets", "Names of targets, one in each line.")];
  return [
    { title: "Which events", settings: rules },
    { title: "Who is told", settings: told },
  ];
}

/** The settings of a kind. */
export function notifySections(kind: NotifyKind, isNew: boolean): Section[] {
  const own = { smtp, sendmail, webhook, matcher, gotify: () => gotify(isNew) }[kind]();
  return [...own, { title: "In general", settings: [COMMENT, OFF] }];
}

const LISTS = [
  "mailto",
  "mailto-user",
  "header",
  "secret",
  "target",
  "match-severity",
  "match-field",
  "match-calendar",
];

/** Lists as the form shows them: one in each line. */
export function asConfig(shown: object): Config {
  const config: Record<string, string | number | undefined> = {};
  for (const [key, value] of Object.entries(shown) as [string, unknown][]) {
    if (Array.isArray(value)) config[key] = value.map((item) => readItem(key, String(item))).join("\n");
    else if (typeof value === "string" || typeof value === "number") config[key] = value;
  }
  return config;
}

/** What is sent for a change that the form made. */
export function asParams(change: Readonly<Record<string, string>>): Record<string, string | string[]> {
  const params: Record<string, string | string[]> = {};
  for (const [key, value] of Object.entries(change)) {
    if (key === "delete") params[key] = value.split(",");
    else params[key] = LISTS.includes(key) ? lines(value).map((line) => writeItem(key, line)) : value;
  }
  return params;
}

function lines(value: string): string[] {
  return value
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function readItem(key: string, item: string): string {
  const name = /^name=([^,]*)/.exec(item)?.[1] ?? item;
  if (key === "secret") return name;
  if (key !== "header") return item;
  return `${name}: ${fromBase64(/,value=(.*)$/.exec(item)?.[1] ?? "")}`;
}

function writeItem(key: string, line: string): string {
  const mark = { header: ":", secret: "=" }[key];
  if (mark === undefined) return line;
  const at = line.indexOf(mark);
  if (at < 0) return `name=${line}`;
  return `name=${line.slice(0, at).trim()},value=${toBase64(line.slice(at + 1).trim())}`;
}

/** A text in UTF-8 as base64. */
export function toBase64(plain: string): string {
  return btoa(Array.from(new TextEncoder().encode(plain), (byte) => String.fromCharCode(byte)).join(""));
}

/** A text that was encoded; what is no base64 stays as it is. */
export function fromBase64(encoded: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0)));
  } catch {
    return encoded;
  }
}
