// What an annotator's browser must find in a task pack: node check_packs.mjs PACKS [--pictures DIR].
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [packs, flag, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
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
// `python3 serve.py`, as an annotator types it: nothing of the project is on its path.
const serve = (name) => new Promise((resolve, reject) => {
  const server = spawn("python3", ["-I", join(packs, name, "serve.py")]);
  server.on("error", reject);
  server.stderr.on("data", (data) => {
    const found = /http:\/\/127\.0\.0\.1:\d+\//.exec(data);
    if (found) resolve({ url: found[0], stop: () => server.kill() });
  });
});
const open = async (url, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1400, height: 1000 }, ...options });
  const tab = await context.newPage();
  const said = [], asked = [];
  tab.on("console", (line) => said.push(line.text()));
  tab.on("pageerror", (error) => said.push(error.message));
  tab.on("request", (request) => asked.push(request.url()));
  await tab.goto(url);
  await tab.waitForSelector("body[data-ready=yes]");
  await tab.waitForFunction(() => document.querySelector("video").readyState >= 2);
  return { tab, said, asked, close: () => context.close() };
};
const answers = (name) => readFileSync(join(packs, name, "answers.jsonl"), "utf8")
  .trimEnd().split("\n").map((line) => JSON.parse(line));
const seek = (tab, seconds) => tab.evaluate((to) => new Promise((done) => {
  const video = document.querySelector("video");
  video.addEventListener("seeked", done, { once: true });
  video.currentTime = to;
}), seconds).then(() => tab.waitForTimeout(150)); // Until the frame is on the screen, too.
const picture = async (tab, name) => {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await tab.screenshot({ path: join(pictures, `${name}.png`) });
};
// Where pixel (x, y) of the clip stands in the window.
const place = (tab, x, y) => tab.evaluate(([px, py]) => {
  const box = document.querySelector("video").getBoundingClientRect();
  return [box.left + (px + 0.5) * box.width / 3840, box.top + (py + 0.5) * box.height / 2160];
}, [x, y]);
const drag = async (tab, from, to) => {
  await tab.mouse.move(...from);
  await tab.mouse.down();
  await tab.mouse.move((from[0] + to[0]) / 2, (from[1] + to[1]) / 2);
  await tab.mouse.move(...to);
  await tab.mouse.up();
};

const writer = await serve("write");
{
  const { tab, said, asked, close } = await open(writer.url);
  await check("a pack says nothing and asks nobody else", () => {
    assert.deepEqual(said, []);
    assert.ok(asked.every((url) => url.startsWith(writer.url)), asked.join(" "));
  });
  await check("the clip plays, in its own pixels when asked", async () => {
    await tab.getByRole("button", { name: "Play" }).click();
    await tab.waitForFunction(() => document.querySelector("video").currentTime > 0.2);
    await tab.getByRole("button", { name: "Pause" }).click();
    await tab.getByLabel("native pixels").check();
    const width = await tab.evaluate(() => document.querySelector("video").getBoundingClientRect().width
      * devicePixelRatio);
    assert.equal(Math.round(width), 3840);
    assert.equal(await tab.evaluate(() => document.querySelector("video").videoWidth), 3840);
    await picture(tab, "native");
  });
  await check("frames step one by one", async () => {
    await seek(tab, 0.5);
    for (const wanted of [1.5, 2.5, 1.5]) {
      await tab.getByRole("button", { name: wanted === 1.5 && (await now(tab)) > 2 ? "−1 frame" : "+1 frame" }).click();
      await tab.waitForFunction((to) => Math.abs(document.querySelector("video").currentTime - to) < 0.01, wanted);
    }
  });
  await check("a question without evidence is not saved", async () => {
    await tab.getByLabel("Question").fill("Which number stands in the white box at the left?");
    await tab.getByLabel("Right option").fill("4711");
    await tab.getByLabel("Wrong option 1").fill("4712");
    await tab.getByRole("button", { name: "Save" }).click();
    assert.match(await tab.locator("#problem").textContent(), /Mark where the answer can be seen/);
  });
  await check("a box drawn in native pixels, and the span, are what is saved", async () => {
    await seek(tab, 2.5);
    await tab.evaluate(() => document.querySelector("#stage").scrollTo(300, 200));
    await drag(tab, await place(tab, 400, 300), await place(tab, 599, 359));
    await tab.getByRole("button", { name: "Begins here" }).click();
    await tab.getByRole("button", { name: "Ends here" }).click();
    await picture(tab, "written");
    await tab.getByRole("button", { name: "Save" }).click();
    await tab.waitForFunction(() => document.querySelector("#state").textContent.includes("Saved."));
    const [line] = answers("write");
    assert.equal(line.author, "ann");
    assert.deepEqual(line.choices, ["4711", "4712"]);
    const [{ start_seconds, end_seconds, boxes }] = line.evidence;
    assert.ok(start_seconds === 2 && end_seconds === 3);
    assert.deepEqual(boxes, [[2, 400, 300, 600, 360]]);
  });
  await check("two questions on a clip have ids of their own, and one can be taken out", async () => {
    await tab.getByLabel("Question").fill("Which colour has the large box at the left?");
    await tab.getByLabel("Right option").fill("red");
    await tab.getByLabel("Wrong option 1").fill("green");
    await tab.getByLabel("fit", { exact: true }).check();
    await seek(tab, 4.5);
    await drag(tab, await place(tab, 200, 900), await place(tab, 460, 1300));
    await tab.getByRole("button", { name: "Ends here" }).click();
    await tab.getByRole("button", { name: "Save" }).click();
    await tab.waitForFunction(() => document.querySelectorAll("#saved li").length === 2);
    const ids = answers("write").map((line) => line.question_id);
    assert.equal(new Set(ids).size, 2);
    const { pack_id } = JSON.parse(readFileSync(join(packs, "write", "pack.json"), "utf8"));
    assert.ok(ids.every((id) => id.includes(`-ann-${pack_id}-`)), ids.join(" "));
    await tab.locator("#saved li").nth(1).getByRole("button").click();
    await tab.waitForFunction(() => document.querySelectorAll("#saved li").length === 1);
    assert.equal(answers("write").length, 1);
  });
  await check("what was saved is there again", async () => {
    const again = await open(writer.url);
    assert.equal(await again.tab.locator("#saved li").count(), 1);
    assert.match(await again.tab.locator("#state").textContent(), /1 of 1 done/);
    await again.close();
  });
  await check("a page of another site writes and reads nothing", async () => {
    const body = "{}\n", headers = { "X-Task-Pack": "1", Origin: "http://evil.example" };
    const put = (more) => fetch(`${writer.url}answers.jsonl`, { method: "PUT", body, headers: { ...headers, ...more } });
    assert.equal((await put({})).status, 403);
    const bare = await fetch(`${writer.url}answers.jsonl`, { method: "PUT", body });
    assert.equal(bare.status, 403);
    for (const name of ["../serve.py", "serve.py", "..%2f..%2fetc/passwd", "videos/../pack.json/x"]) {
      assert.equal((await fetch(`${writer.url}${name}`)).status, 404, name);
    }
    assert.equal(answers("write").length, 1);
  });
  await close();
}
for (const colorScheme of ["light", "dark"]) {
  for (const width of [1400, 390]) {
    const { tab, said, close } = await open(writer.url, { colorScheme, viewport: { width, height: 900 } });
    const about = `${colorScheme}, ${width} px`;
    await check(`${about}: no sideways scroll`, async () => assert.equal(await tab.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0));
    await check(`${about}: inline code does not run`, async () => {
      await tab.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'ran'";
        document.body.append(script);
      });
      assert.notEqual(await tab.title(), "ran");
      assert.match(said.join(" "), /Content Security Policy/);
    });
    await picture(tab, `write-${colorScheme}-${width}`);
    await close();
  }
}
writer.stop();

const answerer = await serve("answer");
{
  const { tab, said, close } = await open(answerer.url);
  await check("markup in a question is text", async () => {
    assert.match(await tab.locator("#stem").textContent(), /<img src=x/);
    assert.equal(await tab.locator("img").count(), 0);
    assert.notEqual(await tab.title(), "1");
    assert.deepEqual(said, []);
  });
  await check("axe", async () => {
    await tab.evaluate(axe);
    const found = await tab.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
    assert.deepEqual(found.violations.map((one) => `${one.id}: ${one.help} ${one.nodes[0].html}`), []);
  });
  await check("whoever answers is not told the answer or where it is", () => {
    const pack = JSON.parse(readFileSync(join(packs, "answer", "pack.json"), "utf8"));
    assert.deepEqual(Object.keys(pack.tasks[0].question).sort(),
      ["choices", "question_id", "stem", "wording_sha256"]);
    assert.equal(JSON.stringify(pack).includes("boxes"), false);
  });
  await check("nothing is saved before an option is chosen; then the words of the option are", async () => {
    await tab.getByRole("button", { name: "Save" }).click();
    assert.match(await tab.locator("#problem").textContent(), /Choose an option/);
    await tab.getByLabel("4711").check();
    await picture(tab, "answer");
    await tab.getByRole("button", { name: "Save" }).click();
    await tab.waitForFunction(() => document.querySelector("#state").textContent.includes("Saved."));
    const [line] = answers("answer");
    assert.deepEqual([line.choice, line.annotator, line.evidence], ["4711", "bob", []]);
    await tab.getByLabel("The clip does not tell").check();
    await tab.getByRole("button", { name: "Save" }).click();
    await tab.waitForFunction(() => document.querySelector("#state").textContent.includes("Saved."));
  });
  await check("an answer can be changed", async () => {
    const again = await open(answerer.url);
    assert.ok(await again.tab.getByLabel("The clip does not tell").isChecked());
    await again.close();
    const [line, ...more] = answers("answer");
    assert.deepEqual([line.choice, more.length], [null, 0]);
  });
  await close();
}
answerer.stop();
await browser.close();
console.log(`${passed} checks of the task packs passed`);

async function now(tab) {
  return tab.evaluate(() => document.querySelector("video").currentTime);
}
