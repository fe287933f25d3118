// Opens the API reader on this origin's own document. It calls nobody else: no validator, no fonts, no telemetry.
window.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("reader");
  window.reader = SwaggerUIBundle({
    url: place.dataset.document,
    domNode: place,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    filter: true,
    validatorUrl: null,
    persistAuthorization: false,
    onComplete: () => { place.dataset.ready = "yes"; },
  });
});
