/**
 * An installation from a browser, on a machine with empty disks, the first of which is "basalt-system".
 *
 * Settings, from the environment:
 *   BASALT_URL, BASALT_CODE    the installer's page and the code on its console
 *   BASALT_PASSWORD            root's password on the new host
 *   BASALT_SECOND_DISK         "yes" to have everything on the other disk, too
 *   BASALT_STORAGE             what guests' disks lie in, as in an answer file
 *   BASALT_SCREENSHOTS, BASALT_TIMEOUT_FACTOR, BASALT_CHROMIUM   as in scenario.mjs
 */
import { minutes, openBrowser, setting } from "./browser.mjs";

const url = setting("BASALT_URL");
const password = setting("BASALT_PASSWORD");
const secondDisk = setting("BASALT_SECOND_DISK") === "yes";

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

const steps = {
  "be refused without the code": async ({ page, shoot }) => {
    await page.goto(url);
    const denied = await page.evaluate(async () => {
      const post = { method: "POST", body: "{}", headers: { "x-basalt-installer": "1" } };
      const foreign = await fetch("/api/session", { method: "POST", body: "{}" });
      const install = await fetch("/api/install", post);
      return [foreign.status, (await fetch("/api/choices")).status, install.status];
    });
    expect(denied.join() === "403,401,401", `without a session: ${denied}`);
    await page.getByLabel("Code").fill("no code");
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByText("not the code on the console").waitFor();
    await shoot("installer-code");
  },
  "enter the code": async ({ page }) => {
    await page.getByLabel("Code").fill(setting("BASALT_CODE"));
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByLabel("Host name").waitFor();
    const cookies = await page.context().cookies();
    const safe = cookies.every((c) => c.httpOnly && c.secure && c.sameSite === "Strict");
    expect(cookies.length === 1 && safe, `cookies: ${JSON.stringify(cookies)}`);
    await page.getByText("serial basalt-system").waitFor();
    await page.getByText("holds nothing").first().waitFor();
  },
  "be told every mistake": async ({ page, shoot }) => {
    await page.getByRole("radio", { name: "serial basalt-system" }).check();
    await page.getByLabel("Host name").fill("no name");
    await page.getByLabel("Address, as").fill("192.0.2.10");
    await page.getByRole("button", { name: "Check" }).click();
    await page.getByText("`no name` is no host name").waitFor();
    await page.getByText("the length of the prefix is missing").waitFor();
    await page.getByText("nobody could log in").waitFor();
    await shoot("installer-mistakes");
  },
  "fill the form": async ({ page, shoot }) => {
    await page.getByLabel("Host name").fill("visitor");
    await page.getByLabel("Time zone").fill("Europe/Berlin");
    await page.getByLabel("Administrator's e-mail").fill("admin@example.org");
    await page.getByLabel("Password for root").fill(password);
    await page.getByLabel("The same again").fill(password);
    await page.getByLabel("Address, as").fill("");
    if (secondDisk) await page.getByLabel("Second disk").selectOption({ index: 1 });
    await page.getByLabel("Guests' disks lie in").selectOption(setting("BASALT_STORAGE"));
    await page.getByRole("button", { name: "Check" }).click();
    await page.getByText("Everything on it is lost: nothing.").first().waitFor();
    await shoot("installer-summary");
  },
  "install": async ({ page, shoot }) => {
    await page.getByRole("button", { name: "Erase the disk and install" }).click();
    await page.getByRole("progressbar").waitFor();
    const log = page.waitForEvent("download");
    await page.getByRole("link", { name: "Save the log" }).click();
    expect((await log).suggestedFilename() === "basalt-installation.log", "the log's name");
    await page.getByText("The machine restarts").waitFor({ timeout: minutes(10) });
    await shoot("installer-finished");
  },
};

const browser = await openBrowser();
try {
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step(browser);
      console.log(`ok: ${name}`);
    } catch (error) {
      const picture = await browser.shoot("installer-failure").catch(() => "no picture");
      console.error(`FAILED: ${name}: ${error.message}\n  picture: ${picture}`);
      process.exitCode = 1;
      break;
    }
  }
  if (browser.complaints.length > 0) {
    console.error(`FAILED: errors in the page:\n${browser.complaints.join("\n")}`);
    process.exitCode = 1;
  }
} finally {
  await browser.close();
}
