// One clip at a time: play it, zoom to its own pixels, mark where the answer is, write or answer.
"use strict";

const $ = (id) => document.getElementById(id);
const video = $("video"), stage = $("stage"), sheet = $("sheet");
const round = (value) => Math.round(value * 1000) / 1000;
let pack, task, lines = [];
let evidence = { start: null, end: null, keys: [] };
let shown = 0; // Seconds at which the frame on the screen begins.

const answersOf = (one) => lines.filter((line) => one.question
  ? line.question_id === one.question.question_id : line.video_id === one.video_id);
const checked = (name) => document.querySelector(`input[name=${name}]:checked`)?.value;

function element(tag, text, more = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  return Object.assign(made, more);
}

// --- the clip ------------------------------------------------------------------------------------

function resize() {
  const zoom = checked("zoom");
  const fit = Math.min(stage.clientWidth / task.width, stage.clientHeight / task.height);
  // Native pixels are those of the screen, however large the page makes its own.
  const scale = zoom === "fit" ? fit : Number(zoom) / globalThis.devicePixelRatio;
  video.style.width = `${task.width * scale}px`;
  video.style.height = `${task.height * scale}px`;
  draw();
}

const scaleNow = () => video.getBoundingClientRect().width / task.width;

function tick() {
  $("clock").value = `${video.currentTime.toFixed(3)} s`;
  $("seek").value = video.currentTime;
  $("play").textContent = video.paused ? "Play" : "Pause";
  draw();
}

function follow(_, frame) {
  shown = frame.mediaTime;
  draw();
  video.requestVideoFrameCallback(follow);
}

function step(frames) {
  video.pause();
  const frame = Math.floor(video.currentTime * task.fps + 0.01) + frames;
  const last = Math.max(0, video.duration - 0.5 / task.fps);
  video.currentTime = Math.min(last, Math.max(0, (frame + 0.5) / task.fps));
}

// --- evidence ------------------------------------------------------------------------------------

function draw(extra = null) {
  const scale = scaleNow(), now = shown;
  const keys = extra ? [...evidence.keys, extra] : evidence.keys;
  $("boxes").replaceChildren(...keys.map(([time, x0, y0, x1, y1]) => {
    const box = document.createElement("div");
    box.className = Math.abs(time - now) < 0.6 / task.fps ? "" : "elsewhen";
    Object.assign(box.style, {
      left: `${x0 * scale}px`, top: `${y0 * scale}px`,
      width: `${(x1 - x0) * scale}px`, height: `${(y1 - y0) * scale}px`,
    });
    return box;
  }));
}

function tell() {
  const { start, end, keys } = evidence;
  $("span").textContent = start === null && end === null ? "No span yet."
    : `From ${start ?? "?"} s to ${end ?? "?"} s`;
  $("keys").replaceChildren(...keys.map((key, i) => {
    const item = element("li", `${key[0]} s: (${key.slice(1).join(", ")}) `);
    const drop = element("button", "remove", { type: "button" });
    drop.addEventListener("click", () => { keys.splice(i, 1); tell(); });
    item.append(drop);
    return item;
  }));
  draw();
}

function point(event) {
  const frame = video.getBoundingClientRect(), scale = scaleNow();
  const within = (value, most) => Math.min(most, Math.max(0, value / scale));
  return [within(event.clientX - frame.left, task.width), within(event.clientY - frame.top, task.height)];
}

sheet.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  video.pause();
  sheet.setPointerCapture(event.pointerId);
  const isDrawing = checked("tool") === "draw";
  const from = point(event), at = [event.clientX, event.clientY];
  const scroll = [stage.scrollLeft, stage.scrollTop];
  let box = null;
  const move = (now) => {
    if (!isDrawing) {
      stage.scrollTo(scroll[0] + at[0] - now.clientX, scroll[1] + at[1] - now.clientY);
      return;
    }
    const to = point(now);
    // Whole pixels: those under both ends belong to the box.
    const [x0, x1] = [Math.floor(Math.min(from[0], to[0])), Math.ceil(Math.max(from[0], to[0]))];
    const [y0, y1] = [Math.floor(Math.min(from[1], to[1])), Math.ceil(Math.max(from[1], to[1]))];
    box = x0 < x1 && y0 < y1 ? [round(shown), x0, y0, x1, y1] : null;
    draw(box);
  };
  const stop = () => {
    sheet.removeEventListener("pointermove", move);
    if (box) {
      evidence.keys = [...evidence.keys.filter((key) => key[0] !== box[0]), box]
        .sort((a, b) => a[0] - b[0]);
      evidence.start ??= box[0];
    }
    tell();
  };
  sheet.addEventListener("pointermove", move);
  sheet.addEventListener("pointerup", stop, { once: true });
});

function found() {
  const { start, end, keys } = evidence;
  if (start === null && end === null && !keys.length) return [];
  if (start === null || end === null || !(start < end)) throw Error("Mark where the span begins and ends.");
  if (!keys.length) throw Error("Draw a box round what tells the answer.");
  return [{ start_seconds: start, end_seconds: end, boxes: keys }];
}

// --- questions -----------------------------------------------------------------------------------

function addOption(text = "") {
  const label = element("label", "");
  const input = element("input", "", { value: text, maxLength: 500 });
  const number = $("write-options").querySelectorAll("input").length;
  input.setAttribute("aria-label", number ? `Wrong option ${number}` : "Right option");
  input.placeholder = number ? "wrong" : "right";
  label.append(input);
  $("write-options").append(label);
}

function show(one) {
  task = one;
  evidence = { start: null, end: null, keys: [] };
  $("note").value = $("write-stem").value = $("capability").value = $("problem").textContent = "";
  $("write-options").querySelectorAll("label").forEach((label) => label.remove());
  $("asked").hidden = !one.question;
  $("writing").hidden = Boolean(one.question);
  $("noting").hidden = !one.question;
  video.src = one.file;
  if (one.question) showQuestion(one.question);
  else for (let i = 0; i < 4; i += 1) addOption();
  $("seek").max = one.duration_seconds;
  tell();
  listSaved();
  resize();
}

function showQuestion(question) {
  $("stem").textContent = question.stem;
  const before = answersOf(task)[0];
  const options = [...question.choices.map((choice) => [choice, choice]), ["", "The clip does not tell"]];
  $("options").replaceChildren($("options").firstElementChild, ...options.map(([value, text]) => {
    const label = document.createElement("label");
    const input = element("input", "", { type: "radio", name: "choice", value });
    input.checked = Boolean(before) && (before.choice ?? "") === value;
    label.append(input, ` ${text}`);
    return label;
  }));
  if (before) {
    $("note").value = before.note ?? "";
    const known = before.evidence[0];
    if (known) evidence = { start: known.start_seconds, end: known.end_seconds, keys: known.boxes };
  }
}

function written() {
  const choices = [...$("write-options").querySelectorAll("input")].map((i) => i.value.trim().normalize("NFC"));
  const stem = $("write-stem").value.trim().normalize("NFC");
  if (!stem) throw Error("Write the question.");
  const filled = choices.filter(Boolean);
  if (!choices[0] || filled.length < 2) throw Error("Write the right option and at least one wrong one.");
  if (new Set(filled).size < filled.length) throw Error("Two options are the same.");
  const places = found();
  if (!places.length) throw Error("Mark where the answer can be seen.");
  const used = answersOf(task).map((line) => Number(line.question_id.split("-").pop()));
  const number = Math.max(-1, ...used) + 1;
  const draft = {
    question_id: `${task.video_id}-${pack.annotator}-${pack.pack_id}-${number}`,
    video_id: task.video_id, stem,
    choices: filled, evidence: places, author: pack.annotator,
  };
  const capability = $("capability").value.trim();
  return capability ? { ...draft, capability } : draft;
}

function replied() {
  const choice = checked("choice");
  if (choice === undefined) throw Error("Choose an option.");
  const note = $("note").value.trim();
  return {
    question_id: task.question.question_id, wording_sha256: task.question.wording_sha256,
    annotator: pack.annotator, choice: choice || null, evidence: found(), ...(note && { note }),
  };
}

async function keep() {
  const body = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  const done = await fetch("answers.jsonl", { method: "PUT", body, headers: { "X-Task-Pack": "1" } });
  if (!done.ok) throw Error(`Not saved: the server says ${done.status}.`);
  count();
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const before = lines;
  try {
    const line = task.question ? replied() : written();
    lines = [...lines.filter((other) => other.question_id !== line.question_id), line];
    await keep();
    const here = task;
    show(here);
    $("state").textContent += " Saved.";
  } catch (error) {
    lines = before;
    $("problem").textContent = error.message;
  }
});

function listSaved() {
  const mine = task.question ? [] : answersOf(task);
  $("saved-title").hidden = !mine.length;
  $("saved").replaceChildren(...mine.map((line) => {
    const item = element("li", `${line.stem} (${line.choices[0]}) `);
    const drop = element("button", "remove", { type: "button" });
    drop.addEventListener("click", async () => {
      lines = lines.filter((other) => other !== line);
      await keep();
      listSaved();
    });
    item.append(drop);
    return item;
  }));
}

function count() {
  const done = pack.tasks.filter((one) => answersOf(one).length).length;
  $("state").textContent = `${done} of ${pack.tasks.length} done.`;
  [...$("tasks").options].forEach((option, i) => {
    const one = pack.tasks[i];
    const name = one.question ? `${one.question.question_id}` : one.video_id;
    option.textContent = `${answersOf(one).length ? "\u2713 " : ""}${name}`;
  });
}

// --- the page ------------------------------------------------------------------------------------

$("play").addEventListener("click", () => (video.paused ? video.play() : video.pause()));
$("back").addEventListener("click", () => step(-1));
$("forth").addEventListener("click", () => step(1));
$("seek").addEventListener("input", () => { video.currentTime = Number($("seek").value); });
$("start").addEventListener("click", () => { evidence.start = round(shown); tell(); });
$("end").addEventListener("click", () => { evidence.end = round(shown + 1 / task.fps); tell(); });
$("clear").addEventListener("click", () => { evidence = { start: null, end: null, keys: [] }; tell(); });
$("more").addEventListener("click", () => addOption());
$("tasks").addEventListener("change", () => show(pack.tasks[$("tasks").selectedIndex]));
document.querySelectorAll("input[name=zoom]").forEach((one) => one.addEventListener("change", resize));
document.querySelectorAll("input[name=tool]").forEach((one) => one.addEventListener("change", () => {
  stage.classList.toggle("moves", checked("tool") === "move");
}));
video.requestVideoFrameCallback(follow);
["timeupdate", "seeked", "pause", "play", "loadeddata"].forEach((name) => video.addEventListener(name, tick));
globalThis.addEventListener("resize", resize);

async function open() {
  pack = await (await fetch("pack.json")).json();
  const text = await (await fetch("answers.jsonl")).text();
  lines = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  $("title").textContent = `${pack.name}: ${pack.kind === "write" ? "write questions" : "answer questions"}`;
  $("tasks").replaceChildren(...pack.tasks.map(() => document.createElement("option")));
  count();
  show(pack.tasks[0]);
  document.body.dataset.ready = "yes";
}

open();
