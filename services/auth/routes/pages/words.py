"""What pages say of faults and refusals, in French and English. Programs get the details of the problem documents instead."""

from collections.abc import Mapping
from typing import Final

from libs.common.auth.policy import Role, Scope
from libs.common.errors import Fault, Problem, TooManyRequests
from services.auth.domain.accounts import DISPLAY_NAME_MAXIMUM, DISPLAY_NAME_MINIMUM
from services.auth.domain.passwords import PASSWORD_MAXIMUM, PASSWORD_MINIMUM

Pair = tuple[str, str]
"""French, English."""

BY_FIELD: Final[Mapping[str, Pair]] = {
    "email": ("Écrivez une adresse comme nom@exemple.fr.", "Write an address like name@example.org."),
    "password": (
        f"Le mot de passe a de {PASSWORD_MINIMUM} à {PASSWORD_MAXIMUM} caractères.",
        f"A password has {PASSWORD_MINIMUM} to {PASSWORD_MAXIMUM} characters.",
    ),
    "display_name": (
        f"Le nom a de {DISPLAY_NAME_MINIMUM} à {DISPLAY_NAME_MAXIMUM} caractères, sans espace au début ni à la fin.",
        f"A name has {DISPLAY_NAME_MINIMUM} to {DISPLAY_NAME_MAXIMUM} characters, and no space at its ends.",
    ),
    "role": ("Choisissez un rôle de la liste.", "Choose a role of the list."),
    "otp": ("Le code a six chiffres.", "The code has six digits."),
    "recovery_code": ("Un code de secours a seize lettres ou chiffres.", "A recovery code has sixteen letters or digits."),
    "label": ("Donnez un nom de 1 à 60 caractères.", "Give a name of 1 to 60 characters."),
    "user_code": ("Écrivez le code que l’appareil affiche.", "Write the code that the device shows."),
    "token": (
        "Ouvrez le lien du message, ou collez ici le code qu’il contient.",
        "Open the link in the mail, or paste its code here.",
    ),
}
"""What a box takes, for whatever was wrong with what was typed."""
ELSEWHERE: Final[Pair] = (
    "Ce formulaire a été modifié. Rechargez la page, puis réessayez.",
    "This form was altered. Load the page again, then try once more.",
)

REFUSALS: Final[Mapping[str, Pair]] = {
    "WrongCredentials": ("L’adresse ou le mot de passe est faux.", "The e-mail address or the password is wrong."),
    "AccountLocked": ("Trop d’essais.", "Too many attempts."),
    "AccountNotVerified": (
        "Confirmez d’abord votre adresse par le lien envoyé. Inscrivez-vous de nouveau pour en recevoir un autre.",
        "Confirm your e-mail address first: the link is in the mail that we sent. Register again for a new one.",
    ),
    "AccountSuspended": (
        "Ce compte est suspendu. Écrivez-nous pour savoir pourquoi.",
        "This account is suspended. Write to us to learn why.",
    ),
    "TokenRefused": (
        "Ce lien a déjà servi, a été remplacé, ou est trop ancien. Demandez-en un autre.",
        "This link was used already, was replaced, or is too old. Ask for a new one.",
    ),
    "RequestGone": (
        "Cette question a déjà reçu une réponse ou est trop ancienne. Recommencez depuis le programme.",
        "This question was answered already or is too old. Go back to the program and begin again.",
    ),
    "UnknownUserCode": (
        "Aucun appareil n’attend avec ce code. Vérifiez-le : il vaut dix minutes et une réponse.",
        "No device waits under this code. Look at it again: codes hold for ten minutes and one answer.",
    ),
    "SignInOver": (
        "Cette connexion a pris trop de temps ou a déjà abouti. Recommencez.",
        "This sign-in took too long or was completed already. Begin again.",
    ),
    "WrongSecondFactor": (
        "Cela n’a pas été accepté. Un code ne sert qu’une fois : attendez le suivant.",
        "That was not accepted. A code is good for one use: wait for the next one.",
    ),
    "WrongCode": (
        "Ce code n’est pas celui de l’application. Vérifiez son horloge, puis écrivez le code qu’elle affiche maintenant.",
        "The code is not the app’s. See that its clock is right, and write the code that it shows now.",
    ),
    "LastFactor": (
        "Votre rôle garde un second facteur : ajoutez-en un autre avant de retirer celui-ci.",
        "Your role keeps a second factor: set up another before you remove this one.",
    ),
    "UnknownSession": ("Cette session était déjà terminée.", "That session had ended already."),
}
BY_STATUS: Final[Mapping[int, Pair]] = {
    401: ("Cela n’a pas été reconnu. Réessayez.", "That was not recognised. Try again."),
    403: ("Ce n’est pas permis.", "This is not permitted."),
    409: ("Cela a changé entre-temps. Regardez de nouveau.", "That changed meanwhile. Look again."),
    429: ("Trop d’essais.", "Too many attempts."),
    503: ("Le service est occupé.", "The service is busy."),
}
UNKNOWN: Final[Pair] = ("Ce n’était pas possible.", "That was not possible.")


NOTICES: Final[Mapping[str, Pair]] = {
    "registered": (
        "Si cette adresse peut être utilisée, un message avec un lien est en route. Ouvrez-le pour confirmer l’adresse.",
        "If this address can be used, a mail with a link is on its way. Open it to confirm the address.",
    ),
    "verified": ("Votre adresse est confirmée. Connectez-vous.", "Your address is confirmed. Sign in."),
    "reset_sent": (
        "Si un compte a cette adresse, un message avec un lien est en route. Le lien vaut une heure.",
        "If an account has this address, a mail with a link is on its way. The link holds for an hour.",
    ),
    "reset": (
        "Le nouveau mot de passe est en place, et toutes les sessions sont terminées. Connectez-vous.",
        "The new password is set, and all sessions have ended. Sign in.",
    ),
    "signed_out": ("Vous êtes déconnecté.", "You are signed out."),
    "factor_added": ("Le second facteur est en place.", "The second factor is set up."),
    "factor_removed": ("Le second facteur est retiré.", "The second factor is removed."),
    "device_allowed": ("L’appareil est connecté. Revenez-y.", "The device is connected. Go back to it."),
    "device_refused": ("L’appareil n’a rien reçu.", "The device was given nothing."),
    "ended": ("La session est terminée.", "The session has ended."),
    "others_ended": ("Toutes les autres sessions sont terminées.", "All other sessions have ended."),
}
"""What a page says of what was just done, by the name in its address; other names say nothing."""


def notice(name: str | None, language: str) -> str | None:
    """The sentence of this name."""
    pair = NOTICES.get(name or "")
    return chosen(pair, language) if pair else None


ROLES: Final[Mapping[Role, Pair]] = {
    Role.ADMIN: ("Administration", "Administrator"),
    Role.CONTRIBUTOR: ("Contribuer aux films", "Contribute to films"),
    Role.ARTIST: ("Artiste", "Artist"),
    Role.STUNT_PERFORMER: ("Cascades", "Stunt performer"),
    Role.VIEWER: ("Regarder et suivre", "Watch and follow"),
    Role.SCREENWRITER: ("Scénario", "Screenwriter"),
    Role.CREATOR: ("Création de films", "Film creator"),
}
_WORKS: Final = frozenset({Role.ADMIN, Role.CONTRIBUTOR, Role.ARTIST, Role.STUNT_PERFORMER})
MAY: Final[tuple[tuple[frozenset[Role], Pair], ...]] = (
    (
        frozenset(Role),
        ("Lire les films et les tâches, et suivre votre progression.", "Read films and tasks, and follow your progress."),
    ),
    (frozenset(Role), ("Voir vos Lumens, vos paiements et vos notifications.", "See your Lumens, payments and notices.")),
    (_WORKS, ("Prendre une tâche, rendre un travail, l’abandonner.", "Claim a task, hand in work, give a task back.")),
    (frozenset({Role.ADMIN, Role.SCREENWRITER}), ("Ouvrir les scénarios.", "Open screenplays.")),
    (
        frozenset({Role.ADMIN}),
        (
            "Préparer les films, relire les travaux, gérer les comptes et la maintenance.",
            "Plan films, review work, look after accounts and maintenance.",
        ),
    ),
)
"""What the routes of the platform let each role do (docs/roles.md), in a person's words."""


SCOPES: Final[Mapping[str, Pair]] = {
    Scope.OPENID: ("savoir que c’est vous, par votre identifiant", "know that it is you, by your identifier"),
    Scope.PROFILE: ("lire votre nom affiché et votre langue", "read your displayed name and language"),
    Scope.EMAIL: ("lire votre adresse e-mail", "read your e-mail address"),
    Scope.OFFLINE_ACCESS: ("continuer quand vous n’êtes pas là", "go on while you are away"),
    Scope.TASKS_READ: ("lire vos tâches et vos travaux", "read your tasks and work"),
    Scope.TASKS_WRITE: ("prendre des tâches et rendre des travaux pour vous", "claim tasks and hand in work for you"),
    Scope.MEDIA_READ: ("lire vos fichiers", "read your files"),
    Scope.MEDIA_WRITE: ("envoyer et supprimer des fichiers pour vous", "upload and delete files for you"),
    Scope.PAYMENTS_READ: ("lire vos Lumens et vos paiements", "read your Lumens and payments"),
    Scope.NOTIFICATIONS_READ: ("lire vos notifications", "read your notices"),
    Scope.NOTIFICATIONS_WRITE: ("marquer vos notifications comme lues", "mark your notices as read"),
}
"""What a program may do with each scope."""


def scope_name(scope: str, language: str) -> str:
    """What a scope lets a program do; one without words is shown by its name."""
    pair = SCOPES.get(scope)
    return chosen(pair, language) if pair else scope


def may(role: Role, language: str) -> list[str]:
    """What somebody of this role may do."""
    return [chosen(pair, language) for roles, pair in MAY if role in roles]


def role_name(role: Role, language: str) -> str:
    """What a role is called."""
    return chosen(ROLES[role], language)


def hints(language: str) -> dict[str, str]:
    """What each box takes."""
    return {name: chosen(pair, language) for name, pair in BY_FIELD.items()}


def chosen(pair: Pair, language: str) -> str:
    """The text in this language."""
    return pair[0] if language == "fr" else pair[1]


def sentence_for(fault: Fault, language: str) -> str:
    """What is wrong with one box."""
    field = fault.pointer.strip("/").split("/")[0]
    return chosen(BY_FIELD.get(field, ELSEWHERE), language)


def sentence_of(problem: Problem, language: str) -> str:
    """Why it was refused, and how long to wait where waiting helps."""
    pair = REFUSALS.get(type(problem).__name__) or BY_STATUS.get(problem.status, UNKNOWN)
    seconds = getattr(problem, "retry_after", None)
    wait = f" {waiting(seconds, language)}" if seconds is not None else ""
    unlock = ""
    if isinstance(problem, TooManyRequests) and type(problem).__name__ == "AccountLocked":
        unlock = chosen((" Un nouveau mot de passe lève aussi l’attente.", " A new password ends the wait, too."), language)
    return chosen(pair, language) + wait + unlock


def waiting(seconds: int, language: str) -> str:
    """How long to wait, in whole minutes from one minute on."""
    number, unit = (-(-seconds // 60), ("minute", "minute")) if seconds >= 60 else (seconds, ("seconde", "second"))
    name = chosen(unit, language) + ("s" if number > 1 else "")
    return chosen((f"Réessayez dans {number} {name}.", f"Try again in {number} {name}."), language)
