"""What an error page says of a refusal of the gateway's own, where its status does not say enough."""

from typing import Final

from libs.common.pages.words import Words, of_status

BY_DECISION: Final[dict[str, dict[str, Words]]] = {
    "fr": {
        "maintenance": Words("Maintenance en cours", "La plateforme est en maintenance ; réessayez plus tard."),
        "role_missing": Words("Accès refusé", "Votre rôle ne permet pas d’accéder à cette page."),
        "role_withheld": Words(
            "Second facteur demandé",
            "Ce compte doit d’abord recevoir un second facteur ; configurez-le, puis reconnectez-vous.",
        ),
        "step_up_required": Words("Connexion à confirmer", "Cette page demande une connexion récente. Reconnectez-vous."),
        "second_factor_required": Words(
            "Connexion à confirmer", "Cette page demande une connexion récente avec un second facteur. Reconnectez-vous."
        ),
        "cross_site_request": Words("Demande refusée", "Cette demande venait d’un autre site. Recommencez depuis celui-ci."),
        "token_expired": Words("Session expirée", "Votre session a expiré. Connectez-vous de nouveau."),
        "session_revoked": Words("Session terminée", "Cette session a été fermée. Connectez-vous de nouveau."),
    },
    "en": {
        "maintenance": Words("Maintenance in progress", "The platform is being maintained; try again later."),
        "role_missing": Words("Access denied", "Your role does not permit this page."),
        "role_withheld": Words(
            "Second factor needed", "This account needs a second factor first: set it up, then sign in again."
        ),
        "step_up_required": Words("Please confirm your sign-in", "This page needs a recent sign-in. Sign in again."),
        "second_factor_required": Words(
            "Please confirm your sign-in", "This page needs a recent sign-in with a second factor. Sign in again."
        ),
        "cross_site_request": Words("Request refused", "This request came from another site. Start again from this one."),
        "token_expired": Words("Session expired", "Your session has expired. Sign in again."),
        "session_revoked": Words("Session ended", "This session was ended. Sign in again."),
    },
}
"""Where a person needs to hear more than the status says."""


def words(decision: str, status: int, language: str) -> Words:
    """What a person is told of one refusal."""
    return BY_DECISION[language].get(decision) or of_status(status, language)
