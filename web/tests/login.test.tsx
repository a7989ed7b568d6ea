import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { makeQueryClient } from "../src/api/queries";
import { logout, restore } from "../src/api/session";
import { LoginPage } from "../src/pages/LoginPage";
import { stubFetch } from "./stub";

const REALMS = {
  data: [
    { realm: "pve", type: "pve", comment: "Basalt users" },
    { realm: "pam", type: "pam", comment: "Linux users", default: 1 },
  ],
};
const TICKET = {
  data: { username: "root@pam", ticket: "PVE:root@pam:6740AAAA::a+/=", CSRFPreventionToken: "t", cap: {} },
};

function show() {
  render(
    <QueryClientProvider client={makeQueryClient()}>
      <LoginPage />
    </QueryClientProvider>,
  );
}

afterEach(() => {
  logout();
  vi.unstubAllGlobals();
});

describe("log in", () => {
  it("sends name, password and the preselected realm, and keeps the ticket as a cookie", async () => {
    const asked = stubFetch({ "GET /access/domains": REALMS, "POST /access/ticket": TICKET });
    show();
    await screen.findByRole("option", { name: "Linux users (pam)" });
    expect(screen.getByLabelText("Realm")).toHaveValue("pam");
    await userEvent.type(screen.getByLabelText("User name"), "root");
    await userEvent.type(screen.getByLabelText("Password"), "secret");
    await userEvent.click(screen.getByRole("button", { name: "Log in" }));
    await waitFor(() =>
      expect(document.cookie).toBe("PVEAuthCookie=PVE%3Aroot%40pam%3A6740AAAA%3A%3Aa%2B%2F%3D"),
    );
    const sent = asked.find((a) => a.key === "POST /access/ticket");
    expect(Object.fromEntries(sent?.body ?? [])).toEqual({
      username: "root",
      password: "secret",
      realm: "pam",
    });
  });

  it("names the fields that are missing and asks nothing", async () => {
    const asked = stubFetch({ "GET /access/domains": REALMS });
    show();
    await userEvent.click(screen.getByRole("button", { name: "Log in" }));
    expect(screen.getByText("Enter your user name.")).toBeInTheDocument();
    expect(screen.getByText("Enter your password.")).toBeInTheDocument();
    expect(asked.some((a) => a.key === "POST /access/ticket")).toBe(false);
  });

  it("says that name or password is wrong", async () => {
    stubFetch({
      "GET /access/domains": REALMS,
      "POST /access/ticket": { status: 401, message: "authentication failure" },
    });
    show();
    await userEvent.type(screen.getByLabelText("User name"), "root");
    await userEvent.type(screen.getByLabelText("Password"), "wrong{Enter}");
    expect(await screen.findByText("The user name, password or realm is wrong.")).toBeInTheDocument();
  });

  it("asks for the code of a second factor and sends it with the challenge", async () => {
    const due = { username: "root@pam", ticket: "PVE:!tfa!%7B%7D:6740AAAA::x", NeedTFA: 1, cap: {} };
    const asked = stubFetch({
      "GET /access/domains": REALMS,
      "POST /access/ticket": (asked) => (asked.body.has("tfa-challenge") ? TICKET : { data: due }),
    });
    show();
    await screen.findByRole("option", { name: "Linux users (pam)" });
    await userEvent.type(screen.getByLabelText("User name"), "root");
    await userEvent.type(screen.getByLabelText("Password"), "secret{Enter}");
    const code = await screen.findByLabelText("Code of your second factor, or a recovery code");
    expect(document.cookie).toBe("");
    await userEvent.type(code, "123456{Enter}");
    await waitFor(() => expect(document.cookie).toContain("PVEAuthCookie="));
    expect(Object.fromEntries(asked.at(-1)?.body ?? [])).toEqual({
      username: "root",
      realm: "pam",
      "tfa-challenge": due.ticket,
      password: "totp:123456",
    });
  });

  it("trades the ticket of an earlier page load for a fresh one", async () => {
    document.cookie = `PVEAuthCookie=${encodeURIComponent("PVE:ada@pve:6740AAAA::x")}; Secure`;
    const asked = stubFetch({ "POST /access/ticket": TICKET });
    await restore();
    expect(Object.fromEntries(asked[0]?.body ?? [])).toEqual({
      username: "ada@pve",
      password: "PVE:ada@pve:6740AAAA::x",
    });
  });
});
