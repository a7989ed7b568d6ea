/**
 * A provider on loopback that logs in whoever `login_hint` names, without asking.
 *
 * Arguments: port, folder with server.key and server.pem, address that logins come back to.
 * Users are ann (of the groups ops and night) and bob; off is disabled. It prints "ready" when it listens.
 */
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import path from "node:path";
import Provider from "oidc-provider";

const [port, folder, redirect] = process.argv.slice(2);
const issuer = `https://127.0.0.1:${port}`;

const USERS = {
  ann: { preferred_username: "ann", given_name: "Ann", family_name: "Other", groups: ["ops", "night"] },
  bob: { preferred_username: "bob" },
};
for (const [name, user] of Object.entries(USERS)) {
  Object.assign(user, { email: `${name}@example.org`, email_verified: name === "ann" });
}

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const client = (id, more) => ({ client_id: id, redirect_uris: [redirect], ...more });

const provider = new Provider(issuer, {
  clients: [
    client("basalt", { client_secret: "client-secret" }),
    client("public", { token_endpoint_auth_method: "none" }),
  ],
  jwks: { keys: [privateKey.export({ format: "jwk" })] },
  cookies: { keys: ["of this run alone"] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  claims: {
    openid: ["sub"],
    email: ["email", "email_verified"],
    profile: ["preferred_username", "given_name", "family_name", "groups"],
  },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_context, id) =>
    USERS[id] && { accountId: id, claims: () => ({ sub: id, ...USERS[id] }) },
  // Nobody has to agree to anything.
  loadExistingGrant: async (context) => {
    const grant = new context.oidc.provider.Grant({
      clientId: context.oidc.client.clientId,
      accountId: context.oidc.session.accountId,
    });
    grant.addOIDCScope("openid email profile");
    await grant.save();
    return grant;
  },
});

async function interact(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  const result = USERS[params.login_hint]
    ? { login: { accountId: params.login_hint } }
    : { error: "access_denied", error_description: "the account is disabled" };
  await provider.interactionFinished(request, response, result);
}

const answer = provider.callback();
const file = (name) => readFileSync(path.join(folder, name));
const server = createServer({ key: file("server.key"), cert: file("server.pem") }, (request, response) => {
  if (!request.url.startsWith("/interaction/")) return answer(request, response);
  interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
});
server.listen(Number(port), "127.0.0.1", () => console.log("ready"));
