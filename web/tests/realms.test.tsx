import { fireEvent, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { openDialog } from "../src/dialogs/store";
import { Realms } from "../src/pages/Realms";
import { enter, leave, show, ticket } from "./show";
import { stubFetch, type Answer, type Asked } from "./stub";

const CORP = {
  type: "ldap",
  digest: "d1",
  server1: "ldap.example.org",
  base_dn: "dc=example,dc=org",
  user_attr: "uid",
  bind_dn: "cn=reader",
  mode: "ldaps",
  verify: 1,
  "sync-defaults-options": "scope=users,remove-vanished=acl",
};
const LIST = {
  data: [
    { realm: "pam", type: "pam", comment: "Linux users" },
    { realm: "corp", type: "ldap" },
  ],
};
const RIGHTS = { access: { "Realm.Allocate": 1, "Realm.AllocateUser": 1, "User.Modify": 1 } };
const UPID = "UPID:n1:00000001:00000001:00000001:auth-realm-sync:corp:root@pam:";

type Table = Record<string, Answer | ((asked: Asked) => Answer)>;

async function open(table: Table, cap: Record<string, Record<string, number>> = RIGHTS) {
  const asked = stubFetch({
    "POST /access/ticket": ticket("root@pam", cap),
    "GET /access/domains": LIST,
    "GET /access/domains/corp": { data: CORP },
    ...table,
  });
  await enter("root@pam");
  show(<Realms />);
  return asked;
}

const sent = (asked: Asked[], key: string) =>
  Object.fromEntries(asked.findLast((a) => a.key === key)?.body ?? []);
/** At once: the form is long, and each key draws it. */
const fill = (field: HTMLElement, value: string) => fireEvent.change(field, { target: { value } });
/** Looking by role goes through the whole form. */
const field = (label: RegExp) => screen.getByLabelText(label, { selector: "input" });
const press = (text: string) => screen.findByText(text, { selector: ".pf-v6-c-modal-box__footer *" });
const button = (name: string) => screen.findByRole("button", { name });

afterEach(() => {
  leave();
  vi.unstubAllGlobals();
});

describe("realms", () => {
  it("are added, with encryption unless it is taken away", async () => {
    const asked = await open({ "POST /access/domains": {} });
    openDialog({ kind: "realm", type: "ldap" });
    fireEvent.click(await press("Add"));
    expect(await screen.findByText("Enter a name.")).toBeInTheDocument();
    expect(screen.getByText("Enter this: Base DN.")).toBeInTheDocument();
    expect(asked.some((a) => a.key === "POST /access/domains")).toBe(false);
    fill(field(/^Name/), "corp");
    fill(field(/^Server/), "ldap.example.org");
    fill(field(/^Base DN(?! of)/), "dc=x");
    fill(field(/^Attribute with the user's name/), "uid");
    fireEvent.click(await press("Add"));
    await waitFor(() => expect(sent(asked, "POST /access/domains")).not.toEqual({}));
    expect(sent(asked, "POST /access/domains")).toEqual({
      realm: "corp",
      type: "ldap",
      server1: "ldap.example.org",
      base_dn: "dc=x",
      user_attr: "uid",
      mode: "ldaps",
      verify: "1",
      "check-connection": "1",
    });
  });

  it("are changed by what differs, and say which field is refused", async () => {
    const refused = { status: 400, message: "refused", errors: { password: "is needed again" } };
    const asked = await open({
      "PUT /access/domains/corp": ({ body }) => (body.has("password") ? {} : refused),
    });
    fireEvent.click(await screen.findByLabelText("Edit corp"));
    fireEvent.click(await press("Save"));
    fill(field(/^Server/), "ldap2.example.org");
    fill(screen.getByLabelText("Second factor"), "type=oath");
    fireEvent.click(await press("Save"));
    const password = await screen.findByLabelText("Its password");
    await waitFor(() => expect(password).toBeInvalid());
    fill(password, "new secret");
    fireEvent.click(await press("Save"));
    await waitFor(() => expect(sent(asked, "PUT /access/domains/corp")).toHaveProperty("password"));
    expect(sent(asked, "PUT /access/domains/corp")).toEqual({
      server1: "ldap2.example.org",
      tfa: "type=oath",
      password: "new secret",
      digest: "d1",
    });
  });

  it("show what a synchronisation would change, without changing it", async () => {
    const log = ["found 1 users and 0 groups", "adding user 'bob@corp'", "this was a preview"];
    const asked = await open({
      "POST /access/domains/corp/sync": { data: UPID },
      [`GET /nodes/n1/tasks/${UPID}/status`]: { data: { status: "stopped", exitstatus: "OK" } },
      [`GET /nodes/n1/tasks/${UPID}/log`]: { data: log.map((t, i) => ({ n: i + 1, t })) },
    });
    await userEvent.click(await button("Synchronise corp"));
    expect(await screen.findByRole("combobox", { name: /^Synchronise/ })).toHaveValue("users");
    await userEvent.click(screen.getByRole("button", { name: "Preview" }));
    expect(await screen.findByText("Preview: nothing was changed", { exact: false })).toBeInTheDocument();
    expect(screen.getByRole("cell", { name: "bob@corp" })).toBeInTheDocument();
    expect(sent(asked, "POST /access/domains/corp/sync")).toEqual({
      scope: "users",
      "remove-vanished": "acl",
      "enable-new": "1",
      "dry-run": "1",
    });
  });

  it("are only looked at by who may not change them", async () => {
    await open({}, { access: {} });
    expect(await button("Edit corp")).toHaveAttribute("aria-disabled", "true");
    expect(await button("Synchronise corp")).toHaveAttribute("aria-disabled", "true");
    expect(await button("Add a realm")).toBeDisabled();
  });
});
