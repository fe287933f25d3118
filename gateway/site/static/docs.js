// Opens the API reader on this origin's own document. It calls nobody else: no validator, no fonts, no telemetry.
window.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("reader");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", paint);
  paint();
  SwaggerUIBundle({
    url: place.dataset.document,
    domNode: place,
    // Its links stand inside buttons, and its colours of code are too faint: neither can be used by everybody.
    deepLinking: false,
    syntaxHighlight: false,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    filter: true,
    validatorUrl: null,
    persistAuthorization: false,
    onComplete: () => { document.getElementById("servers")?.setAttribute("aria-label", "Server"); },
  });
});
