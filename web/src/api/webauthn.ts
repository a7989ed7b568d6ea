/** Security keys: the challenge that a login brings, and a key's answer to it. Bytes travel as base64url. */

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
