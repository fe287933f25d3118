#!/usr/bin/env bash
# The gateway's public certificate, from an authority that speaks ACME (RFC 8555), with certbot and the challenge http-01.
#   acme stand-in   make a certificate that nobody believes, when there is none: the gateway needs one to show the challenge
#   acme once       get or renew the certificate and put it into place; more words go to certbot (--force-renewal)
#   acme keep       the same twice a day, sooner after a failure
# LUMIERE_ORIGIN names the host, ACME_EMAIL the person whom the authority may write to, ACME_DIRECTORY the authority.
set -euo pipefail
umask 077
tls=${TLS_DIR:-/tls}
kept=${ACME_DIR:-/acme}
every=${ACME_EVERY_SECONDS:-43200}
# Authorities count failures: five an hour are too many.
again=${ACME_AGAIN_SECONDS:-900}
scratch=${TMPDIR:-/tmp}
: "${LUMIERE_ORIGIN:?set LUMIERE_ORIGIN to the public https:// address}"
host=${LUMIERE_ORIGIN#https://}
host=${host%%[:/]*}

# Whole or not at all: the gateway looks at any moment.
put() {
  cat "$@" > "$tls/.site.pem"
  chmod 0600 "$tls/.site.pem"
  cmp --silent "$tls/.site.pem" "$tls/site.pem" 2>/dev/null || mv "$tls/.site.pem" "$tls/site.pem"
  rm -f "$tls/.site.pem"
}

stand_in() {
  mkdir -p "$tls/acme"
  [ ! -s "$tls/site.pem" ] || return 0
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj "/CN=$host" \
    -addext "subjectAltName=DNS:$host" -keyout "$scratch/stand-in.key" -out "$scratch/stand-in.pem" 2>/dev/null
  put "$scratch/stand-in.pem" "$scratch/stand-in.key"
  rm -f "$scratch/stand-in.key" "$scratch/stand-in.pem"
  echo "acme: a stand-in for $host is in place"
}

once() {
  local who=(--register-unsafely-without-email)
  [ -z "${ACME_EMAIL:-}" ] || who=(--email "$ACME_EMAIL")
  # The gateway shows what stands below the folder; certbot's own umask must not hide it from another user.
  (umask 022; certbot certonly --quiet --non-interactive --agree-tos "${who[@]}" \
    --server "${ACME_DIRECTORY:-https://acme-v02.api.letsencrypt.org/directory}" --webroot --webroot-path "$tls/acme" \
    --domain "$host" --cert-name site --key-type ecdsa --keep-until-expiring \
    --config-dir "$kept" --work-dir "$scratch/certbot" --logs-dir "$scratch/certbot-logs" "$@")
  put "$kept/live/site/fullchain.pem" "$kept/live/site/privkey.pem"
  echo "acme: $host holds until $(openssl x509 -noout -enddate -in "$tls/site.pem" | cut -d= -f2)"
}

keep() {
  trap 'exit 0' TERM INT
  while true; do
    # In a process of its own: a function that is asked in a condition would go on after a failure.
    if "$BASH" "$0" once; then pause=$every; else pause=$again; echo "acme: failed; again in $again s" >&2; fi
    sleep "$pause" & wait $!
  done
}

word=${1:-keep}
[ $# -eq 0 ] || shift
case $word in
  stand-in) stand_in ;;
  once) once "$@" ;;
  keep) keep ;;
  *) echo "acme: stand-in, once or keep, not $word" >&2; exit 2 ;;
esac
