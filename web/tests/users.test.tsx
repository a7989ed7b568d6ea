import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { openDialog } from "../src/dialogs/store";
import { Acl } from "../src/pages/access/Acl";
import { Groups } from "../src/pages/access/Groups";
import { Roles } from "../src/pages/access/Roles";
import { Tokens } from "../src/pages/access/Tokens";
import { Users } from "../src/pages/access/Users";
import { enter, leave, show, ticket } from "./show";
import { stubFetch, type Answer, type Asked } from "./stub";

const ANN = {
  userid: "ann@pve",
  "realm-type": "pve",
  groups: "staff",
  tokens: [{ tokenid: "ci", expire: 1, privsep: 1, comment: "pipeline" }],
  enable: 1,
  expire: 4_000_000_000,
  firstname: "Ann",
  comment: "runs the builds",
};
const ROOT = { userid: "root@pam", "realm-type": "pam", groups: "", tokens: [], enable: 1, expire: 0 };
const ALL = Object.fromEntries(
  [
    "User.Modify",
    "Realm.AllocateUser",
    "Group.Allocate",
    "Sys.Audit",
    "Sys.Modify",
    "Permissions.Modify",
  ].map((name) => [name, 1]),
);
const EVERYWHERE = { "/": ALL, "/access": ALL, "/access/groups": ALL, "/vms": ALL };

type Table = Record<string, Answer | ((asked: Asked) => Answer)>;

async function open(page: React.ReactElement, table: Table = {}, own: object = EVERYWHERE, me = "root@pam") {
  const asked = stubFetch({
    "POST /access/ticket": ticket(me, {}),
    "GET /access/permissions": { data: own },
    "GET /access/users": { data: [ANN, ROOT] },
    "GET /access/groups": {
      data: [
        { groupid: "staff", users: "ann@pve", comment: "all" },
        { groupid: "ops", users: "" },
      ],
    },
    "GET /access/domains": {
      data: [
        { realm: "pam", type: "pam" },
        { realm: "pve", type: "pve" },
        { realm: "corp", type: "ldap" },
      ],
    },
    "GET /access/roles": {
      data: [
        { roleid: "PVEAuditor", privs: "Sys.Audit,VM.Audit", special: 1 },
        { roleid: "Starter", privs: "VM.Audit", special: 0 },
      ],
    },
    "GET /access/acl": {
      data: [{ path: "/vms/100", type: "token", ugid: "ann@pve!ci", roleid: "Starter", propagate: 1 }],
    },
    "GET /pools": { data: [] },
    "GET /cluster/resources": { data: [{ id: "qemu/100", type: "qemu", node: "n1", vmid: 100 }] },
    ...table,
  });
  await enter(me);
  show(page);
  return asked;
}

const sent = (asked: Asked[], key: string) => {
  const call = asked.findLast((a) => a.key === key);
  return call && Object.fromEntries(call.body);
};
const fill = (field: HTMLElement, value: string) => fireEvent.change(field, { target: { value } });
const press = async (text: string) =>
  fireEvent.click(await screen.findByText(text, { selector: ".pf-v6-c-modal-box__footer *" }));
const click = async (label: string) => fireEvent.click(await screen.findByLabelText(label));

afterEach(() => {
  leave();
  vi.unstubAllGlobals();
});

describe("users", () => {
  it("are added with a password where the realm keeps them here, and say which field is refused", async () => {
    const refusal = { status: 400, message: "refused", errors: { email: "is no address" } };
    const asked = await open(<Users />, { "POST /access/users": refusal });
    fireEvent.click(await screen.findByText("Add a user"));
    await waitFor(() => expect(screen.getByLabelText(/^Realm/)).toHaveValue("pve"));
    await press("Add");
    expect(await screen.findByText("Enter a name.")).toBeInTheDocument();
    expect(screen.getByText("Use at least 8 characters.")).toBeInTheDocument();
    expect(sent(asked, "POST /access/users")).toBeUndefined();
    fill(screen.getByLabelText(/^User name/), "bob");
    fill(screen.getByLabelText(/^New password/), "long enough");
    fill(screen.getByLabelText(/^Repeat the password/), "long enough");
    fill(screen.getByLabelText("Address for mail"), "bob");
    fireEvent.click(screen.getByLabelText("ops"));
    await press("Add");
    await waitFor(() => expect(screen.getByLabelText("Address for mail")).toBeInvalid());
    expect(sent(asked, "POST /access/users")).toEqual({
      userid: "bob@pve",
      password: "long enough",
      email: "bob",
      groups: "ops",
    });
    fill(screen.getByLabelText(/^Realm/), "corp");
    await press("Add");
    await waitFor(() =>
      expect(sent(asked, "POST /access/users")).toEqual({ userid: "bob@corp", email: "bob", groups: "ops" }),
    );
  });

  it("are changed by what differs: what is emptied is sent empty", async () => {
    const asked = await open(<Users />, { "PUT /access/users/ann@pve": {} });
    await click("Edit ann@pve");
    fill(await screen.findByLabelText("Description"), "");
    fill(screen.getByLabelText("Account ends"), "");
    fireEvent.click(await screen.findByLabelText("staff"));
    fireEvent.click(screen.getByLabelText("The user can log in"));
    await press("Save");
    await waitFor(() =>
      expect(sent(asked, "PUT /access/users/ann@pve")).toEqual({
        comment: "",
        expire: "0",
        groups: "",
        enable: "0",
      }),
    );
  });

  it("change their own password with the present one", async () => {
    const wrong = { "confirmation-password": "is not the present password" };
    const asked = await open(
      <Users />,
      { "PUT /access/password": { status: 400, message: "refused", errors: wrong } },
      {},
      "ann@pve",
    );
    await click("Set the password of ann@pve");
    fill(await screen.findByLabelText(/^Your present password/), "old");
    fill(screen.getByLabelText(/^New password/), "new secret");
    fill(screen.getByLabelText(/^Repeat the password/), "new secre");
    await press("Set");
    expect(await screen.findByText("The two passwords differ.")).toBeInTheDocument();
    expect(sent(asked, "PUT /access/password")).toBeUndefined();
    fill(screen.getByLabelText(/^Repeat the password/), "new secret");
    await press("Set");
    await waitFor(() => expect(screen.getByLabelText(/^Your present password/)).toBeInvalid());
    expect(sent(asked, "PUT /access/password")).toEqual({
      userid: "ann@pve",
      password: "new secret",
      "confirmation-password": "old",
    });
  });

  it("are changed by who has a right on one of their groups, and by nobody else", async () => {
    const own = { "/access/groups/staff": { "User.Modify": 1 } };
    await open(<Users />, {}, own, "eve@pve");
    await waitFor(() =>
      expect(screen.getByLabelText("Edit root@pam")).toHaveAttribute("aria-disabled", "true"),
    );
    expect(screen.getByLabelText("Edit ann@pve")).not.toHaveAttribute("aria-disabled", "true");
    expect(screen.getByLabelText("Remove ann@pve")).toHaveAttribute("aria-disabled", "true");
    expect(screen.getByLabelText("What ann@pve may do")).toHaveAttribute("aria-disabled", "true");
  });

  it("show what they may do in the end, also on one path", async () => {
    const asked = await open(<Users />, {
      "GET /access/permissions": ({ query }) => {
        if (!query.has("userid")) return { data: EVERYWHERE };
        if (query.get("path") === "/vms/100") return { data: { "/vms/100": {} } };
        return { data: { "/vms": { "VM.Audit": 1, "VM.Console": 0 } } };
      },
    });
    await click("What ann@pve may do");
    const cell = await screen.findByText("VM.Console");
    expect(cell.closest("td")).toHaveAttribute("data-label", "Only here");
    fill(screen.getByLabelText("Path"), "/vms/100");
    await press("Show");
    expect(await screen.findByText("Nothing.")).toBeInTheDocument();
    expect(asked.at(-1)?.query.get("userid")).toBe("ann@pve");
  });
});

describe("groups", () => {
  it("lose a member without its other groups", async () => {
    const asked = await open(<Groups />, {
      "GET /access/users/ann@pve": { data: { groups: ["ops", "staff"], tokens: {} } },
      "PUT /access/users/ann@pve": {},
    });
    await click("Members of staff");
    await click("Take ann@pve out");
    await waitFor(() => expect(sent(asked, "PUT /access/users/ann@pve")).toEqual({ groups: "ops" }));
  });

  it("get a member beside its other groups", async () => {
    const asked = await open(<Groups />, { "PUT /access/users/ann@pve": {} });
    await click("Members of ops");
    const user = await screen.findByLabelText(/^User/);
    await within(user).findByText("ann@pve");
    fill(user, "ann@pve");
    fireEvent.click(screen.getByText("Put into the group"));
    await waitFor(() =>
      expect(sent(asked, "PUT /access/users/ann@pve")).toEqual({ groups: "ops", append: "1" }),
    );
  });
});

describe("roles", () => {
  it("that are built in are not changed, but others begin as they are", async () => {
    const asked = await open(<Roles />, { "POST /access/roles": {} });
    expect(await screen.findByLabelText("Edit PVEAuditor")).toHaveAttribute("aria-disabled", "true");
    expect(screen.getByLabelText("Remove PVEAuditor")).toHaveAttribute("aria-disabled", "true");
    expect(screen.getByLabelText("Edit Starter")).not.toHaveAttribute("aria-disabled", "true");
    await click("Add a role like PVEAuditor");
    fill(await screen.findByLabelText(/^Name/), "Watcher");
    await userEvent.click(screen.getByLabelText("All of Guests"));
    await press("Add");
    await waitFor(() =>
      expect(sent(asked, "POST /access/roles")).toEqual({ roleid: "Watcher", privs: "Sys.Audit" }),
    );
  });
});

describe("permissions", () => {
  it("are given to a token, and the field that is refused says so", async () => {
    const refusal = { status: 400, message: "refused", errors: { tokens: "'ann@pve!ci' does not exist" } };
    const asked = await open(<Acl />, { "PUT /access/acl": refusal });
    fireEvent.click(await screen.findByText("Give a role"));
    await press("Give");
    expect(await screen.findByText("Enter a path.")).toBeInTheDocument();
    expect(sent(asked, "PUT /access/acl")).toBeUndefined();
    fill(screen.getByLabelText(/^Path/), "/vms/100");
    fill(screen.getByLabelText(/^To a/), "token");
    fill(screen.getByLabelText(/^API token/), "ann@pve!ci");
    fill(screen.getByLabelText(/^Role/), "Starter");
    fireEvent.click(screen.getByLabelText("Also for what lies below"));
    await press("Give");
    await waitFor(() => expect(screen.getByLabelText(/^API token/)).toBeInvalid());
    expect(sent(asked, "PUT /access/acl")).toEqual({
      path: "/vms/100",
      roles: "Starter",
      tokens: "ann@pve!ci",
      propagate: "0",
    });
  });

  it("are taken away", async () => {
    const asked = await open(<Acl />, { "PUT /access/acl": {} });
    await click("Take Starter on /vms/100 from ann@pve!ci");
    await press("Take");
    await waitFor(() =>
      expect(sent(asked, "PUT /access/acl")).toEqual({
        path: "/vms/100",
        roles: "Starter",
        tokens: "ann@pve!ci",
        delete: "1",
      }),
    );
  });
});

describe("API tokens", () => {
  it("show their secret until it is kept", async () => {
    const asked = await open(<Tokens />, {
      "POST /access/users/root@pam/token/backup": {
        data: { "full-tokenid": "root@pam!backup", info: { expire: 0, privsep: 0 }, value: "the-secret" },
      },
    });
    expect(within(await screen.findByRole("grid")).getByText("ended")).toBeInTheDocument();
    fireEvent.click(screen.getByText("Make a token"));
    fill(await screen.findByLabelText(/^Name/), "backup");
    fireEvent.click(screen.getByLabelText("Permissions of its own"));
    await press("Make");
    expect(await screen.findByLabelText("Secret")).toHaveValue("the-secret");
    expect(sent(asked, "POST /access/users/root@pam/token/backup")).toEqual({ privsep: "0" });
    await press("Close");
    expect(screen.getByLabelText("Secret")).toBeInTheDocument();
    fireEvent.click(screen.getByLabelText("I have put it where I find it"));
    await press("Close");
    await waitFor(() => expect(screen.queryByLabelText("Secret")).toBeNull());
  });

  it("with permissions of their own are given a role next", async () => {
    await open(<Tokens />, {
      "POST /access/users/root@pam/token/ci": {
        data: { "full-tokenid": "root@pam!ci", info: { expire: 0, privsep: 1 }, value: "the-secret" },
      },
      "GET /access/users": { data: [{ ...ROOT, tokens: [{ tokenid: "ci", expire: 0, privsep: 1 }] }] },
    });
    fireEvent.click(await screen.findByText("Make a token"));
    fill(await screen.findByLabelText(/^Name/), "ci");
    await press("Make");
    await press("Give it a role");
    expect(screen.getByLabelText("Secret")).toBeInTheDocument();
    fireEvent.click(screen.getByLabelText("I have put it where I find it"));
    await press("Give it a role");
    await waitFor(() => expect(document.getElementById("acl-who")).toHaveValue("root@pam!ci"));
  });

  it("of others are offered to who may change those alone", async () => {
    await open(<Tokens />, {}, {}, "ann@pve");
    await waitFor(() => expect(screen.getByLabelText("Edit ann@pve!ci")).toBeInTheDocument());
    expect(screen.getByLabelText("Edit ann@pve!ci")).not.toHaveAttribute("aria-disabled", "true");
    openDialog({ kind: "token" });
    const users = await screen.findByLabelText(/^User/);
    await waitFor(() => expect(within(users).getAllByRole("option")).toHaveLength(1));
    expect(users).toHaveValue("ann@pve");
  });
});
