#!/usr/bin/env bash
# guide.sh IMAGE: the guide of Hydra in Docker, its commands as they stand there with the image's name swapped for IMAGE: a
# network, PostgreSQL, migrations, the server, a client, a token and its introspection, and a user's login. Whoever follows
# it with a browser is played by user.py.
set -euo pipefail
image=$1
here=$(cd "$(dirname "$0")" && pwd)
issuer=http://127.0.0.1:9000/
trap '[[ $? -eq 0 ]] || docker logs ory-hydra-example--hydra >&2' EXIT

docker network create hydraguide
docker run --network hydraguide \
  --name ory-hydra-example--postgres \
  -e POSTGRES_USER=hydra \
  -e POSTGRES_PASSWORD=secret \
  -e POSTGRES_DB=hydra \
  -d postgres:9.6

SECRETS_SYSTEM=$(
  set +o pipefail # the last of these ends first
  export LC_CTYPE=C
  tr -dc 'a-zA-Z0-9' </dev/urandom | fold -w 32 | head -n 1
)
DSN='postgres://hydra:secret@ory-hydra-example--postgres:5432/hydra?sslmode=disable'
export SECRETS_SYSTEM DSN

docker run -it --rm \
  --network hydraguide \
  "$image" \
  migrate sql --yes "$DSN"

docker run -d \
  --name ory-hydra-example--hydra \
  --network hydraguide \
  -p 9000:4444 \
  -p 9001:4445 \
  -e SECRETS_SYSTEM="$SECRETS_SYSTEM" \
  -e DSN="$DSN" \
  -e URLS_SELF_ISSUER=$issuer \
  -e URLS_CONSENT=http://127.0.0.1:9020/consent \
  -e URLS_LOGIN=http://127.0.0.1:9020/login \
  "$image" serve all --dangerous-force-http

for _ in $(seq 100); do
  ! curl -fs http://127.0.0.1:9000/health/ready >/dev/null || break
  sleep 0.2
done
[[ $(curl -fsS http://127.0.0.1:9001/health/ready) == '{"status":"ok"}' ]]
docker logs ory-hydra-example--hydra >"$ENGINE/hydra.log"
grep -q 'Setting up http server on ' "$ENGINE/hydra.log"
# Who is on the container's network reaches the administrative listener, and the log says so.
grep '(admin), open to every interface' "$ENGINE/hydra.log"

docker run --rm -it \
  "$image" \
  help >"$ENGINE/help"
grep -q '^  clients ' "$ENGINE/help"

docker run --rm -it \
  --network hydraguide \
  "$image" \
  clients create \
  --endpoint http://ory-hydra-example--hydra:4445 \
  --id some-consumer \
  --secret some-secret \
  --grant-types client_credentials \
  --response-types token,code

TOKEN=$(docker run --rm -it \
  --network hydraguide \
  "$image" \
  token client \
  --client-id some-consumer \
  --client-secret some-secret \
  --endpoint http://ory-hydra-example--hydra:4444)

docker run --rm -it \
  --network hydraguide \
  "$image" \
  token introspect \
  --client-id some-consumer \
  --client-secret some-secret \
  --endpoint http://ory-hydra-example--hydra:4445 \
  "$TOKEN" >"$ENGINE/introspected"
grep -q '"active": true' "$ENGINE/introspected"
grep -q "\"iss\": \"$issuer\"" "$ENGINE/introspected"

docker run --rm -it \
  --network hydraguide \
  "$image" \
  clients create \
  --endpoint http://ory-hydra-example--hydra:4445 \
  --id another-consumer \
  --secret consumer-secret \
  -g authorization_code,refresh_token \
  -r token,code,id_token \
  --scope openid,offline \
  --callbacks http://127.0.0.1:9010/callback

docker run --rm -it \
  --network hydraguide \
  -p 9010:9010 \
  "$image" \
  token user \
  --port 9010 \
  --auth-url http://127.0.0.1:9000/oauth2/auth \
  --token-url http://ory-hydra-example--hydra:4444/oauth2/token \
  --client-id another-consumer \
  --client-secret consumer-secret \
  --scope openid,offline \
  --redirect http://127.0.0.1:9010/callback >"$ENGINE/tokens" &
terminal=$!
python3 "$here/user.py" http://127.0.0.1:9010/ http://127.0.0.1:9001
wait "$terminal"
grep -q '^ory_at_' <(tr -d '[:blank:]' <"$ENGINE/tokens" | sed 's/^[A-Za-z]*Token://')

docker kill --signal=TERM ory-hydra-example--hydra
[[ $(docker wait ory-hydra-example--hydra) == 0 ]]
echo "✓ the guide's commands hold"
