import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { openDialog } from "../src/dialogs/store";
import { asConfig, asParams, fromBase64, toBase64 } from "../src/model/notifications";
import { Notifications } from "../src/pages/Notifications";
import { enter, leave, show, ticket } from "./show";
import { stubFetch, type Answer, type Asked } from "./stub";

const PLACE = "/cluster/notifications";
const TARGETS = {
  data: [
    { name: "mail-to-root", type: "sendmail", disable: 0, origin: "builtin" },
    { name: "chat", type: "webhook", disable: 1, origin: "user-created", comment: "the team" },
  ],
};
const MATCHERS = {
  data: [
    { name: "default-matcher", mode: "all", target: ["mail-to-root"], origin: "modified-builtin" },
    {
      name: "bad",
      mode: "any",
      "match-severity": ["error"],
      "match-calendar": ["mon..fri 8-17"],
      target: ["chat", "mail-to-root"],
      origin: "user-created",
    },
  ],
};
const CHAT = {
  name: "chat",
  digest: "d1",
  method: "post",
  url: "https://chat.example.org/{{ secrets.room }}",
  header: [`name=X-From,value=${toBase64("Höst: {{ title }}")}`],
  body: toBase64("{{ message }}"),
  secret: ["name=room"],
};

async function open(
  table: Record<string, Answer | ((asked: Asked) => Answer)>,
  cap: Record<string, Record<string, number>> = { mapping: { "Mapping.Modify": 1 } },
) {
  const asked = stubFetch({
    "POST /access/ticket": ticket("root@pam", cap),
    [`GET ${PLACE}/targets`]: TARGETS,
    [`GET ${PLACE}/matchers`]: MATCHERS,
    [`GET ${PLACE}/endpoints/webhook/chat`]: { data: CHAT },
    ...table,
  });
  await enter("root@pam");
  show(<Notifications />);
  return asked;
}

/** What was sent last, values of a key that comes several times together. */
function sent(asked: Asked[], key: string): Record<string, string[]> {
  const body = asked.findLast((a) => a.key === key)?.body ?? new URLSearchParams();
  return Object.fromEntries([...body.keys()].map((name) => [name, body.getAll(name)]));
}
const fill = (field: HTMLElement, value: string) => fireEvent.change(field, { target: { value } });
const press = (text: string) => screen.findByText(text, { selector: ".pf-v6-c-modal-box__footer *" });

afterEach(() => {
  leave();
  vi.unstubAllGlobals();
});

describe("notifications", () => {
  it("show who is told of what", async () => {
    await open({});
    const chat = (await screen.findByText("chat")).closest("tr")!;
    expect(within(chat).getByText("off")).toBeInTheDocument();
    expect(within(chat).getByText("Webhook")).toBeInTheDocument();
    expect(await screen.findByText("error or mon..fri 8-17")).toBeInTheDocument();
    expect(screen.getByText("chat, mail-to-root")).toBeInTheDocument();
    expect(screen.getByText("built in, changed")).toBeInTheDocument();
  });

  it("add a mail server, its recipients one in each line", async () => {
    const asked = await open({ [`POST ${PLACE}/endpoints/smtp`]: {} });
    openDialog({ kind: "notify", what: "smtp" });
    fireEvent.click(await press("Add"));
    expect(await screen.findByText("Enter a name.")).toBeInTheDocument();
    expect(screen.getByText("Enter this: Server.")).toBeInTheDocument();
    fill(screen.getByLabelText(/^Name(?! of)/, { selector: "input" }), "mail");
    fill(screen.getByLabelText(/^Server/, { selector: "input" }), "mail.example.org");
    fill(screen.getByLabelText(/^Address of the sender/), "host@example.org");
    fill(screen.getByLabelText(/^Addresses/), "ann@example.org\n\n bob@example.org ");
    fireEvent.click(await press("Add"));
    await waitFor(() =>
      expect(sent(asked, `POST ${PLACE}/endpoints/smtp`)).toEqual({
        name: ["mail"],
        server: ["mail.example.org"],
        "from-address": ["host@example.org"],
        mailto: ["ann@example.org", "bob@example.org"],
      }),
    );
  });

  it("change a webhook by what differs, and keep secrets that are not typed anew", async () => {
    const asked = await open({ [`PUT ${PLACE}/endpoints/webhook/chat`]: {} });
    fireEvent.click(await screen.findByLabelText("Edit chat"));
    const headers = await screen.findByLabelText(/^Headers/);
    expect(headers).toHaveValue("X-From: Höst: {{ title }}");
    expect(screen.getByLabelText(/^Body/)).toHaveValue("{{ message }}");
    const secrets = screen.getByLabelText(/^Secrets/);
    expect(secrets).toHaveValue("room");
    fill(secrets, "room\nkey=a=b");
    fill(screen.getByLabelText(/^Body/), "");
    fireEvent.click(await press("Save"));
    await waitFor(() =>
      expect(sent(asked, `PUT ${PLACE}/endpoints/webhook/chat`)).toEqual({
        secret: ["name=room", `name=key,value=${toBase64("a=b")}`],
        delete: ["body"],
        digest: ["d1"],
      }),
    );
  });

  it("send a test, which anybody may who sees the target", async () => {
    const asked = await open({ [`POST ${PLACE}/targets/chat/test`]: {} }, { mapping: { "Mapping.Use": 1 } });
    await userEvent.click(await screen.findByLabelText("Test chat"));
    await waitFor(() => expect(asked.some((a) => a.key === `POST ${PLACE}/targets/chat/test`)).toBe(true));
    expect(screen.getByLabelText("Edit chat")).toHaveAttribute("aria-disabled", "true");
  });
});

describe("lists", () => {
  it("are written as they were read", () => {
    const config = asConfig(CHAT);
    const change = { header: String(config["header"]), secret: "room", delete: "a,b" };
    expect(asParams(change)).toEqual({ header: CHAT.header, secret: ["name=room"], delete: ["a", "b"] });
    expect(fromBase64(toBase64("ü\n€"))).toBe("ü\n€");
    expect(fromBase64("%")).toBe("%");
  });
});
