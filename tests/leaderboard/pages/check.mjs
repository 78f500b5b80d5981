// What a reader's browser must find in the pages: node check.mjs SITE [--pictures DIR].
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [site, flag, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const first = (folder) => `${folder}/${readdirSync(join(site, folder)).sort()[0]}`;
const PAGES = ["index.html", "method.html", first("runs"), first("compare")];
const address = (page) => pathToFileURL(resolve(site, page)).href;

let passed = 0;
const check = async (what, body) => {
  try {
    await body();
    passed += 1;
  } catch (error) {
    console.error(`FAILED: ${what}\n${error.message}`);
    process.exitCode = 1;
  }
};

// Opens a page without a network and says what it asked for.
const open = async (page, options = {}) => {
  const { hash = "", ...about } = options;
  const context = await browser.newContext({ reducedMotion: "reduce", ...about });
  await context.setOffline(true);
  const tab = await context.newPage();
  const asked = [];
  const said = [];
  tab.on("request", (request) => asked.push(request.url()));
  tab.on("console", (message) => said.push(message.text()));
  tab.on("pageerror", (error) => said.push(error.message));
  await tab.goto(address(page) + hash);
  return { tab, asked, said, close: () => context.close() };
};

const rowsOf = (tab) =>
  tab.evaluate(() =>
    [...document.querySelectorAll("tbody tr")]
      .filter((row) => !row.hidden)
      .map((row) => [...row.cells].map((cell) => cell.textContent.replace(/\s+/g, " ").trim())),
  );
const isTooWide = (tab) =>
  tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

for (const page of PAGES) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      const about = `${page}, ${colorScheme}, ${width} px`;
      const viewport = { width, height: 900 };
      const { tab, asked, said, close } = await open(page, { colorScheme, viewport });
      await check(`${about}: one request, nothing said`, () => {
        assert.deepEqual(asked.filter((url) => !url.startsWith("data:")), [address(page)]);
        assert.deepEqual(said, []);
      });
      await check(`${about}: no sideways scroll`, async () => assert.equal(await isTooWide(tab), 0));
      await check(`${about}: axe`, async () => {
        await tab.evaluate(axe);
        const found = await tab.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
        const told = found.violations.map(
          (one) => `${one.id}: ${one.help} (${one.nodes.length}, ${one.nodes[0].html})`,
        );
        assert.deepEqual(told, []);
      });
      if (pictures) {
        mkdirSync(pictures, { recursive: true });
        const name = page.replace(/\/.*|\.html/, "");
        const path = join(pictures, `${name}-${colorScheme}-${width}.png`);
        const whole = await tab.evaluate(() => document.documentElement.scrollHeight);
        await tab.setViewportSize({ width, height: Math.min(whole, 2 * 1300) });
        await tab.screenshot({ path });
      }
      await close();
    }
  }
  const narrow = await open(page, { viewport: { width: 320, height: 700 } });
  await check(`${page}: no sideways scroll at 320 px`, async () =>
    assert.equal(await isTooWide(narrow.tab), 0));
  await narrow.close();

  const on = await open(page);
  const off = await open(page, { javaScriptEnabled: false });
  await check(`${page}: the same rows without JavaScript`, async () => {
    const rows = await rowsOf(off.tab);
    assert.equal(rows.length > 0, page !== "method.html");
    assert.deepEqual(await rowsOf(on.tab), rows);
  });
  await check(`${page}: no dead controls without JavaScript`, async () => {
    assert.equal(await off.tab.locator("button, select, input[type=search]").count(), 0);
  });
  await on.close();
  await off.close();
}

const BOARD = ".board.live:has(th[data-name=kept])";
const { tab, close } = await open("index.html", { viewport: { width: 1280, height: 900 } });
const board = tab.locator(BOARD).first();
await check("sorting by keyboard says so", async () => {
  const button = board.locator("th[data-name=accuracy] button");
  await button.focus();
  await tab.keyboard.press("Enter");
  await tab.keyboard.press("Enter");
  assert.equal(await board.locator("th[aria-sort]").getAttribute("aria-sort"), "ascending");
  const values = await board.locator("tbody").first().locator("td .value").allTextContents();
  assert.deepEqual(values, [...values].sort((a, b) => Number(a) - Number(b)));
});
await check("filtering counts the rows aloud", async () => {
  await board.locator("input[type=search]").fill("detail");
  const shown = await board.locator("tbody tr:visible").count();
  const all = await board.locator("tbody tr").count();
  assert.ok(shown > 0 && shown < all);
  assert.equal(await board.locator("[role=status]").textContent(), `${shown} of ${all} rows`);
});
await check("the address holds the view", async () => {
  const hash = await tab.evaluate(() => location.hash);
  const again = await open("index.html", { hash, viewport: { width: 1280, height: 900 } });
  assert.deepEqual(await rowsOf(again.tab), await rowsOf(tab));
  const search = again.tab.locator(BOARD).first().locator("input[type=search]");
  assert.equal(await search.inputValue(), "detail");
  assert.equal(await again.tab.evaluate(() => location.hash), hash);
  await again.close();
});
await check("the address holds the columns that a phone folds", async () => {
  const viewport = { width: 390, height: 900 };
  const phone = await open("index.html", { viewport });
  await phone.tab.locator(`${BOARD} .more`).first().click();
  const hash = await phone.tab.evaluate(() => location.hash);
  const again = await open("index.html", { hash, viewport });
  const folded = again.tab.locator(BOARD).first().locator("td.fold-late").first();
  assert.ok(await folded.isVisible());
  await again.close();
  await phone.close();
});
await check("the CSV is the table", async () => {
  const waiting = tab.waitForEvent("download");
  await board.getByRole("button", { name: "Download CSV" }).click();
  const text = readFileSync(await (await waiting).path(), "utf8");
  const [titles, ...lines] = text.trimEnd().split("\n").map((line) => parse(line));
  const rows = await board.locator("tbody tr:visible").evaluateAll((found) =>
    found.map((row) =>
      Object.fromEntries(
        [...row.cells].map((cell, i) => {
          const notes = [...cell.querySelectorAll("small")].map((note) => note.textContent.trim());
          cell = cell.cloneNode(true);
          cell.querySelectorAll("small, svg").forEach((part) => part.remove());
          return [i, [cell.textContent.trim(), notes.join("; ")]];
        }),
      ),
    ),
  );
  assert.equal(lines.length, rows.length);
  const shown = rows.map((row) => Object.values(row).flat().filter(Boolean));
  lines.forEach((line, i) => {
    assert.equal(line.length, titles.length);
    for (const value of line.filter(Boolean)) assert.ok(shown[i].includes(value), value);
    for (const value of shown[i]) assert.ok(line.includes(value), value);
  });
});
await check("reset shows every row in its first order", async () => {
  await board.getByRole("button", { name: "Reset" }).click();
  const fresh = await open("index.html");
  assert.deepEqual(await rowsOf(tab), await rowsOf(fresh.tab));
  assert.equal(await tab.evaluate(() => location.hash), "");
  await fresh.close();
});
await check("the first stop of the keyboard skips to the content", async () => {
  const fresh = await open("index.html");
  await fresh.tab.keyboard.press("Tab");
  assert.equal(await fresh.tab.evaluate(() => document.activeElement.className), "skip");
  await fresh.close();
});
await check("paper has no controls and all columns", async () => {
  await tab.emulateMedia({ media: "print" });
  assert.equal(await tab.locator(".controls:visible, .sort:visible, nav:visible").count(), 0);
  assert.ok(await board.locator("td.fold-late").first().isVisible());
});
await close();
await browser.close();
console.log(`${passed} checks of the pages passed`);

function parse(line) {
  const cells = line.match(/("([^"]|"")*"|[^,]*)(,|$)/g).slice(0, -1);
  const ended = line.endsWith(",") ? [...cells, ""] : cells;
  return ended.map((cell) => cell.replace(/,$/, "").replace(/^"|"$/g, "").replaceAll('""', '"'));
}
