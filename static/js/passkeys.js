// Passkeys: a form with data-passkey lets the browser make or use one, and posts what it signed. Loaded where one is.
const FRESH_FOR = 4 * 60 * 1000; // the server accepts a ceremony for five minutes
const loadedAt = Date.now();
const forms = [...document.querySelectorAll("form[data-passkey]")];
let running = null; // browsers run one ceremony at a time
let renewal = 0; // of the ceremony that waits for autofill

function isSupported() {
  return Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON);
}

// A page that was open for long asks the server for itself again: its ceremony is too old, not its words.
async function optionsOf(form, isAutofill) {
  const age = Date.now() - Number(form.dataset.freshAt || loadedAt);
  if (age < FRESH_FOR) return JSON.parse(form.dataset.options);
  const response = await fetch(location.href, { credentials: "same-origin" }).catch(() => {
    throw new DOMException("", "NetworkError");
  });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const anew = page.querySelector(`form[data-passkey="${form.dataset.passkey}"]`);
  const isOtherPage = anew?.dataset.autofill !== form.dataset.autofill; // a prompt that is over leads to the sign-in
  if (!response.ok || !anew || isOtherPage) {
    if (isAutofill) throw new DOMException("", "InvalidStateError"); // the user may be typing a password
    location.replace(location.pathname + location.search); // a reload would post again
    return new Promise(() => {});
  }
  form.dataset.options = anew.dataset.options;
  form.dataset.freshAt = Date.now();
  return JSON.parse(form.dataset.options);
}

async function ask(form, mediation) {
  clearTimeout(renewal);
  running?.abort("another ceremony");
  running = new AbortController();
  const { signal } = running;
  const json = await optionsOf(form, mediation === "conditional");
  if (form.dataset.passkey === "create") {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(json);
    return navigator.credentials.create({ publicKey, signal, mediation });
  }
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(json);
  return navigator.credentials.get({ publicKey, signal, mediation });
}

function send(form, credential) {
  form.elements.otp.value = JSON.stringify(credential.toJSON());
  form.submit();
}

function tell(form, name) {
  const sentences = [...form.querySelectorAll("[data-passkey-failure]")];
  const fitting = sentences.find((sentence) => sentence.dataset.passkeyFailure === name) || sentences.at(-1);
  for (const sentence of sentences) sentence.hidden = sentence !== fitting || !name;
}

function setUp(form) {
  form.hidden = false;
  form.querySelector("[data-passkey-unsupported]").hidden = true;
  form.querySelector("[data-passkey-ready]").hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    const button = form.querySelector("button");
    button.disabled = true;
    tell(form, "");
    try {
      send(form, await ask(form));
    } catch (error) {
      tell(form, error.name || "other");
      button.disabled = false;
      button.focus();
      if (form.dataset.autofill) autofill(form);
    }
  });
  // Back from the next page, the browser shows this one as it was left: after a click.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    form.querySelector("button").disabled = false;
    if (form.dataset.autofill) autofill(form);
  });
  if (form.dataset.autofill) autofill(form);
}

// The browser offers passkeys in the list of the username field, until one is chosen or the page is left.
async function autofill(form) {
  const before = running;
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  if (running !== before) return; // the button was clicked meanwhile
  try {
    const asked = ask(form, "conditional");
    renewal = setTimeout(() => autofill(form), FRESH_FOR + 1000); // a second, for timers that are early
    send(form, await asked);
  } catch (error) {
    // Nothing was asked of the user, so nothing is said: the button is there.
    if (error.name && error.name !== "AbortError") console.info("No passkey by autofill:", error.name);
  }
}

// What the site knows of its passkeys is told to the authenticator, which then hides those that no longer work.
async function signal() {
  for (const element of document.querySelectorAll("[data-passkey-signal]")) {
    const tells = PublicKeyCredential[element.dataset.passkeySignal];
    if (tells) await tells.call(PublicKeyCredential, JSON.parse(element.dataset.passkeyDetails)).catch(() => {});
  }
}

if (isSupported()) {
  forms.forEach(setUp);
  signal();
}
