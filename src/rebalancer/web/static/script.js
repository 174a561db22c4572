// Keeps the parts of a page that change up to date, and switches the theme. Every page works without it.
"use strict";

// -- theme: automatic, light, dark; the server reads the cookie, so that nothing flashes -------------------------

const THEMES = ["auto", "light", "dark"];

function theme() {
  return document.documentElement.dataset.theme || "auto";
}

function showTheme(button) {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  button.textContent = `Theme: ${theme()}`;
  button.setAttribute("aria-label", `Theme: ${theme()}. Switch to ${next}`);
}

function switchTheme(button) {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  const age = next === "auto" ? 0 : 31536000;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `theme=${next}; path=/; max-age=${age}; SameSite=Strict${secure}`;
  showTheme(button);
}

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.hidden = false;
  showTheme(button);
  button.addEventListener("click", () => switchTheme(button));
}

// -- pieces: what the server sends takes the place of what is shown, without disturbing who works with it ----------

const waiting = new Map(); // id of a piece -> its newest HTML, while somebody types in it

function isTypedIn(piece) {
  const active = document.activeElement;
  return piece.contains(active) && active.matches("input:not([type=hidden]), select, textarea");
}

function signOf(element) {
  return [element.tagName, element.id, element.getAttribute("name"), element.getAttribute("href"), element.textContent.trim()].join("\n");
}

function sameIn(piece, sign) {
  return [...piece.querySelectorAll("a, button, summary, input, select, textarea, [tabindex]")].find((one) => signOf(one) === sign);
}

function openIn(piece) {
  return new Set([...piece.querySelectorAll("details[open] > summary")].map(signOf));
}

function replace(piece, html) {
  const focused = piece.contains(document.activeElement) ? signOf(document.activeElement) : null;
  const opened = openIn(piece);
  const scrolled = [...piece.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  const template = document.createElement("template");
  template.innerHTML = html; // from our own server, which escapes every name; the policy allows no script in it
  for (const inner of template.content.querySelectorAll("[id^='live-']")) {
    const shown = document.getElementById(inner.id); // its content comes as a piece of its own
    if (shown && !inner.hasChildNodes()) inner.replaceChildren(...shown.childNodes);
  }
  const token = document.querySelector("meta[name=csrf]").content;
  for (const field of template.content.querySelectorAll("input[name=csrf]")) field.value = token;
  piece.replaceChildren(template.content);
  for (const summary of piece.querySelectorAll("details > summary")) {
    if (opened.has(signOf(summary))) summary.parentElement.open = true;
  }
  piece.querySelectorAll(".scroll").forEach((one, number) => { one.scrollLeft = scrolled[number] || 0; });
  if (focused) sameIn(piece, focused)?.focus({ preventScroll: true });
}

function show(id, html) {
  const piece = document.getElementById(id);
  if (!piece) return;
  if (isTypedIn(piece)) waiting.set(id, html);
  else if (html === "" && id.startsWith("live-run-") && !piece.closest("#live-running")) reloadOnce(id);
  else replace(piece, html);
}

function showWaiting() {
  for (const [id, html] of [...waiting]) {
    waiting.delete(id);
    show(id, html);
  }
}

// the page of an execution says how it ended, once it has
function reloadOnce(id) {
  const key = `ended:${location.pathname}:${id}`;
  if (sessionStorage.getItem(key)) return;
  sessionStorage.setItem(key, "1");
  location.reload();
}

// -- the stream ---------------------------------------------------------------------------------------------------

const BACK_SHOWN = 4000; // milliseconds
const AGAIN = 5000; // milliseconds until the server is asked anew after it refused
const AWAY = 15000; // milliseconds that a page may be out of sight before it lets its stream go
const FIRST_LOOK = 4000; // milliseconds in which everything that runs is sent once

let stream = null;
let wasLost = false;
let away = 0;
let again = 0;
let came = new Set();

function say(words) {
  const sign = document.querySelector("[data-connection]");
  if (sign && sign.textContent !== words) sign.textContent = words;
}

function opened() {
  came = new Set();
  if (wasLost) {
    say("live again");
    setTimeout(() => { if (!wasLost) say(""); }, BACK_SHOWN);
  }
  wasLost = false;
  setTimeout(forgetEnded, FIRST_LOOK);
}

// what ended between the page and its stream is never sent: it is shown as running until the page is loaded again
function forgetEnded() {
  if (!stream || stream.readyState !== EventSource.OPEN) return;
  for (const piece of document.querySelectorAll("[id^='live-run-']")) {
    if (!came.has(piece.id) && piece.hasChildNodes() && !piece.closest("#live-running")) reloadOnce(piece.id);
  }
}

async function lost() {
  wasLost = true;
  say("not live; trying again");
  if (stream.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
  close();
  try {
    const answer = await fetch("/emergency-stop", { method: "HEAD", redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect" || answer.status === 401) {
      location.reload(); // the session is over: the server asks for the password
      return;
    }
  } catch {
    // not there: asked again below
  }
  clearTimeout(again);
  again = setTimeout(open, AGAIN);
}

function open() {
  if (stream || document.hidden) return;
  stream = new EventSource("/live");
  stream.addEventListener("open", opened);
  stream.addEventListener("error", lost);
  stream.addEventListener("piece", (event) => {
    const { id, html } = JSON.parse(event.data);
    came.add(id);
    show(id, html);
  });
}

function close() {
  if (stream) stream.close();
  stream = null;
}

function seen() {
  clearTimeout(away);
  if (document.hidden) away = setTimeout(close, AWAY);
  else open();
}

if (document.querySelector("[id^='live-']")) {
  document.addEventListener("focusout", () => setTimeout(showWaiting, 0));
  document.addEventListener("visibilitychange", seen);
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
