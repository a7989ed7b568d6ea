/** Starting Chromium, taking screenshots, and waiting for what a person would wait for. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Reads a setting from the environment. */
export function setting(name, fallback) {
  const value = process.env[name] ?? fallback;
  if (value === undefined || value === "") throw new Error(`set ${name}`);
  return value;
}

/** Waiting times are for an emulated machine; a faster or slower one may scale them. */
const FACTOR = Number(process.env.BASALT_TIMEOUT_FACTOR ?? "1");
export const minutes = (n) => n * 60_000 * FACTOR;

/** Opens the page, and keeps what is needed to tell a failure's story. */
export async function openBrowser() {
  const folder = setting("BASALT_SCREENSHOTS", "screenshots");
  mkdirSync(folder, { recursive: true });
  const browser = await chromium.launch({
    executablePath: setting("BASALT_CHROMIUM", "/usr/bin/chromium"),
    args: ARGUMENTS,
  });
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1360, height: 850 },
  });
  context.setDefaultTimeout(minutes(2));
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  let count = 0;
  const shoot = async (name) => {
    count += 1;
    const file = path.join(folder, `${String(count).padStart(2, "0")}-${name}.png`);
    await page.screenshot({ path: file });
    return file;
  };
  return { page, complaints, shoot, close: () => browser.close() };
}

/**
 * Waits until `probe` returns something true, looking at the page once a second. An announced failure of a task, or an
 * error shown in a dialog, ends the wait at once with its text.
 */
export async function until(page, what, limit, probe) {
  const end = Date.now() + limit;
  for (;;) {
    const found = await probe();
    if (found) return found;
    const bad = await shownFailure(page);
    if (bad) throw new Error(`${what}: the page says: ${bad}`);
    if (Date.now() > end) throw new Error(`${what}: not within ${Math.round(limit / 1000)} s`);
    await page.waitForTimeout(1000);
  }
}

async function shownFailure(page) {
  const alerts = page.locator(".pf-v6-c-alert.pf-m-danger");
  return (await alerts.count()) > 0 ? (await alerts.first().innerText()).replaceAll("\n", " ") : undefined;
}
