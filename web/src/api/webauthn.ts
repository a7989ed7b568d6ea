/** Security keys: adding one, and answering the challenge that a login brings. Bytes travel as base64url. */

interface KeyQuestion {
  publicKey: {
    challenge: string;
    rpId: string;
    timeout: number;
    userVerification: UserVerificationRequirement;
    allowCredentials: { type: "public-key"; id: string }[];
  };
}

/** What a second factor is asked for. */
export interface Challenge {
  /** Goes back with the answer. */
  ticket: string;
  /** Whether a time-based code does. */
  totp: boolean;
  /** Numbers of the recovery codes that are left. */
  recovery: number[];
  /** Whether a security key does. */
  webauthn?: KeyQuestion;
}

/** Reads the challenge in an answer that is no ticket yet: `PVE:!tfa!JSON:TIME::signature`. */
export function readChallenge(ticket: string): Challenge {
  const json = /^PVE:!tfa!([^:]*):/.exec(ticket)?.[1] ?? "{}";
  const asked = JSON.parse(decodeURIComponent(json)) as Partial<Challenge>;
  return { totp: false, recovery: [], ...asked, ticket };
}

/** Whether this page may ask security keys at all; browsers allow it by https and a name only. */
export function keysWork(): boolean {
  return window.isSecureContext && "credentials" in navigator && "PublicKeyCredential" in window;
}

export function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

export function toBase64url(bytes: ArrayBuffer): string {
  const binary = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Asks the user's security key. Throws in plain words when it gives no answer. */
export async function askKey({ publicKey }: KeyQuestion): Promise<string> {
  const asked = navigator.credentials.get({
    publicKey: {
      ...publicKey,
      challenge: fromBase64url(publicKey.challenge),
      allowCredentials: publicKey.allowCredentials.map(({ type, id }) => ({ type, id: fromBase64url(id) })),
    },
  });
  // Browsers do not tell a page why: that would say which keys are plugged in.
  const credential = await asked.catch(() => null);
  if (!credential) throw new Error("The security key gave no answer.");
  const { id, rawId, type, response } = credential as PublicKeyCredential;
  const { authenticatorData, clientDataJSON, signature } = response as AuthenticatorAssertionResponse;
  return JSON.stringify({
    id,
    rawId: toBase64url(rawId),
    type,
    challenge: publicKey.challenge,
    response: {
      authenticatorData: toBase64url(authenticatorData),
      clientDataJSON: toBase64url(clientDataJSON),
      signature: toBase64url(signature),
    },
  });
}

/** What a new key is asked for: `PublicKeyCredentialCreationOptions` with base64url in place of bytes. */
interface NewKeyQuestion {
  publicKey: Omit<PublicKeyCredentialCreationOptions, "challenge" | "user" | "excludeCredentials"> & {
    challenge: string;
    user: { id: string; name: string; displayName: string };
    excludeCredentials?: { type: "public-key"; id: string }[];
  };
}

/** A new key's answer, with the challenge that it answers. */
export interface NewKey {
  challenge: string;
  value: string;
}

/** Makes a credential on the user's security key. Throws in plain words when it gives none. */
export async function makeKey(question: string): Promise<NewKey> {
  const { publicKey } = JSON.parse(question) as NewKeyQuestion;
  const asked = navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: fromBase64url(publicKey.challenge),
      user: { ...publicKey.user, id: fromBase64url(publicKey.user.id) },
      excludeCredentials: (publicKey.excludeCredentials ?? []).map(({ type, id }) => ({
        type,
        id: fromBase64url(id),
      })),
    },
  });
  const made = await asked.catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "InvalidStateError")
      throw new Error("This security key was added before.");
    return null;
  });
  if (!made) throw new Error("The security key gave no answer.");
  const { id, rawId, type, response } = made as PublicKeyCredential;
  const { attestationObject, clientDataJSON } = response as AuthenticatorAttestationResponse;
  const value = {
    id,
    type,
    rawId: toBase64url(rawId),
    response: {
      attestationObject: toBase64url(attestationObject),
      clientDataJSON: toBase64url(clientDataJSON),
    },
  };
  return { challenge: publicKey.challenge, value: JSON.stringify(value) };
}
