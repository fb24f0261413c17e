// The screens are whole without this. It swaps in what moves, and spares a few keystrokes.
//
// A screen that moves names a stream of events: <main data-live="/live">. On an event the screen is asked for again, and
// each element with an id and data-moves takes the place of its older self. Nothing is drawn here. A screen without a stream
// that moves all the same says how often to look, in seconds: <main data-beat="1">. What an element says in data-told is read
// out by screen readers when it changes.
//
// A connection may be gone without a word: a stream on it is silent for ever, and so is a question. So a screen with a stream
// looks now and then all the same, waits for no answer without a limit, and says since when there was none.

const PAUSE = 2000; // ms between two looks, however many events come
const SILENT = 5000; // ms between two looks where there is no stream, or no answer
const BEAT = 10; // s between two looks of a screen with a stream, whatever that says
const LIMIT = 15000; // ms that an answer may take
const MUTE = 60000; // ms after which a stream that says nothing is opened anew
const STALLED = 120000; // ms in which nothing of a file has gone, after which it is given up
const NOTES = "#session-ended, #no-answer"; // before what a page shows; an answer to a form has none
const IS_MAC = /Mac|iPhone|iPad/.test(navigator.platform); // where Ctrl+K deletes in a field
let main = document.querySelector("main");
let looking = false;
let again = false;
let last = 0;
let answered = Date.now(); // when what is shown was asked for
let failing = 0; // since when no look was answered
let isKept = false; // whether something older stays for the focus that is in it
let told = document.querySelector("[data-told]")?.dataset.told;

function tell(text) {
  document.getElementById("told").textContent = text;
}

function keepZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  const kept = `predictq_zone=${zone}`;
  if (!/^[\w+/-]+$/.test(zone) || document.cookie.split("; ").includes(kept)) return false;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${kept}; Path=${document.body.dataset.path}; Max-Age=31536000; SameSite=Lax${secure}`;
  return true;
}

async function look() {
  if (looking || isUnseen()) {
    again = true;
    return;
  }
  looking = true;
  again = false;
  const began = Date.now();
  const fresh = await ask();
  if (fresh) swap(fresh);
  last = Date.now();
  looking = false;
  noteSilence(began, fresh !== null);
  if (failing) soon(SILENT);
  else if (again) soon();
}

// The screen as it is now; undefined where it is refused, null where nobody answers: the next look may find the gateway again.
async function ask() {
  const wishes = { headers: { accept: "text/html" }, redirect: "manual", signal: AbortSignal.timeout(LIMIT) };
  try {
    const answer = await fetch(location.href, wishes);
    if (answer.type === "opaqueredirect") noteEnd();
    if (answer.ok) return new DOMParser().parseFromString(await answer.text(), "text/html");
    return answer.status < 500 ? undefined : null;
  } catch {
    return null;
  }
}

// Not at the first look that fails at once: a gateway that is started anew is away for a moment.
function noteSilence(began, isAnswered) {
  const note = document.getElementById("no-answer");
  if (isAnswered) {
    if (failing) reopen(); // what was said meanwhile was not heard
    answered = began;
    failing = 0;
  } else failing ||= began;
  const isLost = failing > 0 && Date.now() - failing >= SILENT;
  if (!note || note.hidden !== isLost) return;
  const shape = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  note.querySelector("time").textContent = new Date(answered).toLocaleTimeString(document.documentElement.lang, shape);
  note.hidden = !isLost;
}

// Nobody is signed in any more: the screen leads to signing in now, and stays as it was.
function noteEnd() {
  stop();
  const note = document.getElementById("session-ended");
  if (note) note.hidden = false;
  delete main.dataset.live;
  delete main.dataset.beat;
}

function swap(fresh) {
  const now = fresh.querySelector("[data-told]")?.dataset.told; // before any of it is taken into the page
  const file = fresh.querySelector("a[data-fetch]");
  isKept = false;
  for (const old of document.querySelectorAll("[data-moves]")) {
    const next = fresh.getElementById(old.id);
    if (!next || old.outerHTML === next.outerHTML) continue;
    if (old.contains(document.activeElement)) {
      isKept = true;
      continue;
    }
    keepOpen(old, next);
    old.replaceWith(next);
  }
  if (now && now !== told) tell((told = now));
  const { live, beat } = fresh.querySelector("main")?.dataset ?? {};
  if (live || beat) return;
  delete main.dataset.live;
  delete main.dataset.beat;
  stop();
  if (file) location.assign(file.href);
}

function keepOpen(old, next) {
  const open = new Set([...old.querySelectorAll("details[open][id]")].map((item) => item.id));
  for (const item of next.querySelectorAll("details[id]")) if (open.has(item.id)) item.open = true;
}

let timer = 0;
function soon(pause = PAUSE) {
  if (timer) return;
  timer = setTimeout(() => {
    timer = 0;
    look();
  }, Math.max(0, last + pause - Date.now()));
}

let source = null;
let clock = 0;
let heard = 0; // when the stream was opened, or spoke last
function start() {
  if (!main || isUnseen() || source || clock) return;
  const { live, beat } = main.dataset;
  if (live || beat) every(1000 * (beat ?? BEAT)); // what no event tells of
  if (!live) return;
  source = new EventSource(live);
  heard = Date.now();
  for (const kind of ["message", "job", "end", "overview"]) source.addEventListener(kind, spoken);
  source.onerror = () => {
    if (source?.readyState === EventSource.CLOSED) every(Math.min(SILENT, 1000 * (beat ?? BEAT)));
  };
}

function every(pause) {
  clearInterval(clock);
  clock = setInterval(() => {
    if (source && Date.now() - heard > MUTE) reopen();
    soon();
  }, pause);
}

function spoken() {
  heard = Date.now();
  soon();
}

function reopen() {
  stop();
  start();
}

function stop() {
  source?.close();
  source = null;
  clearInterval(clock);
  clock = 0;
}

// A browser has six connections to a host, and a stream keeps one: a screen that nobody sees lets it go.
// One without a stream waits for a file that shall come by itself, and goes on.
const isUnseen = () => document.hidden && !(main?.dataset.beat && !main.dataset.live);
function seen() {
  if (isUnseen()) return stop();
  start();
  if (again || source) soon(0);
}

// What was kept for the focus in it is as old as it was when the focus came: it is swapped once that has gone.
function left() {
  if (isKept) soon(0);
}

// Not by a letter or sign alone: whoever speaks to the computer in place of typing would press it unawares.
function keys(event) {
  if (event.key?.toLowerCase() !== "k" || !(IS_MAC ? event.metaKey : event.ctrlKey) || event.altKey || event.shiftKey) return;
  const find = document.querySelector(".find input[name=find]");
  if (!find) return;
  event.preventDefault();
  find.focus();
}

// Forms that shall not be sent twice: <form data-once>. No form is sent by a change of a field: a date is one at each digit, an
// arrow is one in a list, and whoever leaves a field has not asked for another page.
// Forms that carry a file: <form data-upload> shows in its <progress> how much of it has gone, and which of its <p data-failed>
// says why it did not arrive: no answer, a session that has ended, more than data-most bytes.
function sent(event) {
  if (event.target.matches("form[data-upload]")) return upload(event);
  if (!event.target.matches("form[data-once]")) return;
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button")) button.disabled = true;
  });
}

const address = () => location.pathname + location.search;
let shown = address(); // of what is shown
async function upload(event) {
  event.preventDefault();
  const form = event.target;
  const from = document.activeElement;
  const buttons = form.querySelectorAll("button");
  const bar = form.querySelector("progress");
  for (const button of buttons) button.disabled = true;
  const fails = (why) => {
    for (const line of form.querySelectorAll("[data-failed]")) line.hidden = line.dataset.failed !== why;
    for (const button of buttons) button.disabled = !why;
    bar.hidden = Boolean(why);
    if (why && document.activeElement === document.body) from.focus();
  };
  fails("");
  if ([...form.querySelectorAll("input[type=file]")].some((field) => field.files[0]?.size > form.dataset.most)) return fails("large");
  if (await hasEnded()) return fails("ended"); // the gateway does not read the whole of a long file then, and no answer is heard
  tell(bar.getAttribute("aria-label"));
  const call = new XMLHttpRequest();
  let moved = Date.now();
  const watch = setInterval(() => Date.now() - moved > STALLED && call.abort(), SILENT);
  call.upload.onloadend = () => clearInterval(watch); // reading it may take the gateway longer
  call.upload.onprogress = (sent) => {
    moved = Date.now();
    bar.value = sent.total ? sent.loaded / sent.total : 0;
  };
  call.onload = () => {
    const fresh = new DOMParser().parseFromString(call.responseText, "text/html");
    if (!fresh.querySelector("main")) return call.onerror(); // not from here: a proxy's own page
    if (call.responseURL !== form.action) history.pushState(null, "", call.responseURL);
    shown = address();
    show(fresh, form.contains(from));
  };
  call.onerror = call.onabort = async () => fails((await hasEnded()) ? "ended" : "failed");
  call.open("POST", form.action);
  call.setRequestHeader("accept", "text/html");
  call.send(new FormData(form));
}

async function hasEnded() {
  try {
    const wishes = { cache: "no-store", signal: AbortSignal.timeout(LIMIT) };
    return (await fetch(`${document.body.dataset.path}session`, wishes)).status === 401;
  } catch {
    return false; // the gateway is away
  }
}

// A whole page in the place of this one, as if its address had been gone to; `wasInside`: the focus was in what goes.
function show(fresh, wasInside) {
  stop();
  const inside = () => document.activeElement === document.body || main.contains(document.activeElement);
  const isLost = (wasInside && inside()) || document.querySelector(".self").contains(document.activeElement);
  for (const note of document.querySelectorAll(NOTES)) note.remove();
  main.replaceWith(...fresh.querySelectorAll(`${NOTES}, main`));
  document.querySelector(".self").replaceWith(fresh.querySelector(".self")); // it says where a choice of language leads back to
  main = document.querySelector("main");
  told = document.querySelector("[data-told]")?.dataset.told;
  document.title = fresh.title;
  if (isLost) arrive(main);
  start();
}

// The focus was in what is gone: a keyboard and a screen reader begin where what came instead begins.
function arrive(next) {
  const place = next.querySelector("h1") ?? next;
  place.tabIndex = -1;
  place.focus();
}

// <button data-copy="text">, <button data-print>: shown with a script only.
async function pressed(event) {
  const button = event.target.closest?.("button[data-copy], button[data-copy-from], button[data-print]");
  if (!button) return;
  if ("print" in button.dataset) return print();
  const from = document.getElementById(button.dataset.copyFrom);
  try {
    await navigator.clipboard.writeText(from ? from.textContent : new URL(button.dataset.copy || location.href, location.href).href);
    button.textContent = button.dataset.done ?? button.textContent;
  } catch {
    // A page without TLS may not write to the clipboard; the text is beside the button.
  }
}

document.documentElement.classList.add("with-script");
document.addEventListener("keydown", keys);
document.addEventListener("submit", sent);
document.addEventListener("click", pressed);
document.addEventListener("visibilitychange", seen);
document.addEventListener("focusout", left);
addEventListener("pagehide", stop);
addEventListener("popstate", () => address() === shown || location.reload()); // it comes for fragments, too
addEventListener("pageshow", (event) => event.persisted && start());

function begin() {
  document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); // narrow windows scroll them
  const key = document.querySelector(".find kbd");
  if (key && IS_MAC) key.textContent = "⌘K";
  if (keepZone()) look();
  start();
}
// All of that can wait until the screen is painted, which it would share the processor with. Hidden, nothing is painted.
if (document.hidden) begin();
else requestAnimationFrame(() => setTimeout(begin));
