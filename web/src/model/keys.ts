/** Keys that a browser keeps for itself, and text as keys. Numbers are X11's keysyms. */

export interface Key {
  keysym: number;
  code: string;
}

export interface Combination {
  name: string;
  keys: readonly Key[];
}

const CONTROL: Key = { keysym: 0xffe3, code: "ControlLeft" };
const ALT: Key = { keysym: 0xffe9, code: "AltLeft" };
const SUPER: Key = { keysym: 0xffeb, code: "MetaLeft" };
const TAB: Key = { keysym: 0xff09, code: "Tab" };
const ESCAPE: Key = { keysym: 0xff1b, code: "Escape" };
const BACKSPACE: Key = { keysym: 0xff08, code: "Backspace" };
const DELETE: Key = { keysym: 0xffff, code: "Delete" };
const PRINT: Key = { keysym: 0xff61, code: "PrintScreen" };

function functionKey(number: number): Key {
  return { keysym: 0xffbd + number, code: `F${number}` };
}

export const CTRL_ALT_DEL: Combination = { name: "Ctrl+Alt+Del", keys: [CONTROL, ALT, DELETE] };

/** What the key menu offers. */
export const COMBINATIONS: readonly Combination[] = [
  CTRL_ALT_DEL,
  { name: "Ctrl+Alt+Backspace", keys: [CONTROL, ALT, BACKSPACE] },
  ...[1, 2, 3, 4, 5, 6, 7].map((n) => ({
    name: `Ctrl+Alt+F${n}`,
    keys: [CONTROL, ALT, functionKey(n)],
  })),
  { name: "Alt+Tab", keys: [ALT, TAB] },
  { name: "Alt+F4", keys: [ALT, functionKey(4)] },
  { name: "Super", keys: [SUPER] },
  { name: "Ctrl+Esc", keys: [CONTROL, ESCAPE] },
  { name: "Print screen", keys: [PRINT] },
];

/** Presses keys in order and lets go of them in reverse. */
export function press(
  { keys }: Combination,
  send: (keysym: number, code: string | null, down: boolean) => void,
): void {
  for (const { keysym, code } of keys) send(keysym, code, true);
  for (const { keysym, code } of [...keys].reverse()) send(keysym, code, false);
}

/** The keysyms that type a text on a US keyboard, and how many characters it does not have. */
export function keysymsOf(text: string): { keysyms: number[]; missing: number } {
  const keysyms: number[] = [];
  let missing = 0;
  for (const character of text.replace(/\r\n?/g, "\n")) {
    const point = character.codePointAt(0) ?? 0;
    if (character === "\n") keysyms.push(0xff0d);
    else if (character === "\t") keysyms.push(TAB.keysym);
    else if (point >= 0x20 && point <= 0x7e) keysyms.push(point);
    else missing += 1;
  }
  return { keysyms, missing };
}
