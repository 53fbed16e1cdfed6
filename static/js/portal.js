// Small comforts. Every page works without this file.
"use strict";

for (const button of document.querySelectorAll("[data-dismiss]")) {
  button.hidden = false;
  button.addEventListener("click", () => button.parentElement.remove());
}

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = button.dataset.copied;
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// A page begins at its top, also where its first field, which has the focus, is below a picture to look at first.
const [visit] = performance.getEntriesByType("navigation");
if (visit?.type === "navigate" && !location.hash && document.documentElement.dataset.refused === undefined) {
  const toTop = () => document.activeElement.autofocus && window.scrollTo(0, 0);
  window.addEventListener("load", () => requestAnimationFrame(toTop), { once: true });
}

// The pause before another mail: the button waits and counts the seconds. This device's clock may be wrong, so they are
// counted from now on.
for (const form of document.querySelectorAll("[data-wait]")) {
  const button = form.querySelector("button");
  const label = button.textContent;
  const end = performance.now() + Number(form.dataset.wait) * 1000;
  const tick = () => {
    const seconds = Math.ceil((end - performance.now()) / 1000);
    button.disabled = seconds > 0;
    button.textContent = seconds > 0 ? `${label} (${seconds} s)` : label;
    if (seconds > 0) setTimeout(tick, 1000);
  };
  tick();
}

// Pages come with times in the zone that the user has chosen. Else times in another zone than this browser's are turned
// into this one, named; hovering shows what came. A cookie keeps this browser's zone for the next page and for the choice.
const day = { day: "numeric", month: "long", year: "numeric" };
const clock = { hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
const forms = {
  clock,
  minute: { ...day, ...clock },
  cell: { ...day, month: "short", ...clock },
  second: { ...day, month: "short", ...clock, second: "2-digit" },
  exact: { ...clock, second: "2-digit" },
};
const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
const { timeZone: zoneOfPage, timeZoneChosen } = document.documentElement.dataset;
const ownZone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
const keepsZone = timeZoneChosen !== undefined || ownZone === zoneOfPage;
if (ownZone && ownZone !== zoneOfPage) {
  const [prefix, flag] = location.protocol === "https:" ? ["__Host-", "; Secure"] : ["", ""];
  document.cookie = `${prefix}time-zone=${ownZone}; Path=/; Max-Age=31536000; SameSite=Lax${flag}`;
}
function localize(part) {
  if (keepsZone) return;
  for (const time of part.querySelectorAll("time[data-local]")) {
    time.title = time.textContent;
    time.textContent = new Intl.DateTimeFormat(language, forms[time.dataset.local]).format(new Date(time.dateTime));
  }
}
localize(document);
if (!keepsZone) for (const name of document.querySelectorAll("[data-zone-name]")) name.textContent = ownZone.replaceAll("_", " ");

// How far a mail has got: asked with growing pauses, for four minutes at most, and not while the page is hidden. How far a
// run over many members has got: asked at its pace until it is over.
const PAUSES = [2, 3, 5, 8, 13, 20, 30, 45, 60, 60];
async function follow(line, asked = 0) {
  const pause = Number(line.dataset.pace) || PAUSES[asked];
  if (line.querySelector("[data-over]") || !pause) return;
  await new Promise((wake) => setTimeout(wake, pause * 1000));
  if (!document.hidden) {
    const headers = { "X-Page-Language": document.documentElement.lang, "X-Page-Time-Zone": zoneOfPage };
    const answer = await fetch(line.dataset.follow, { headers }).catch(() => null);
    if (answer?.status === 404) return;
    const text = answer?.ok && !answer.redirected ? await answer.text() : line.dataset.last;
    if (text && text !== line.dataset.last) {
      line.dataset.last = text; // told to screen readers only when it changes
      line.innerHTML = text;
      localize(line);
    }
  }
  follow(line, asked + 1);
}
for (const line of document.querySelectorAll("[data-follow]")) follow(line);
for (const part of document.querySelectorAll("[data-without-script]")) part.hidden = true;

// Whether this device can hold a passkey: only then is one offered after the sign-in.
for (const input of document.querySelectorAll("[data-can-passkey]")) {
  window.PublicKeyCredential?.isUserVerifyingPlatformAuthenticatorAvailable?.().then((can) => {
    input.disabled = !can;
  });
}

// A page that shows what is wrong with a form: reloading it or coming back opens the page, and sends nothing again.
if (document.documentElement.dataset.refused !== undefined) history.replaceState(null, "", location.href);

// Members ticked in a list stay ticked on its other pages and after a search, in this tab, until they are acted on.
const CHOSEN = "chosen-members";
let tab = null;
try {
  tab = window.sessionStorage;
} catch {} // cookies are forbidden: a selection counts for its page, as without script
if (tab) for (const form of document.querySelectorAll("[data-choice]")) {
  const { choice, max } = form.dataset;
  const boxes = [...form.querySelectorAll("input[name=user]")];
  const [others, page, line, none] = ["[name=users]", "[data-choose-page]", "[data-chosen]", "[data-choose-none]"].map(
    (part) => form.querySelector(part),
  );
  let chosen = new Set();
  const show = (isFull) => {
    for (const box of boxes) box.checked = chosen.has(box.value);
    const here = boxes.filter((box) => box.checked).length;
    page.checked = here > 0 && here === boxes.length;
    page.indeterminate = here > 0 && here < boxes.length;
    others.disabled = false;
    others.value = [...chosen].join(" ");
    none.hidden = chosen.size === 0;
    const words = chosen.size > here ? line.dataset.elsewhere : chosen.size ? line.dataset.chosen : "";
    line.textContent = (isFull ? line.dataset.full : words)
      .replace("{n}", isFull ? max : chosen.size)
      .replace("{m}", chosen.size - here);
  };
  const choose = (some, isChosen) => {
    for (const box of some) {
      if (!isChosen) chosen.delete(box.value);
      else if (chosen.size < Number(max)) chosen.add(box.value);
    }
    tab.setItem(CHOSEN, JSON.stringify({ choice, ids: [...chosen] }));
    show(isChosen && some.some((box) => !chosen.has(box.value)));
  };
  form.addEventListener("change", (event) => {
    if (event.target === page) choose(boxes, page.checked);
    else if (boxes.includes(event.target)) choose([event.target], event.target.checked);
  });
  none.addEventListener("click", () => {
    chosen.clear();
    choose([], false);
    page.focus();
  });
  for (const part of form.querySelectorAll("[data-choice-kept]")) part.hidden = boxes.length === 0;
  for (const part of form.querySelectorAll("[data-choice-lost]")) part.hidden = true;
  window.addEventListener("pageshow", () => {
    const kept = JSON.parse(tab.getItem(CHOSEN) ?? "{}");
    chosen = new Set(kept.choice === choice ? kept.ids : []);
    show(false);
  });
}

// A double click submits once. Coming back by the back button, the form works again.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) return event.preventDefault();
  if (event.target.method === "post") event.target.dataset.sent = "yes";
  if (event.target.querySelector("[name=confirmed]") && event.target.querySelector("[name=users]")) tab?.removeItem(CHOSEN);
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// The Organizations menu opens on hover and focus by style alone. Enter, a second tap and Escape close it, and the
// button tells screen readers whether it is open. Leaving the menu or coming back opens it again.
for (const menu of document.querySelectorAll(".menu")) {
  const button = menu.querySelector("button");
  const panel = menu.querySelector(".menu-panel");
  const isOpen = () => getComputedStyle(panel).display !== "none";
  const tell = () => button.setAttribute("aria-expanded", String(isOpen()));
  const set = (state) => {
    menu.classList.toggle("opened", state === "opened");
    menu.classList.toggle("closed", state === "closed");
    tell();
  };
  let wasOpen = false;
  button.addEventListener("pointerdown", (event) => {
    wasOpen = event.pointerType !== "mouse" && isOpen();
  });
  button.addEventListener("click", (event) => {
    const isByKey = event.detail === 0;
    set((isByKey ? isOpen() : wasOpen) ? "closed" : "opened");
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (panel.contains(document.activeElement)) button.focus();
    set("closed");
  });
  menu.addEventListener("mouseleave", () => set(""));
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(event.relatedTarget)) set("");
  });
  for (const name of ["mouseenter", "focusin"]) menu.addEventListener(name, tell);
  tell();
}

// The days of a chart are one stop of the tab key; the arrow keys, Home and End lead from day to day.
for (const chart of document.querySelectorAll("[data-days]")) {
  const days = [...chart.querySelectorAll(".day")];
  chart.addEventListener("keydown", (event) => {
    const at = days.indexOf(document.activeElement);
    const last = days.length - 1;
    const to = { ArrowLeft: Math.max(at - 1, 0), ArrowRight: Math.min(at + 1, last), Home: 0, End: last }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    days[at].tabIndex = -1;
    days[to].tabIndex = 0;
    days[to].focus();
  });
}
