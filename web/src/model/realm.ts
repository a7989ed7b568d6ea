/** Realms: their kinds, the settings of each, and what a synchronisation says. */
import type { RealmType } from "../api/schema";
import type { Setting } from "./settings";
import { checkInteger, type Check } from "./validate";

export const REALM_NAMES: Record<RealmType, string> = {
  pam: "Linux users of the host",
  pve: "Users kept by Basalt",
  ldap: "LDAP directory",
  ad: "Active Directory",
  openid: "OpenID Connect",
};

/** Kinds that can be added: the others are there always. */
export type AddedType = "ldap" | "ad" | "openid";

export function isAdded(type: RealmType): type is AddedType {
  return type === "ldap" || type === "ad" || type === "openid";
}

/** Whether users and groups of a realm can be brought here. */
export function canSync(type: RealmType): boolean {
  return type === "ldap" || type === "ad";
}

/** Name of a realm as the server takes it. */
export function checkRealmName(name: string): Check {
  if (name === "") return "Enter a name.";
  return /^[A-Za-z][A-Za-z0-9._-]{1,31}$/.test(name)
    ? undefined
    : "Begin with a letter, then letters, digits, '.', '_' or '-': 2 to 32 in all.";
}

function checkHost(host: string): Check {
  return /^[\w.:[\]-]+$/.test(host) ? undefined : "Enter the name or address of a host.";
}

function checkIssuer(url: string): Check {
  return /^https?:\/\/\S+$/.test(url) ? undefined : "Enter an address that begins with https://.";
}

function checkFile(path: string): Check {
  return path.startsWith("/") ? undefined : "Enter the path of a file on the node, such as /etc/ssl/own.pem.";
}

/** A group of settings under one title. */
export interface Section {
  title: string;
  settings: Setting[];
}

const text = (key: string, label: string, rest: Partial<Setting> = {}): Setting =>
  ({ kind: "text", key, label, fallback: "", ...rest }) as Setting;
const flag = (key: string, label: string, fallback: "0" | "1", hint?: string): Setting => ({
  kind: "flag",
  key,
  label,
  fallback,
  ...(hint === undefined ? {} : { hint }),
});

const SECOND: Setting = {
  kind: "choice",
  key: "tfa",
  label: "Second factor",
  fallback: "",
  hint: "A security key does wherever codes are demanded.",
  options: [
    { value: "", label: "Each user decides" },
    { value: "type=oath", label: "Everybody must have one" },
    { value: "type=oath,digits=8", label: "Everybody must have one; codes have 8 digits" },
  ],
};

const GENERAL: Section = {
  title: "General",
  settings: [
    text("comment", "Description", { hint: "What the login page calls the realm." }),
    flag("default", "Chosen first on the login page", "0"),
    SECOND,
  ],
};

const CA = text("capath", "Authorities that are believed", {
  hint: "Path of a file on the node with their certificates (PEM). Empty for the public ones.",
  check: checkFile,
});

function server(type: "ldap" | "ad"): Section {
  const own: Setting[] =
    type === "ad"
      ? [text("domain", "Domain", { required: true, hint: "DNS name: users bind as name@domain." })]
      : [
          text("base_dn", "Base DN", {
            required: true,
            hint: "Where users are, such as ou=people,dc=example,dc=org.",
          }),
          text("user_attr", "Attribute with the user's name", { required: true, hint: "Such as uid." }),
        ];
  return {
    title: "Server",
    settings: [
      text("server1", "Server", { required: true, check: checkHost }),
      text("server2", "Second server", {
        hint: "Asked when the first cannot be reached.",
        check: checkHost,
      }),
      {
        kind: "number",
        key: "port",
        label: "Port",
        fallback: "",
        hint: "Empty for the usual one: 636 with LDAPS, else 389.",
        check: (value) => checkInteger(value, 1, 65535),
      },
      ...own,
    ],
  };
}

const TLS: Section = {
  title: "Encryption",
  settings: [
    {
      kind: "choice",
      key: "mode",
      label: "Connection",
      fallback: "ldap",
      options: [
        { value: "ldaps", label: "LDAPS (TLS from the start)" },
        { value: "ldap+starttls", label: "LDAP with StartTLS" },
        { value: "ldap", label: "LDAP without encryption: passwords can be read on the way" },
      ],
    },
    flag(
      "verify",
      "Check the server's certificate",
      "0",
      "Without this, whoever is on the way can pose as the server.",
    ),
    CA,
  ],
};

function bind(type: "ldap" | "ad"): Section {
  return {
    title: "Account that searches",
    settings: [
      text("bind_dn", type === "ad" ? "Bind DN or name@domain" : "Bind DN", {
        hint: "Empty for an anonymous search.",
      }),
      {
        kind: "secret",
        key: "password",
        label: "Its password",
        fallback: "",
        hint: "Kept apart and never shown. Leave it empty to keep the one that is there.",
      },
      flag("case-sensitive", "Upper and lower case differ in user names", "1"),
    ],
  };
}

function sync(type: "ldap" | "ad"): Section {
  const part = (name: string) => ({ of: "sync-defaults-options", name });
  const base: Setting[] =
    type === "ad"
      ? [
          text("base_dn", "Base DN", { hint: "Where users are." }),
          text("user_attr", "Attribute with the user's name", { hint: "Usually sAMAccountName." }),
        ]
      : [];
  return {
    title: "Users and groups",
    settings: [
      ...base,
      text("filter", "Filter for users", { hint: "Such as (memberOf=cn=admins,dc=example,dc=org)." }),
      text("user_classes", "Object classes of users"),
      text("sync_attributes", "Attributes of users", { hint: "Such as email=mail,firstname=givenName." }),
      text("group_dn", "Base DN of groups"),
      text("group_filter", "Filter for groups"),
      text("group_name_attr", "Attribute with the group's name"),
      text("group_classes", "Object classes of groups"),
      { ...SCOPE, key: "sync.scope", part: part("scope") },
      { ...VANISHED, key: "sync.remove-vanished", part: part("remove-vanished") },
      { ...ENABLE, key: "sync.enable-new", part: part("enable-new") },
    ],
  };
}

const SCOPE: Setting = {
  kind: "choice",
  key: "scope",
  label: "Synchronise",
  fallback: "",
  options: [
    { value: "", label: "Asked each time" },
    { value: "users", label: "Users" },
    { value: "groups", label: "Groups" },
    { value: "both", label: "Users and groups" },
  ],
};

const VANISHED: Setting = {
  kind: "several",
  key: "remove-vanished",
  label: "Remove what the directory no longer has",
  fallback: "none",
  none: "none",
  separator: ";",
  options: [
    { value: "acl", label: "Permissions of users and groups that are gone" },
    { value: "entry", label: "The users and groups themselves" },
    { value: "properties", label: "Properties that no longer have a value" },
  ],
};

const ENABLE: Setting = flag("enable-new", "New users can log in", "1");

/** Settings of one synchronisation, which begin as the realm has them. */
export const SYNC_SETTINGS: readonly Setting[] = [
  {
    ...SCOPE,
    required: true,
    options: SCOPE.kind === "choice" ? SCOPE.options.filter((option) => option.value !== "") : [],
  },
  VANISHED,
  ENABLE,
];

const OPENID: Section[] = [
  {
    title: "Provider",
    settings: [
      text("issuer-url", "Issuer", {
        required: true,
        check: checkIssuer,
        hint: "Address of the provider, as it calls itself.",
      }),
      text("client-id", "Client ID", { required: true }),
      {
        kind: "secret",
        key: "client-key",
        label: "Client secret",
        fallback: "",
        hint: "Kept apart and never shown. Leave it empty to keep the one that is there.",
      },
      CA,
      text("scopes", "Scopes", { hint: "What is asked for besides openid; email profile when empty." }),
      text("prompt", "Prompt", { hint: "none, login, consent or select_account." }),
      text("acr-values", "Kinds of login that are wanted (ACR)"),
      flag("query-userinfo", "Ask for claims that are not in the token", "1"),
    ],
  },
  {
    title: "Users and groups",
    settings: [
      text("username-claim", "Claim with the user's name", {
        hint: "subject when empty; it cannot be changed later.",
      }),
      flag(
        "autocreate",
        "Make an account for whoever is new",
        "0",
        "Such an account may do nothing at first.",
      ),
      text("groups-claim", "Claim with the user's groups"),
      flag("groups-autocreate", "Make groups that are not here", "0"),
      flag("groups-overwrite", "A user leaves every group that is not named", "0"),
    ],
  },
];

/** All that can be set of a realm; some of it is fixed once the realm exists. */
export function realmSections(type: RealmType, isNew: boolean): Section[] {
  switch (type) {
    case "pam":
    case "pve":
      return [GENERAL];
    case "ldap":
    case "ad":
      return [GENERAL, server(type), TLS, bind(type), sync(type)];
    case "openid":
      return [GENERAL, ...OPENID].map((section) => ({
        ...section,
        settings: section.settings.filter((setting) => isNew || setting.key !== "username-claim"),
      }));
  }
}

/** What a new directory starts with: nobody on the way reads its passwords. */
export const SAFE_START: Readonly<Record<string, string>> = { mode: "ldaps", verify: "1" };

/** What a synchronisation does, or would do, to one user or group. */
export interface SyncChange {
  action: "add" | "update" | "remove" | "remove permissions" | "skip";
  kind: "user" | "group";
  name: string;
  /** Why it is left out. */
  reason?: string;
}

export interface SyncOutcome {
  /** `found 2 users and 1 groups`, in the server's words. */
  found?: string;
  changes: SyncChange[];
}

const VERBS: Record<string, SyncChange["action"]> = {
  adding: "add",
  updating: "update",
  removing: "remove",
  "removing permissions of": "remove permissions",
};

/** Reads the log of a synchronisation. */
export function readSyncLog(lines: readonly string[]): SyncOutcome {
  const outcome: SyncOutcome = { changes: [] };
  for (const line of lines) {
    const change = /(adding|updating|removing permissions of|removing) (user|group) '([^']*)'/.exec(line);
    const skipped = /skipping (group )?'([^']*)': (.*)$/.exec(line);
    if (change) {
      const [, verb = "", kind, name = ""] = change;
      outcome.changes.push({ action: VERBS[verb] ?? "update", kind: kind as SyncChange["kind"], name });
    } else if (skipped) {
      const [, group, name = "", reason = ""] = skipped;
      outcome.changes.push({ action: "skip", kind: group ? "group" : "user", name, reason });
    } else if (/found \d+ users and \d+ groups/.test(line)) {
      outcome.found = line.replace(/^.*?(found \d+)/, "$1");
    }
  }
  return outcome;
}
