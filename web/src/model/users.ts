/** Users, groups and API tokens: their settings, and how they stand. */
import type { UserEntry } from "../api/schema";
import type { Config, Setting } from "./settings";
import type { Check } from "./validate";

/** The user who is always there. */
export const SUPERUSER = "root@pam";
/** The realm whose passwords are kept here. */
export const OWN_REALM = "pve";

/** The realm of a user, or of the user of a token. */
export function realmOf(userid: string): string {
  const user = userid.split("!", 1)[0] ?? "";
  return user.slice(user.lastIndexOf("@") + 1);
}

/** The name before the realm. */
export function checkUserName(value: string): Check {
  if (value === "") return "Enter a name.";
  if ([...value].length > 60) return "The name is longer than 60 characters.";
  return /[\s:/!]/.test(value) ? "A name has no spaces, colons, slashes and exclamation marks." : undefined;
}

const two = (n: number) => String(n).padStart(2, "0");

/** A day as a form's date, `2027-01-31`, of a time in seconds; empty for never. */
export function asDay(seconds: number): string {
  if (!seconds) return "";
  const date = new Date(seconds * 1000);
  return `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** When a day begins here, in seconds since 1970. */
export function startOfDay(day: string): number {
  return Math.floor(new Date(`${day}T00:00:00`).getTime() / 1000);
}

function ends(label: string): Setting {
  return {
    key: "expire",
    label,
    kind: "date",
    fallback: "",
    hint: "From the beginning of that day. Empty for never.",
    check: (day) => (startOfDay(day) > 0 ? undefined : "Enter a day, such as 2030-12-31."),
    code: { read: (wire) => asDay(Number(wire)), write: (day) => String(startOfDay(day)) },
  };
}

/** What describes something. */
export const COMMENT: Setting = { key: "comment", label: "Description", kind: "text", fallback: "" };

/** The settings of a user, who can be in any of these groups. */
export function userSettings(groups: readonly string[]): Setting[] {
  return [
    { key: "firstname", label: "First name", kind: "text", fallback: "" },
    { key: "lastname", label: "Last name", kind: "text", fallback: "" },
    { key: "email", label: "Address for mail", kind: "text", fallback: "" },
    COMMENT,
    ...(groups.length > 0
      ? [
          {
            key: "groups",
            label: "Groups",
            kind: "several",
            fallback: "",
            separator: ",",
            none: "",
            options: groups.map((name) => ({ value: name, label: name })),
          } as const,
        ]
      : []),
    ends("Account ends"),
    { key: "enable", label: "The user can log in", kind: "flag", fallback: "1" },
  ];
}

export const TOKEN_SETTINGS: readonly Setting[] = [
  {
    key: "privsep",
    label: "Permissions of its own",
    kind: "flag",
    fallback: "1",
    hint: "It then may do only what is given to it under Permissions, and never more than its user. Otherwise it may do all that its user may.",
  },
  ends("Token ends"),
  COMMENT,
];

/** A user's present settings, for the form. */
export function userConfig(user: UserEntry): Config {
  const { firstname, lastname, email, comment, groups, expire, enable } = user;
  return { firstname, lastname, email, comment, groups, expire, enable };
}

/** What empties a setting in calls that have no `delete`: an end of 0 is none, and the others are texts. */
export function emptied(change: Readonly<Record<string, string>>): Record<string, string> {
  const { delete: removed = "", ...kept } = change;
  const params: Record<string, string> = kept;
  for (const key of removed.split(",").filter(Boolean)) params[key] = key === "expire" ? "0" : "";
  return params;
}

export type Standing = "can log in" | "switched off" | "ended";

/** Whether somebody can log in at a time in seconds. */
export function standing(user: Pick<UserEntry, "enable" | "expire">, now = Date.now() / 1000): Standing {
  if (user.enable === 0) return "switched off";
  return user.expire && user.expire <= now ? "ended" : "can log in";
}

/** First and last name. */
export function fullName(user: Pick<UserEntry, "firstname" | "lastname">): string {
  return [user.firstname, user.lastname].filter(Boolean).join(" ");
}
