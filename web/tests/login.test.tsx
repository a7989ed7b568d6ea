import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { makeQueryClient } from "../src/api/queries";
import { logout, restore, type Due } from "../src/api/session";
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

/** The answer to a right password that is not enough. */
function challenged(asked: object) {
  const ticket = `PVE:!tfa!${encodeURIComponent(JSON.stringify(asked))}:6740AAAA::x`;
  return { username: "root@pam", ticket, NeedTFA: 1, cap: {} };
}

async function typePassword() {
  await screen.findByRole("option", { name: "Linux users (pam)" });
  await userEvent.type(screen.getByLabelText("User name"), "root");
  await userEvent.type(screen.getByLabelText("Password"), "secret{Enter}");
}

function show(due?: Due) {
  render(
    <QueryClientProvider client={makeQueryClient()}>
      <LoginPage due={due} />
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
    const due = challenged({ totp: true });
    const asked = stubFetch({
      "GET /access/domains": REALMS,
      "POST /access/ticket": (asked) => (asked.body.has("tfa-challenge") ? TICKET : { data: due }),
    });
    show();
    await typePassword();
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

  it("asks the security key that the challenge names", async () => {
    const publicKey = {
      challenge: "Y2hhbGxlbmdl",
      rpId: "localhost",
      timeout: 1000,
      userVerification: "discouraged",
      allowCredentials: [{ type: "public-key", id: "_-8" }],
    };
    const due = challenged({ totp: false, webauthn: { publicKey } });
    const asked = stubFetch({
      "GET /access/domains": REALMS,
      "POST /access/ticket": (asked) => (asked.body.has("tfa-challenge") ? TICKET : { data: due }),
    });
    const bytes = (text: string) => new TextEncoder().encode(text).buffer;
    const get = vi.fn().mockResolvedValueOnce(null);
    get.mockResolvedValueOnce({
      id: "_-8",
      rawId: Uint8Array.of(255, 239).buffer,
      type: "public-key",
      response: { authenticatorData: bytes("a"), clientDataJSON: bytes("c"), signature: bytes("s") },
    });
    vi.stubGlobal("isSecureContext", true);
    vi.stubGlobal("PublicKeyCredential", class {});
    vi.stubGlobal("navigator", Object.assign(navigator, { credentials: { get } }));
    show();
    await typePassword();
    const button = await screen.findByRole("button", { name: "Use your security key" });
    expect(screen.queryByLabelText(/Code of your second factor/)).not.toBeInTheDocument();
    await userEvent.click(button);
    expect(await screen.findByText("The security key gave no answer.")).toBeInTheDocument();
    expect(document.cookie).toBe("");
    await userEvent.click(button);
    await waitFor(() => expect(document.cookie).toContain("PVEAuthCookie="));
    const options = (get.mock.calls[1]?.[0] as CredentialRequestOptions).publicKey;
    expect(new TextDecoder().decode(options?.challenge as Uint8Array)).toBe("challenge");
    expect(options?.allowCredentials?.[0]?.id).toEqual(Uint8Array.of(255, 239));
    const sent = asked.at(-1)?.body.get("password") ?? "";
    expect(JSON.parse(sent.replace("webauthn:", ""))).toEqual({
      id: "_-8",
      rawId: "_-8",
      type: "public-key",
      challenge: "Y2hhbGxlbmdl",
      response: { authenticatorData: "YQ", clientDataJSON: "Yw", signature: "cw" },
    });
  });

  it("goes to the provider of a realm", async () => {
    const address = "https://id.example.org/auth?state=sso.x&nonce=n";
    const sso = { realm: "sso", type: "openid", comment: "Single sign-on", default: 1 };
    const asked = stubFetch({
      "GET /access/domains": { data: [...REALMS.data.slice(0, 1), sso] },
      "POST /access/openid/auth-url": { data: address },
    });
    const assign = vi.fn();
    vi.stubGlobal("location", { ...window.location, origin: "https://localhost:8006", assign });
    show();
    await userEvent.click(await screen.findByRole("button", { name: "Log in with Single sign-on" }));
    await waitFor(() => expect(assign).toHaveBeenCalledWith(address));
    expect(screen.queryByLabelText("Password")).not.toBeInTheDocument();
    expect(Object.fromEntries(asked.at(-1)?.body ?? [])).toEqual({
      realm: "sso",
      "redirect-url": "https://localhost:8006/",
    });
    expect(sessionStorage.getItem("basalt-openid-state")).toBe("sso.x");
  });

  it("takes back a login that it began, and no other", async () => {
    const asked = stubFetch({ "POST /access/openid/login": TICKET });
    sessionStorage.setItem("basalt-openid-state", "sso.x");
    window.history.replaceState(null, "", "/?code=c&state=sso.evil");
    await restore();
    expect(asked).toHaveLength(0);
    expect(window.location.search).toBe("");
    sessionStorage.setItem("basalt-openid-state", "sso.x");
    window.history.replaceState(null, "", "/?code=c&state=sso.x&iss=i");
    await restore();
    expect(document.cookie).toContain("PVEAuthCookie=");
    expect(Object.fromEntries(asked[0]?.body ?? [])).toMatchObject({ code: "c", state: "sso.x" });
    expect(sessionStorage.getItem("basalt-openid-state")).toBeNull();
  });

  it("says when the second factor cannot be used here", () => {
    const challenge = { ticket: "x", totp: false, recovery: [] };
    show({ who: { username: "ann@sso", realm: "sso" }, challenge });
    expect(screen.getByText(/cannot be used here/)).toBeInTheDocument();
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
