#!/bin/sh
# Ask somebody who stands before you, and read the verdict. MAPAE is the verifier's address, MAPAE_KEY an API key.
set -eu
purpose=${1:-name_birth_date}
api() { curl --silent --show-error --fail-with-body --header "Authorization: Bearer $MAPAE_KEY" "$@"; }
word() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

started=$(api --json "{\"purpose\":\"$purpose\",\"in_person\":true}" "$MAPAE/v1/checks")
id=$(echo "$started" | sed 's/^{"id":"\([^"]*\)".*/\1/')
echo "show this as a QR code: $(echo "$started" | word link)"
while :; do
  looked=$(api "$MAPAE/v1/checks/$id?wait=20")
  case $(echo "$looked" | word state) in
    open | seen | answered) ;;
    accepted) echo "$looked"; exit 0 ;;
    *) echo "$looked"; exit 1 ;;
  esac
done
