/**
 * A security key as second factor, with Chromium's virtual authenticator.
 *
 * Settings, from the environment:
 *   BASALT_URL                    the appliance by a name, as browsers bind no key to an address
 *   BASALT_USER, BASALT_PASSWORD  a user without second factors
 */
import { minutes, openBrowser, setting } from "./browser.mjs";

const url = setting("BASALT_URL");
const user = setting("BASALT_USER");
const password = setting("BASALT_PASSWORD");

/** Plugs a security key in; the result pulls it out again. */
async function plugIn(cdp, key) {
  const options = {
    protocol: "ctap2",
    transport: "usb",
    hasResidentKey: false,
    hasUserVerification: false,
    automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
  for (const credential of key) await cdp.send("WebAuthn.addCredential", { authenticatorId, credential });
  return {
    credentials: async () => (await cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
    pullOut: () => cdp.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId }),
  };
}

/** Gives name and password. */
async function begin(page) {
  const [name, realm] = user.split("@");
  await page.context().clearCookies();
  await page.goto(url);
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByLabel("Realm").selectOption(realm);
  await page.getByRole("button", { name: "Log in" }).click();
}

const inside = (page) => page.getByRole("heading", { name: "Datacenter", level: 1 }).waitFor();

/** Adds the key that is plugged in, as clients of the API do. */
async function register(page) {
  await page.evaluate(
    async ({ user, password }) => {
      const post = async (path, fields, headers = {}) => {
        const body = new URLSearchParams(fields);
        const answer = await fetch(`/api2/json${path}`, { method: "POST", headers, body });
        if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
        return (await answer.json()).data;
      };
      const bytes = (text) =>
        Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
      const text = (buffer) =>
        btoa(String.fromCharCode(...new Uint8Array(buffer)))
          .replaceAll("+", "-")
          .replaceAll("/", "_")
          .replaceAll("=", "");
      const ticket = await post("/access/ticket", { username: user, password });
      const headers = { CSRFPreventionToken: ticket.CSRFPreventionToken };
      const path = `/access/tfa/${encodeURIComponent(user)}`;
      const fields = { type: "webauthn", description: "virtual", password };
      const { publicKey } = JSON.parse((await post(path, fields, headers)).challenge);
      const { challenge } = publicKey;
      publicKey.challenge = bytes(challenge);
      publicKey.user.id = bytes(publicKey.user.id);
      const made = await navigator.credentials.create({ publicKey });
      const value = JSON.stringify({
        id: made.id,
        type: made.type,
        rawId: text(made.rawId),
        response: {
          attestationObject: text(made.response.attestationObject),
          clientDataJSON: text(made.response.clientDataJSON),
        },
      });
      await post(path, { ...fields, challenge, value }, headers);
    },
    { user, password },
  );
}

const { page, complaints, shoot, close } = await openBrowser();
try {
  page.setDefaultTimeout(minutes(2));
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const key = await plugIn(cdp, []);
  await begin(page);
  await inside(page);
  await register(page);

  const touch = page.getByRole("button", { name: "Use your security key" });
  await begin(page);
  await touch.waitFor();
  await shoot("security-key");
  await touch.click();
  await inside(page);

  // Another key is none.
  const credentials = await key.credentials();
  await key.pullOut();
  const other = await plugIn(cdp, []);
  await begin(page);
  await touch.click();
  await page.getByText("The security key gave no answer.").waitFor({ timeout: minutes(3) });
  await shoot("security-key-missing");
  await other.pullOut();

  // Nor is a copy that was made earlier and counts from there.
  await plugIn(
    cdp,
    credentials.map((credential) => ({ ...credential, signCount: 0 })),
  );
  await touch.click();
  await page.getByText("The second factor is wrong, too late, or was used before.").waitFor();
  await shoot("security-key-copied");
  if (complaints.length > 0) throw new Error(`the page complains: ${complaints.join("; ")}`);
} catch (error) {
  await shoot("failed");
  throw error;
} finally {
  await close();
}
