/**
 * Who is logged in: ticket cookie, CSRF token, renewal, and the end of it all.
 *
 * The ticket lives in the `PVEAuthCookie` cookie, which this module sets; the CSRF token only in memory, so after a
 * reload the ticket is traded for a fresh pair. Components read the state through `useSession`.
 */
import { useSyncExternalStore } from "react";
import { api, setCredentials } from "./client";
import { ApiError, messageOf } from "./error";
import { returnAddress, takeReturn } from "./openid";
import type { Capabilities, Ticket } from "./types";
import { askKey, readChallenge, type Challenge } from "./webauthn";

const COOKIE = "PVEAuthCookie";
/** Tickets live two hours; a quarter of that leaves room for a sleeping laptop. */
const RENEW_AFTER_MS = 30 * 60 * 1000;

export interface Session {
  username: string;
  csrf: string;
  cap: Capabilities | undefined;
}

/** A login whose first factor was right. */
export interface Due {
  who: Login;
  challenge: Challenge;
}

export type SessionState =
  { phase: "restoring" } | { phase: "out"; notice?: string; due?: Due } | { phase: "in"; session: Session };

let state: SessionState = { phase: "restoring" };
let renewedAt = 0;
const listeners = new Set<() => void>();

function change(next: SessionState): void {
  state = next;
  for (const listener of listeners) listener();
}

function readCookie(): string | undefined {
  const entry = document.cookie.split("; ").find((part) => part.startsWith(`${COOKIE}=`));
  return entry ? decodeURIComponent(entry.slice(COOKIE.length + 1)) : undefined;
}

function writeCookie(ticket: string): void {
  document.cookie = `${COOKIE}=${encodeURIComponent(ticket)}; Path=/; Secure; SameSite=Strict`;
}

function clearCookie(): void {
  document.cookie = `${COOKIE}=; Path=/; Secure; SameSite=Strict; Max-Age=0`;
}

/** The user a ticket was made for: `PVE:user@realm:TIME::signature`. */
export function ticketUser(ticket: string): string | undefined {
  return /^PVE:([^:]+@[^:@]+):/.exec(ticket)?.[1];
}

function accept(answer: Ticket): void {
  if (!answer.ticket || !answer.CSRFPreventionToken) {
    throw new ApiError(401, "This account asks for a second factor: log in again.");
  }
  writeCookie(answer.ticket);
  renewedAt = Date.now();
  change({
    phase: "in",
    session: { username: answer.username, csrf: answer.CSRFPreventionToken, cap: answer.cap },
  });
}

/** Who logs in. */
export interface Login {
  username: string;
  realm: string;
}

/** Logs in with a password; what is due when that alone is not enough. Throws the server's refusal. */
export async function login(who: Login, password: string): Promise<Challenge | undefined> {
  const answer = await api.post("/access/ticket", { ...who, password });
  if (answer.NeedTFA) return readChallenge(answer.ticket);
  accept(answer);
  return undefined;
}

async function answer({ who, challenge }: Due, password: string): Promise<void> {
  accept(await api.post("/access/ticket", { ...who, "tfa-challenge": challenge.ticket, password }));
}

/** Completes a login with a time-based code, which has digits alone, or with a recovery code. */
export function answerWithCode(due: Due, code: string): Promise<void> {
  return answer(due, `${/^\d{6,8}$/.test(code) ? "totp" : "recovery"}:${code}`);
}

/** Completes a login with a security key, which the browser asks the user to touch. */
export async function answerWithKey(due: Due): Promise<void> {
  if (!due.challenge.webauthn) throw new Error("No security key can answer here.");
  return answer(due, `webauthn:${await askKey(due.challenge.webauthn)}`);
}

/** Completes a login at a provider. */
async function finishOpenId(code: string, state: string): Promise<void> {
  const found = await api.post("/access/openid/login", { code, state, "redirect-url": returnAddress() });
  if (!found.NeedTFA) return accept(found);
  const realm = found.username.slice(found.username.lastIndexOf("@") + 1);
  change({
    phase: "out",
    due: { who: { username: found.username, realm }, challenge: readChallenge(found.ticket) },
  });
}

/** Ends the session in this browser. */
export function logout(notice?: string): void {
  clearCookie();
  change(notice === undefined ? { phase: "out" } : { phase: "out", notice });
}

async function renew(): Promise<void> {
  const ticket = readCookie();
  const username = ticket ? ticketUser(ticket) : undefined;
  if (!ticket || !username) return logout();
  accept(await api.post("/access/ticket", { username, password: ticket }));
}

/** Picks up a session left by an earlier page load, if its ticket still stands. */
export async function restore(): Promise<void> {
  const back = takeReturn();
  if (back) {
    if ("problem" in back) return logout(back.problem);
    return finishOpenId(back.code, back.state).catch((error: unknown) => logout(messageOf(error)));
  }
  if (!readCookie()) return change({ phase: "out" });
  try {
    await renew();
  } catch (error) {
    const refused = error instanceof ApiError && error.status === 401;
    logout(refused ? "Your session has ended. Log in again to go on." : "The server could not be reached.");
  }
}

async function renewWhenDue(): Promise<void> {
  if (state.phase !== "in" || Date.now() - renewedAt < RENEW_AFTER_MS) return;
  try {
    await renew();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) sessionExpired();
  }
}

function sessionExpired(): void {
  if (state.phase === "in") logout("Your session has ended. Log in again to go on.");
}

setCredentials({
  csrf: () => (state.phase === "in" ? state.session.csrf : undefined),
  expired: sessionExpired,
});

/** Keeps the ticket fresh while the page is open. Returns the function that ends it. */
export function keepFresh(): () => void {
  const check = () => void renewWhenDue();
  const timer = setInterval(check, 60_000);
  document.addEventListener("visibilitychange", check);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", check);
  };
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The session's state, live. */
export function useSession(): SessionState {
  return useSyncExternalStore(subscribe, () => state);
}

/** Name of who is logged in, with the realm; empty when nobody is. */
export function useUser(): string {
  const current = useSession();
  return current.phase === "in" ? current.session.username : "";
}

/** A privilege check for greying out actions; the server decides in the end. Unknown counts as allowed. */
export function mayI(cap: Capabilities | undefined, area: string, privilege: string): boolean {
  const privileges = cap?.[area];
  return privileges === undefined ? true : Boolean(privileges[privilege]);
}

/** `mayI` for the current session. */
export function useMay(): (area: string, privilege: string) => boolean {
  const current = useSession();
  const cap = current.phase === "in" ? current.session.cap : undefined;
  return (area, privilege) => mayI(cap, area, privilege);
}
