// Lets forms marked `data-passkey` use ("get") or make ("create") a passkey: options from the platform, the answer into the form.
"use strict";

const OPTIONS = { get: "/api/v1/auth/passkeys/authentication-options", create: "/api/v1/auth/passkeys/registration-options" };

async function options(kind) {
  const answer = await fetch(OPTIONS[kind], { method: "POST", credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  const { public_key: given } = await answer.json();
  return kind === "get"
    ? { publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(given) }
    : { publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(given) };
}

async function send(event) {
  event.preventDefault();
  const form = event.target;
  const fault = form.querySelector("[role=alert]");
  fault.hidden = true;
  try {
    const kind = form.dataset.passkey;
    const credential = await navigator.credentials[kind](await options(kind));
    form.elements.passkey.value = JSON.stringify(credential.toJSON());
    HTMLFormElement.prototype.submit.call(form);
  } catch {
    fault.hidden = false;
  }
}

if (window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", send);
    form.hidden = false;
  }
}
