/**
 * The page about a node's disks, one of which is failing.
 *
 * Settings, from the environment:
 *   BASALT_URL, BASALT_PASSWORD   the appliance
 *   BASALT_DISK                   path of the disk that fails
 */
import { openBrowser, setting } from "./browser.mjs";
import { logIn } from "./interface.mjs";

const disk = setting("BASALT_DISK");

const browser = await openBrowser();
const { page, shoot, complaints } = browser;
try {
  await logIn(page, setting("BASALT_URL"), "root", setting("BASALT_PASSWORD"));
  await page.getByRole("treeitem", { name: /^basalt, / }).click();
  await page.getByRole("tab", { name: "Disks" }).click();
  const row = page.getByRole("grid", { name: "Disks" }).getByRole("row", { name: disk });
  await row.getByText("Failing").waitFor();
  await shoot("disks");
  await row.getByRole("button", { name: `SMART values of ${disk}` }).click();
  await page.getByRole("dialog").getByText("Critical Warning").waitFor();
  await shoot("disks-smart");
  if (complaints.length > 0) throw new Error(`errors in the page: ${complaints.join("; ")}`);
} catch (error) {
  const picture = await shoot("disks-failure").catch(() => "no picture");
  console.error(`FAILED: ${error.message}\n  picture: ${picture}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
