import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { base32, grouped, otpauth } from "../src/model/factors";
import { AllFactors } from "../src/pages/AllFactors";
import FactorsPage from "../src/pages/FactorsPage";
import { enter, leave, show, ticket } from "./show";
import { stubFetch, type Answer, type Asked } from "./stub";

const ANN = "ann@pve";
const PHONE = { id: "1", type: "totp", description: "phone", created: 1_700_000_000, enable: 1 };

type Table = Record<string, Answer | ((asked: Asked) => Answer)>;

async function open(page: React.ReactElement, table: Table, cap = {}) {
  const asked = stubFetch({
    "POST /access/ticket": ticket(ANN, { access: {}, ...cap }),
    "GET /access/domains": { data: [{ realm: "pve", type: "pve" }] },
    ...table,
  });
  await enter(ANN);
  show(page);
  return asked;
}

const sent = (asked: Asked[], key: string) =>
  Object.fromEntries(asked.findLast((a) => a.key === key)?.body ?? []);
const button = (name: string) => screen.findByRole("button", { name });

afterEach(() => {
  leave();
  vi.unstubAllGlobals();
});

describe("the secret of a code generator", () => {
  it("is written as RFC 4648 does", () => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    expect(["f", "fo", "foo", "foob", "fooba", "foobar"].map((text) => base32(bytes(text)))).toEqual([
      "MY",
      "MZXQ",
      "MZXW6",
      "MZXW6YQ",
      "MZXW6YTB",
      "MZXW6YTBOI",
    ]);
    expect(grouped("ABCDEFGHIJ")).toBe("ABCD EFGH IJ");
  });

  it("is an address that apps read", () => {
    const address = new URL(otpauth("jo e@pve", { secret: "MZXW6YTBOI", digits: 8, period: 60 }));
    expect(address.pathname).toContain("Basalt:jo%20e%40pve");
    expect(Object.fromEntries(address.searchParams)).toMatchObject({
      secret: "MZXW6YTBOI",
      digits: "8",
      period: "60",
    });
  });
});

describe("own second factors", () => {
  it("begin with a word on why, and add a code generator", async () => {
    const asked = await open(<FactorsPage />, {
      "GET /access/tfa/ann@pve": { data: [] },
      "POST /access/tfa/ann@pve": { data: { id: "1" } },
    });
    expect(await screen.findByText("No second factor yet")).toBeInTheDocument();
    await userEvent.click(await button("Add code generator"));
    const dialog = within(await screen.findByRole("dialog"));
    await userEvent.click(dialog.getByRole("button", { name: "Add" }));
    expect(dialog.getByText("Enter a name.")).toBeInTheDocument();
    expect(dialog.getByText("Enter the 6 digits that the app shows.")).toBeInTheDocument();
    expect(dialog.getByText("Enter the password you log in with.")).toBeInTheDocument();
    await userEvent.type(dialog.getByLabelText(/^Name/), "phone");
    await userEvent.type(dialog.getByLabelText(/^Code/), "123 456");
    await userEvent.type(dialog.getByLabelText(/^Your password/), "secret");
    await userEvent.click(dialog.getByRole("button", { name: "Add" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
    const fields = sent(asked, "POST /access/tfa/ann@pve");
    expect(fields).toMatchObject({
      type: "totp",
      description: "phone",
      value: "123456",
      password: "secret",
    });
    expect(fields["totp"]).toMatch(/^otpauth:\/\/totp\/Basalt:ann%40pve\?secret=[A-Z2-7]{32}&/);
  });

  it("show recovery codes until they are kept", async () => {
    await open(<FactorsPage />, {
      "GET /access/tfa/ann@pve": { data: [PHONE] },
      "POST /access/tfa/ann@pve": { data: { id: "recovery", recovery: ["aa-bb", "cc-dd"] } },
    });
    await userEvent.click(await button("Add recovery codes"));
    await userEvent.type(await screen.findByLabelText(/^Your password/), "secret{Enter}");
    expect(await screen.findByText("cc-dd")).toBeInTheDocument();
    const close = screen.getByRole("button", { name: "Close" });
    expect(close).toBeDisabled();
    await userEvent.click(screen.getByLabelText("I have put them where I find them"));
    await userEvent.click(close);
    expect(screen.queryByText("cc-dd")).not.toBeInTheDocument();
  });

  it("are removed with the password, which is in no address", async () => {
    const asked = await open(<FactorsPage />, {
      "GET /access/tfa/ann@pve": { data: [PHONE] },
      "DELETE /access/tfa/ann@pve/1": ({ body }) =>
        body.get("password") === "right"
          ? {}
          : { status: 400, message: "refused", errors: { password: "is not your present password" } },
    });
    await userEvent.click(await button("Remove phone of ann@pve"));
    const password = await screen.findByLabelText(/^Your password/);
    await userEvent.type(password, "wrong{Enter}");
    await waitFor(() => expect(password).toBeInvalid());
    await userEvent.clear(password);
    await userEvent.type(password, "right{Enter}");
    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
    const calls = asked.filter((a) => a.key === "DELETE /access/tfa/ann@pve/1");
    expect(calls.map((call) => call.query.size)).toEqual([0, 0]);
  });

  it("register a security key with the server's challenge", async () => {
    const publicKey = {
      challenge: "Y2hhbGxlbmdl",
      rp: { id: "localhost", name: "Basalt" },
      user: { id: "YW5u", name: ANN, displayName: ANN },
      pubKeyCredParams: [],
      excludeCredentials: [{ type: "public-key", id: "_-8" }],
    };
    const asked = await open(<FactorsPage />, {
      "GET /access/tfa/ann@pve": { data: [] },
      "POST /access/tfa/ann@pve": ({ body }) => ({
        data: body.has("value") ? { id: "2" } : { challenge: JSON.stringify({ publicKey }) },
      }),
    });
    const bytes = (text: string) => new TextEncoder().encode(text).buffer;
    const create = vi.fn().mockResolvedValue({
      id: "AQ",
      rawId: Uint8Array.of(1).buffer,
      type: "public-key",
      response: { attestationObject: bytes("a"), clientDataJSON: bytes("c") },
    });
    vi.stubGlobal("isSecureContext", true);
    vi.stubGlobal("PublicKeyCredential", class {});
    vi.stubGlobal("navigator", Object.assign(navigator, { credentials: { create } }));
    await userEvent.click(await button("Add security key"));
    await userEvent.type(await screen.findByLabelText(/^Name/), "blue");
    await userEvent.type(screen.getByLabelText(/^Your password/), "secret");
    await userEvent.click(await button("Add"));
    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
    const options = (create.mock.calls[0]?.[0] as CredentialCreationOptions).publicKey;
    expect(new TextDecoder().decode(options?.challenge as Uint8Array)).toBe("challenge");
    expect(options?.excludeCredentials?.[0]?.id).toEqual(Uint8Array.of(255, 239));
    const fields = sent(asked, "POST /access/tfa/ann@pve");
    expect(fields["challenge"]).toBe("Y2hhbGxlbmdl");
    expect(JSON.parse(fields["value"] ?? "")).toEqual({
      id: "AQ",
      type: "public-key",
      rawId: "AQ",
      response: { attestationObject: "YQ", clientDataJSON: "Yw" },
    });
  });
});

describe("the second factors of all users", () => {
  const list = {
    "GET /access/tfa": {
      data: [
        { userid: "bob@pve", entries: [{ ...PHONE, description: "tablet" }], "totp-locked": 1 },
        { userid: "root@pam", entries: [PHONE] },
      ],
    },
    "GET /access/users": { data: [{ userid: "bob@pve" }] },
  };

  it("can be changed by who may, but for those of root@pam", async () => {
    await open(<AllFactors />, list, { access: { "User.Modify": 1 } });
    expect(await button("Remove tablet of bob@pve")).not.toHaveAttribute("aria-disabled", "true");
    expect(await button("Remove phone of root@pam")).toHaveAttribute("aria-disabled", "true");
  });

  it("are only looked at by who may not", async () => {
    await open(<AllFactors />, list);
    expect(await button("Remove tablet of bob@pve")).toHaveAttribute("aria-disabled", "true");
    expect(screen.queryByText("Add one for a user")).not.toBeInTheDocument();
    expect(await button("Take them again")).toHaveAttribute("aria-disabled", "true");
  });
});
