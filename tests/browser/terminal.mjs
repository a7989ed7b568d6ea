/** Typing into a guest's console and reading what is on its screen. */
import { minutes, until } from "./browser.mjs";

const PROMPT = /[#$]\s*$/;

/** The text on the terminal's screen, as it is given to screen readers. */
export async function screenText(page) {
  const rows = await page.locator(".xterm-accessibility-tree > *").allInnerTexts();
  return rows.map((row) => row.replaceAll("\u00a0", " ").trimEnd()).join("\n");
}

function lastLine(text) {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

async function type(page, text) {
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type(text, { delay: 5 });
  await page.keyboard.press("Enter");
}

/** Opens the console tab and waits for its connection. */
export async function openConsole(page) {
  await page.getByRole("tab", { name: "Console" }).click();
  await page.locator('[role="status"][data-state="open"]').waitFor({ timeout: minutes(5) });
}

/** Waits for a shell, logging in where the guest asks for it. */
export async function reachShell(page, login, limit) {
  let nudged = 0;
  let asked = "";
  await until(page, "a shell prompt on the console", limit, async () => {
    const line = lastLine(await screenText(page));
    if (/login:\s*$/.test(line)) {
      if (asked !== "login") await type(page, login.user);
      asked = "login";
    } else if (/password:\s*$/i.test(line)) {
      if (asked !== "password") await type(page, login.password);
      asked = "password";
    } else if (PROMPT.test(line)) {
      return true;
    } else {
      asked = "";
      // A console opened late shows nothing until the guest writes; Enter makes it repeat its prompt.
      if (Date.now() - nudged > 20_000) {
        nudged = Date.now();
        await type(page, "");
      }
    }
    return false;
  });
}

let runs = 0;

/** Runs a command in the guest's shell; gives back the lines it wrote and its exit status. */
export async function run(page, command, limit = minutes(5)) {
  runs += 1;
  // The marks appear in the output with their sum worked out, which tells them from the line that was typed.
  const number = runs + 1000;
  await type(page, `echo "begin-$((${runs}+1000))"; ${command}; echo "end-$((${runs}+1000))-$?"`);
  const mark = new RegExp(`end-${number}-(\\d+)`);
  const text = await until(page, `the end of "${command}"`, limit, async () => {
    const seen = await screenText(page);
    return mark.test(seen) ? seen : undefined;
  });
  const found = mark.exec(text);
  const output = text.slice(0, found.index).split(`begin-${number}\n`).at(-1);
  const lines = output.split("\n").map((line) => line.trim());
  return { lines: lines.filter(Boolean), status: Number(found[1]) };
}
