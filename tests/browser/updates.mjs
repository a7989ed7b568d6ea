/**
 * The page about a node's updates.
 *
 * Settings, from the environment:
 *   BASALT_URL, BASALT_PASSWORD   the appliance
 *   BASALT_ACT                    what to do: install, back or reason
 *   BASALT_VERSION                the other version
 *   BASALT_BUNDLE                 install: its bundle
 *   BASALT_REASON                 reason: a part of why it was left
 */
import { minutes, openBrowser, setting, until } from "./browser.mjs";
import { logIn } from "./interface.mjs";

const version = setting("BASALT_VERSION");

const slot = (page, letter) =>
  page.getByRole("grid", { name: "Slots" }).getByRole("row", { name: new RegExp(`^${letter} `) });

async function openUpdates(page) {
  await page.getByRole("treeitem", { name: /^basalt, / }).click();
  await page.getByRole("tab", { name: "Updates" }).click();
  await slot(page, "A").waitFor();
}

const acts = {
  /** Sends a bundle, and sees it in the other slot. */
  install: async ({ page, shoot }) => {
    await page.getByText(`version ${version} is available`).waitFor();
    await slot(page, "A").getByText("running").waitFor();
    await shoot("updates");
    await page.getByRole("button", { name: "Change", exact: true }).click();
    await page.getByRole("dialog").getByLabel("Authority of the server").waitFor();
    await shoot("updates-channel");
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Install an update" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.locator("input[type=file]").setInputFiles(setting("BASALT_BUNDLE"));
    await shoot("updates-upload");
    await dialog.getByRole("button", { name: "Install" }).click();
    await until(page, "the upload", minutes(10), async () => !(await dialog.isVisible()));
    const trial = slot(page, "B").getByText("on trial, 3 boots left");
    await until(page, "the installation", minutes(10), () => trial.isVisible());
    await shoot("updates-installed");
  },
  /** Boots the other slot. */
  back: async ({ page, shoot }) => {
    await slot(page, "B").getByText("running").waitFor();
    await shoot("updates-before-roll-back");
    await page.getByRole("button", { name: "Boot the other slot" }).click();
    await shoot("updates-roll-back");
    await page.getByRole("dialog").getByRole("button", { name: "Reboot" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
  },
  /** Sees why a version was left. */
  reason: async ({ page, shoot }) => {
    await page.getByText(`Version ${version} failed and was undone`).waitFor();
    await page.getByText(setting("BASALT_REASON")).first().waitFor();
    await slot(page, "B").getByText("failed and was left").waitFor();
    await shoot("updates-reason");
  },
};

const browser = await openBrowser();
try {
  await logIn(browser.page, setting("BASALT_URL"), "root", setting("BASALT_PASSWORD"));
  await openUpdates(browser.page);
  await acts[setting("BASALT_ACT")](browser);
  if (browser.complaints.length > 0) throw new Error(`errors in the page: ${browser.complaints.join("; ")}`);
} catch (error) {
  const picture = await browser.shoot("updates-failure").catch(() => "no picture");
  console.error(`FAILED: ${error.message}\n  picture: ${picture}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
