#!/usr/bin/env bash
# A script as a client: it signs up, logs in with a bearer token, and reads the code of a problem.
#
#     examples/curl.sh [URL]
#
# Needs curl 7.82. JSON is read with sed here, to need nothing else; `jq -r .session.token` is better.
set -euo pipefail

URL=${1:-http://localhost:8000}
NAME=script$(date +%s)$RANDOM
PASSWORD=$(head -c 18 /dev/urandom | base64)

# Prints a member of the JSON on standard input whose value is a string.
member() {
  sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'
}

# Sends a request; prints the body. The token is read from a file: arguments are shown by ps(1).
TOKEN_FILE=$(mktemp)
trap 'rm -f "$TOKEN_FILE"' EXIT
call() {
  curl --silent --show-error --config "$TOKEN_FILE" --request "$1" "$URL$2" "${@:3}"
}

# The body comes from standard input, for the same reason.
credentials() {
  printf '{"username": "%s", "password": "%s", "transport": "bearer", "device_name": "%s"}' \
    "$NAME" "$1" "examples/curl.sh"
}

echo "Sign up as $NAME:"
credentials "$PASSWORD" | call POST /signup --json @- | member username

echo "A wrong password:"
credentials "wrong" | call POST /login --json @- | member code

echo "An invalid body; all its errors are reported:"
call POST /signup --json '{"username": "al", "password": "secret"}'

TOKEN=$(credentials "$PASSWORD" | call POST /login --json @- | member token)
printf 'header = "Authorization: Bearer %s"\n' "$TOKEN" > "$TOKEN_FILE"

echo "Who is this:"
call GET /me | member username

echo "The sessions of sign-up and log-in:"
call GET /sessions | tr ',' '\n' | grep -c '"current"'

echo "Log out:"
call POST /logout --write-out '%{http_code}\n'

echo "The token is dead:"
call GET /me | member code
