/**
 * The console's framing over its WebSocket.
 *
 * First message `user:ticket\n`, answered by `OK`; then frames from us: `0:LENGTH:DATA` for input (length in bytes of
 * UTF-8), `1:COLUMNS:ROWS:` for the size, `2` to keep the connection alive. From the server come raw bytes.
 */

const encoder = new TextEncoder();

/** The greeting that proves who opened the connection. */
export function greeting(user: string, ticket: string): string {
  return `${user}:${ticket}\n`;
}

/** Input typed into the terminal. */
export function inputFrame(data: string): string {
  return `0:${encoder.encode(data).length}:${data}`;
}

/** Input given as one byte per character, as mouse reports are. */
export function binaryFrame(data: string): Uint8Array<ArrayBuffer> {
  const head = encoder.encode(`0:${data.length}:`);
  const frame = new Uint8Array(head.length + data.length);
  frame.set(head);
  for (let i = 0; i < data.length; i += 1) frame[head.length + i] = data.charCodeAt(i) & 0xff;
  return frame;
}

/** The terminal's new size. */
export function resizeFrame(columns: number, rows: number): string {
  return `1:${columns}:${rows}:`;
}

export const KEEP_ALIVE = "2";

/** The greeting's answer: accepted, refused, or not complete yet; and the bytes that came after it. */
export type Handshake = { done: false } | { done: true; ok: boolean; rest: Uint8Array };

/** Looks for `OK` at the head of what the server sent so far. */
export function readHandshake(received: Uint8Array): Handshake {
  if (received.length < 2) return { done: false };
  const ok = received[0] === 0x4f && received[1] === 0x4b;
  return { done: true, ok, rest: ok ? received.slice(2) : received };
}
