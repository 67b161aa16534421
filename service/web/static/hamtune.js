// Refreshes the page: every 2 s while a study is under way, every 20 s otherwise.
"use strict";

const LIVE_MS = 2000;
const IDLE_MS = 20000;

function openDetails() {
  return [...document.querySelectorAll("details[open][id]")].map((element) => element.id);
}

function reopen(root, ids) {
  for (const element of root.querySelectorAll("details[id]")) {
    element.open = ids.includes(element.id);
  }
}

function focusedSummary() {
  return document.activeElement.matches("details[id] > summary")
    ? `#${document.activeElement.parentElement.id} > summary`
    : null;
}

function userIsBusyIn(main) {
  const selection = document.getSelection();
  const selecting = selection && !selection.isCollapsed && main.contains(selection.anchorNode);
  return selecting || (main.contains(document.activeElement) && !focusedSummary());
}

async function refresh() {
  const main = document.querySelector("main");
  if (document.hidden || userIsBusyIn(main)) return;
  const response = await fetch(location.pathname, { cache: "no-store" });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const replacement = fresh.querySelector("main");
  reopen(replacement, openDetails());
  const focused = focusedSummary();
  main.replaceWith(replacement);
  if (focused) document.querySelector(focused)?.focus({ preventScroll: true });
}

async function refreshForever() {
  try {
    await refresh();
  } catch (error) {
    // The service may be restarting; the next round tries again.
  }
  const live = document.querySelector("main").dataset.live === "true";
  setTimeout(refreshForever, live ? LIVE_MS : IDLE_MS);
}

setTimeout(refreshForever, LIVE_MS);
