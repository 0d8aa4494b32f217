#!/usr/bin/env bash
# A script as a client: it signs up, logs in with a bearer token, and reads the code of a problem.
#
#     examples/curl.sh [URL]              as a new user
#     examples/curl.sh URL USERNAME       as this user: asks for the password, and for a code if need be
#
# Needs curl 7.82. JSON is read with sed here, to need nothing else; `jq -r .session.token` is better.
set -euo pipefail

URL=${1:-http://localhost:8000}
NAME=${2:-script$(date +%s)$RANDOM}
if [[ $# -lt 2 ]]; then
  PASSWORD=$(head -c 18 /dev/urandom | base64)
else
  read -rsp "Password of $NAME: " PASSWORD
fi

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

# Logs in; prints the body. If the password is not enough, it asks for a code.
log_in() {
  local answer method=totp code
  answer=$(credentials "$PASSWORD" | call POST /login --json @-)
  if [[ $(member code <<< "$answer") == second_factor_required ]]; then
    read -rp "Code of the authenticator app, or recovery code: " code
    [[ ${#code} -le 7 ]] || method=recovery_code
    answer=$(printf '{"challenge_token": "%s", "method": "%s", "code": "%s"}' \
      "$(member challenge_token <<< "$answer")" "$method" "$code" |
      call POST /login/second-factor --json @-)
  fi
  printf '%s\n' "$answer"
}

if [[ $# -lt 2 ]]; then
  echo "Sign up as $NAME:"
  credentials "$PASSWORD" | call POST /signup --json @- | member username

  echo "A wrong password:"
  credentials "wrong" | call POST /login --json @- | member code

  echo "An invalid body; all its errors are reported:"
  call POST /signup --json '{"username": "al", "password": "secret"}'
fi

TOKEN=$(log_in | member token)
printf 'header = "Authorization: Bearer %s"\n' "$TOKEN" > "$TOKEN_FILE"

echo "Who is this:"
call GET /me | member username

echo "The sessions:"
call GET /sessions | tr ',' '\n' | grep -c '"current"'

echo "Log out:"
call POST /logout --write-out '%{http_code}\n'

echo "The token is dead:"
call GET /me | member code
