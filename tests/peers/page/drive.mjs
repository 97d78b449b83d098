// Drives Chromium for the tests of the auditor's page. A line of JSON on standard input is a visit: how the browser is set
// up, and steps. A line on standard output is what came of it: an answer a step, every address that was asked for, and
// whatever the page, or a script that got into it, complained of or did. One browser, a fresh profile for each visit.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE = 60_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // Root has no sandbox of Chromium's. `page.example` is this host by a name that lends no secure context; nobody else is
  // reached, whatever the page tries.
  args: ["--no-sandbox", "--host-resolver-rules=MAP page.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});

const STEPS = {
  goto: async (page, url) => void (await page.goto(url, { waitUntil: "load" })),
  reload: async (page) => void (await page.reload({ waitUntil: "load" })),
  back: async (page) => void (await page.goBack()),
  pick: async (page, selector, path) => void (await page.setInputFiles(selector, path)),
  // Until the page says what came of verifying.
  settled: async (page) => {
    await page.waitForFunction(
      () => !["", "waiting", "reading"].includes(document.documentElement.dataset.state ?? ""),
      null,
      { timeout: PATIENCE },
    );
    return page.locator("#state").innerText();
  },
  visit: async (page, route) => {
    await page.evaluate((to) => void (location.hash = to), route);
    await page.waitForFunction((to) => location.hash === to && document.querySelector("main h1"), route, {
      timeout: PATIENCE,
    });
    await page.waitForTimeout(150);
  },
  wait: async (page, selector) => void (await page.waitForSelector(selector, { timeout: PATIENCE })),
  pause: async (page, milliseconds) => void (await page.waitForTimeout(milliseconds)),
  text: (page, selector) => page.locator(selector).first().innerText({ timeout: 5000 }),
  texts: (page, selector) => page.locator(selector).allInnerTexts(),
  shown: (page, selector) => page.locator(selector).first().isVisible(),
  count: (page, selector) => page.locator(selector).count(),
  fill: async (page, selector, text) => void (await page.fill(selector, text)),
  select: async (page, selector, value) => void (await page.selectOption(selector, value)),
  click: async (page, selector) => void (await page.click(selector, { timeout: 5000 })),
  press: async (page, key) => void (await page.keyboard.press(key)),
  media: async (page, media) => void (await page.emulateMedia({ media })),
  // What has the focus, as a reader would be told: its kind, and its name.
  focus: (page) =>
    page.evaluate(() => {
      const at = document.activeElement;
      return [
        at.tagName.toLowerCase(),
        at.id,
        (at.getAttribute("aria-label") ?? at.innerText ?? "").trim().slice(0, 80),
      ];
    }),
  evaluate: (page, code) => page.evaluate(code),
  url: (page) => page.url(),
  screenshot: async (page, path) => void (await page.screenshot({ path, fullPage: true })),
  // What axe finds that is serious or critical: the rule, and where.
  axe: async (page) => {
    await page.evaluate(axe);
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    const grave = found.violations.filter((rule) => rule.impact === "serious" || rule.impact === "critical");
    return {
      rules: found.passes.length,
      found: grave.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target} ${node.failureSummary}`)),
    };
  },
};

async function visit({ context = {}, steps }) {
  const profile = await browser.newContext({ locale: "en-US", timezoneId: "UTC", ...context });
  const [answers, requests, complaints, ran] = [[], [], [], []];
  profile.on("request", (request) => requests.push(request.url()));
  const page = await profile.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", async (dialog) => {
    ran.push(dialog.message());
    await dialog.dismiss();
  });
  profile.on("page", (other) => ran.push(`a window: ${other.url()}`));
  try {
    for (const [name, ...given] of steps) answers.push((await STEPS[name](page, ...given)) ?? null);
    return { answers, requests, complaints, ran };
  } catch (error) {
    return { answers, requests, complaints, ran, failed: `step ${answers.length}: ${error.message}` };
  } finally {
    await profile.close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await visit(JSON.parse(line)))}\n`);
}
await browser.close();
