// The screens are whole without this. It swaps in what moves, and spares a few keystrokes.
//
// A screen that moves names a stream of events: <main data-live="/live">. On an event the screen is asked for again, and
// each element with an id and data-moves takes the place of its older self. Nothing is drawn here.

const PAUSE = 2000; // ms between two looks, however many events come
const SILENT = 5000; // ms between two looks where there is no stream
const main = document.querySelector("main");
let looking = false;
let again = false;
let last = 0;

function keepZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  const kept = `predictq_zone=${zone}`;
  if (!/^[\w+/-]+$/.test(zone) || document.cookie.split("; ").includes(kept)) return false;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${kept}; Path=${document.body.dataset.path}; Max-Age=31536000; SameSite=Lax${secure}`;
  return true;
}

async function look() {
  if (looking || document.hidden) {
    again = true;
    return;
  }
  looking = true;
  again = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The gateway is away: the screen stays as it is, and the next look may find it again.
  }
  last = Date.now();
  looking = false;
  if (again) soon();
}

function swap(fresh) {
  for (const old of document.querySelectorAll("[data-moves]")) {
    const next = fresh.getElementById(old.id);
    if (!next || old.contains(document.activeElement) || old.outerHTML === next.outerHTML) continue;
    keepOpen(old, next);
    old.replaceWith(next);
  }
  if (fresh.querySelector("main")?.dataset.live) return;
  delete main.dataset.live;
  stop();
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
function start() {
  if (!main?.dataset.live || document.hidden || source) return;
  source = new EventSource(main.dataset.live);
  source.onmessage = () => soon();
  for (const kind of ["job", "end", "overview"]) source.addEventListener(kind, () => soon());
  if (main.dataset.beat) clock = setInterval(() => soon(), 1000 * main.dataset.beat); // what no event tells of
  source.onerror = () => {
    if (source?.readyState === EventSource.CLOSED && !clock) clock = setInterval(() => soon(SILENT), SILENT);
  };
}

function stop() {
  source?.close();
  source = null;
  clearInterval(clock);
  clock = 0;
}

// A browser has six connections to a host, and a stream keeps one: a screen that nobody sees lets it go.
function seen() {
  if (document.hidden) return stop();
  start();
  if (again || source) soon(0);
}

function keys(event) {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const find = document.querySelector(".find input[name=find]");
    if (find) {
      event.preventDefault();
      find.focus();
    }
  }
}

// Forms that shall not be sent twice: <form data-once>. Filters that apply by themselves: <form data-apply>.
// Forms that carry a file: <form data-upload> shows in its <progress> how much of it has gone.
function sent(event) {
  if (event.target.matches("form[data-upload]")) return upload(event);
  if (!event.target.matches("form[data-once]")) return;
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button")) button.disabled = true;
  });
}

const address = () => location.pathname + location.search;
let shown = address(); // of what is shown
function upload(event) {
  event.preventDefault();
  const form = event.target;
  const bar = form.querySelector("progress");
  const call = new XMLHttpRequest();
  const buttons = form.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  bar.hidden = false;
  call.upload.onprogress = (sent) => (bar.value = sent.total ? sent.loaded / sent.total : 0);
  const failed = form.querySelector("[data-failed]");
  failed.hidden = true;
  call.onload = () => {
    const fresh = new DOMParser().parseFromString(call.responseText, "text/html");
    const next = fresh.querySelector("main");
    if (!next) return call.onerror(); // not from here: a proxy's own page
    document.querySelector("main").replaceWith(next);
    document.title = fresh.title;
    if (call.responseURL === form.action) return;
    history.pushState(null, "", call.responseURL);
    shown = address();
  };
  call.onerror = () => {
    for (const button of buttons) button.disabled = false;
    bar.hidden = true;
    failed.hidden = false;
  };
  call.open("POST", form.action);
  call.setRequestHeader("accept", "text/html");
  call.send(new FormData(form));
}

function applied(event) {
  event.target.closest("form[data-apply]")?.requestSubmit();
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
document.addEventListener("change", applied);
document.addEventListener("click", pressed);
document.addEventListener("visibilitychange", seen);
addEventListener("pagehide", stop);
addEventListener("popstate", () => address() === shown || location.reload()); // it comes for fragments, too
addEventListener("pageshow", (event) => event.persisted && start());

function begin() {
  document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); // narrow windows scroll them
  if (keepZone()) look();
  start();
}
// All of that can wait until the screen is painted, which it would share the processor with. Hidden, nothing is painted.
if (document.hidden) begin();
else requestAnimationFrame(() => setTimeout(begin));
