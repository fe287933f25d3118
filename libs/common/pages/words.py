"""What an error page says to a person, in French and English. Programs get a problem document instead."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """A heading and what to do."""

    title: str
    sentence: str


BY_STATUS: Final[dict[str, dict[int, Words]]] = {
    "fr": {
        400: Words("Demande incompréhensible", "Cette demande ne peut pas être comprise telle qu’elle a été envoyée."),
        401: Words("Connexion nécessaire", "Cette page demande d’être connecté. Connectez-vous, puis réessayez."),
        403: Words("Accès refusé", "Cette demande n’est pas permise."),
        404: Words("Page introuvable", "Il n’y a rien à cette adresse."),
        405: Words("Méthode refusée", "Cette adresse n’accepte pas ce type de demande."),
        408: Words("Demande trop lente", "La demande n’est pas arrivée entière à temps. Réessayez."),
        411: Words("Longueur manquante", "La longueur du contenu envoyé n’était pas indiquée."),
        413: Words("Contenu trop long", "Le contenu envoyé dépasse la limite de cette adresse."),
        414: Words("Adresse trop longue", "Cette adresse est trop longue."),
        429: Words("Trop de demandes", "Trop de demandes en peu de temps. Attendez une minute, puis réessayez."),
        431: Words("En-têtes trop longs", "Les en-têtes sont trop longs. Effacez les cookies de ce site, puis réessayez."),
        500: Words("Erreur du serveur", "La demande n’a pas pu être traitée. Réessayez dans un moment."),
        502: Words("Réponse interrompue", "Le service a interrompu sa réponse. Réessayez dans un moment."),
        503: Words("Service indisponible", "Le service est occupé ou arrêté. Réessayez dans un moment."),
        504: Words("Réponse trop tardive", "Le service n’a pas répondu à temps. Réessayez dans un moment."),
    },
    "en": {
        400: Words("The request cannot be understood", "This request cannot be understood as it was sent."),
        401: Words("Please sign in", "This page needs you to be signed in. Sign in, then try again."),
        403: Words("Access denied", "This request is not permitted."),
        404: Words("Page not found", "There is nothing at this address."),
        405: Words("Method not allowed", "This address does not take this kind of request."),
        408: Words("The request was too slow", "The request did not arrive whole in time. Try again."),
        411: Words("Length missing", "The length of what was sent was not given."),
        413: Words("Content too long", "What was sent is over the limit of this address."),
        414: Words("Address too long", "This address is too long."),
        429: Words("Too many requests", "Too many requests in a short time. Wait a minute, then try again."),
        431: Words("Headers too long", "The headers of the request are too long. Clear this site’s cookies, then try again."),
        500: Words("Server error", "The request could not be handled. Try again in a moment."),
        502: Words("The answer broke off", "The service broke off its answer. Try again in a moment."),
        503: Words("Service unavailable", "The service is busy or away. Try again in a moment."),
        504: Words("No answer in time", "The service did not answer in time. Try again in a moment."),
    },
}


def of_status(status: int, language: str) -> Words:
    """What a person is told of a status; of one without words of its own, what is told of its kind."""
    told = BY_STATUS[language]
    return told.get(status) or told[500 if status >= 500 else 400]
