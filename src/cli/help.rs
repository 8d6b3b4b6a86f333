//! The words of `--help`: the first screen, and an example for every command.
//!
//! Invariant: each example can be typed as it stands once the server runs on its usual ports.

/// What `signet --help` shows: one command for a newcomer, then the commands in groups.
pub const FIRST_SCREEN: &str = "\
{about}

{usage-heading} {usage}

New here? This starts a server on your machine, shows a token issued, checked and revoked, and lets you sign in:

  signet quickstart

Server
  quickstart   a server for development: the main steps shown, and a demo to sign in to
  serve        start the server: all, public, admin or gateway
  migrate      bring a database to this release's schema
  janitor      delete what has expired from a database
  config       show or check the configuration
  doctor       say what is wrong with a set-up, and what mends it
  healthcheck  ask the server of this machine whether it is ready
  smoke        try a running server out with a throw-away client
  metrics      list all that the server tells Prometheus
  version      print version, git hash and build time
  completion   print a completion script for a shell

Clients, keys and tokens over the API of a running server
  create       a client (oauth2-client) or a key (jwk)
  get          show clients or keys
  list         list clients
  update       change a client
  delete       delete clients, keys or access tokens
  import       clients or keys from files; `import hydra`: all from Hydra's database
  apply        make clients be as files declare them
  perform      get a token (client-credentials, authorization-code, device-code)
  introspect   ask whether a token is active
  revoke       revoke a token

The same in the spelling of v1
  clients      create, get, list, update, delete, import
  keys         create, get, delete, import
  token        client, user, introspect, revoke, delete, flush

Options
{options}

As in v1, --skip-tls-verify and --config FILE may also stand before the command.
`help COMMAND` or `COMMAND --help` tells more, with an example for each.";

/// The first screen in the name that the program was started by.
pub fn first_screen(name: &str) -> String {
    FIRST_SCREEN.replace("signet quickstart", &format!("{name} quickstart"))
}

/// Lets the examples speak of the name that the program was started by.
pub fn speaking_of(command: clap::Command, name: &'static str) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let renamed = names.iter().fold(command, |tree, sub| tree.mut_subcommand(sub, |sub| speaking_of(sub, name)));
    match renamed.get_after_help().map(ToString::to_string) {
        Some(text) => renamed.after_help(text.replace("signet ", &format!("{name} "))),
        None => renamed,
    }
}

macro_rules! examples {
    ($($name:ident: $($line:literal),+;)+) => {
        $(pub const $name: &str = concat!("Example:", $("\n  ", $line),+);)+
    };
}

examples! {
    CREATE: "signet create oauth2-client --grant-type client_credentials \\",
        "    -e http://127.0.0.1:4445",
        "signet create jwk my-set --alg ES256 -e http://127.0.0.1:4445";
    CREATE_CLIENT: "signet create oauth2-client --name mine --grant-type client_credentials \\",
        "    --scope read,write -e http://127.0.0.1:4445 --format json \\",
        "    | jq -r .client_id";
    CREATE_JWK: "signet create jwk my-set my-key --alg ES256 -e http://127.0.0.1:4445";
    GET: "signet get oauth2-client my-client -e http://127.0.0.1:4445";
    GET_CLIENT: "signet get oauth2-client my-client other-client --format json \\",
        "    -e http://127.0.0.1:4445";
    GET_JWK: "signet get jwk my-set --public --format json-pretty -e http://127.0.0.1:4445";
    LIST: "signet list oauth2-clients --format json -e http://127.0.0.1:4445";
    UPDATE: "signet update oauth2-client my-client --name 'Another name' \\",
        "    -e http://127.0.0.1:4445";
    DELETE: "signet delete oauth2-client my-client -e http://127.0.0.1:4445";
    DELETE_CLIENT: "signet delete oauth2-client my-client other-client -e http://127.0.0.1:4445";
    DELETE_JWK: "signet delete jwk my-set -e http://127.0.0.1:4445";
    DELETE_TOKENS: "signet delete access-tokens my-client -e http://127.0.0.1:4445";
    IMPORT: "signet import oauth2-client clients.json -e http://127.0.0.1:4445";
    IMPORT_CLIENT: "signet get oauth2-client my-client --format json \\",
        "    -e http://127.0.0.1:4445 > client.json",
        "signet import oauth2-client client.json -e http://other.example:4445";
    APPLY: "signet apply oauth2-clients clients.yaml --dry-run -e http://127.0.0.1:4445";
    APPLY_CLIENTS: "echo '",
        "- client_id: shop",
        "  redirect_uris: [https://shop.example.com/callback]",
        "  grant_types: [authorization_code, refresh_token]",
        "  scope: openid offline",
        "  client_secret_env: SHOP_SECRET",
        "- client_id: shop-app",
        "  redirect_uris: [com.example.shop:/callback]",
        "  scope: openid",
        "  token_endpoint_auth_method: none",
        "' > clients.yaml",
        "export SHOP_SECRET=$(openssl rand -hex 16)  # once; keep it for every run",
        "signet apply oauth2-clients clients.yaml -e http://127.0.0.1:4445 \\",
        "    --public http://127.0.0.1:4444";
    IMPORT_JWK: "signet import jwk my-set key.json -e http://127.0.0.1:4445";
    IMPORT_HYDRA: "export HYDRA_SECRETS_SYSTEM=...  # Hydra's, all of the list",
        "signet import hydra --from postgres://reader:password@localhost/hydra \\",
        "    -c config.yaml --dry-run";
    PERFORM: "signet perform client-credentials --client-id my-client \\",
        "    --client-secret my-secret -e http://127.0.0.1:4444";
    PERFORM_CODE: "signet create oauth2-client --id my-app --secret my-secret \\",
        "    --grant-type authorization_code,refresh_token --scope openid,offline \\",
        "    --redirect-uri http://127.0.0.1:4446/callback -e http://127.0.0.1:4445",
        "signet perform authorization-code --client-id my-app \\",
        "    --client-secret my-secret -e http://127.0.0.1:4444",
        "# then open http://127.0.0.1:4446/ and sign in";
    PERFORM_DEVICE: "signet create oauth2-client --id my-tv --secret my-secret \\",
        "    --grant-type urn:ietf:params:oauth:grant-type:device_code,refresh_token \\",
        "    --scope openid,offline -e http://127.0.0.1:4445",
        "signet perform device-code --client-id my-tv --client-secret my-secret \\",
        "    -e http://127.0.0.1:4444";
    INTROSPECT: "signet introspect token \"$TOKEN\" --format json -e http://127.0.0.1:4445";
    REVOKE: "signet revoke token \"$TOKEN\" --client-id my-client \\",
        "    --client-secret my-secret -e http://127.0.0.1:4444";
    CLIENTS: "signet clients create --id some-consumer --secret some-secret \\",
        "    --grant-types client_credentials --response-types token,code \\",
        "    --endpoint http://127.0.0.1:4445";
    CLIENTS_UPDATE: "signet clients update some-consumer --name 'Another name' \\",
        "    --endpoint http://127.0.0.1:4445";
    CLIENTS_GET: "signet clients get some-consumer --endpoint http://127.0.0.1:4445";
    CLIENTS_DELETE: "signet clients delete some-consumer --endpoint http://127.0.0.1:4445";
    CLIENTS_IMPORT: "signet clients import clients.json --endpoint http://127.0.0.1:4445";
    CLIENTS_LIST: "signet clients list --limit 20 --page 2 --endpoint http://127.0.0.1:4445";
    KEYS: "signet keys create my-set my-key --alg RS256 \\",
        "    --endpoint http://127.0.0.1:4445";
    KEYS_GET: "signet keys get my-set --endpoint http://127.0.0.1:4445";
    KEYS_DELETE: "signet keys delete my-set --endpoint http://127.0.0.1:4445";
    KEYS_IMPORT: "signet keys import my-set key.json --endpoint http://127.0.0.1:4445";
    TOKEN: "signet token client --client-id some-consumer \\",
        "    --client-secret some-secret --endpoint http://127.0.0.1:4444";
    TOKEN_USER: "signet token user --port 9010 \\",
        "    --auth-url http://127.0.0.1:9000/oauth2/auth \\",
        "    --token-url http://127.0.0.1:9000/oauth2/token \\",
        "    --client-id another-consumer --client-secret consumer-secret \\",
        "    --scope openid,offline --redirect http://127.0.0.1:9010/callback";
    TOKEN_FLUSH: "signet token flush postgres://user:password@localhost/database";
    TOKEN_INTROSPECT: "signet token introspect --endpoint http://127.0.0.1:4445 \"$TOKEN\"";
    TOKEN_REVOKE: "signet token revoke --client-id some-consumer \\",
        "    --client-secret some-secret --endpoint http://127.0.0.1:4444 \"$TOKEN\"";
    TOKEN_DELETE: "signet token delete some-consumer --endpoint http://127.0.0.1:4445";
    QUICKSTART: "signet quickstart --data-dir ./demo --exit";
    SERVE: "export SECRETS_SYSTEM=$(openssl rand -hex 32)  # once; keep it for every start",
        "export DSN=postgres://user:password@localhost/database",
        "export URLS_SELF_ISSUER=https://auth.example.com/",
        "signet migrate sql -e --yes && signet serve all";
    SERVE_PUBLIC: "signet serve public -c config.yaml";
    SERVE_ADMIN: "signet serve admin -c config.yaml";
    SERVE_GATEWAY: "export GATEWAY_POLICIES='{\"read\": {\"scopes\": {\"all\": [\"read\"]}}}'",
        "signet serve gateway -c config.yaml",
        "curl -i http://127.0.0.1:4446/authz/read -H \"Authorization: Bearer $TOKEN\"";
    MIGRATE: "signet migrate sql --yes postgres://user:password@localhost/database";
    MIGRATE_STATUS: "signet migrate status -e --block";
    MIGRATE_DOWN: "signet migrate sql status -e";
    JANITOR: "signet janitor --tokens --requests --grants -c config.yaml",
        "signet janitor --tokens --limit 1000 \\",
        "    postgres://user:password@localhost/database";
    CONFIG: "signet config validate -c config.yaml";
    CONFIG_STATUS: "signet config status -c config.yaml --format json-pretty";
    METRICS: "signet metrics list --format json | jq -r '.items[].name'";
    DOCTOR: "signet doctor -c config.yaml --replicas 3",
        "signet doctor --public https://auth.example.com --admin http://10.0.0.5:4445 \\",
        "    --format json | jq -r '.findings[] | .id + \": \" + .fix'";
    HEALTHCHECK: "signet healthcheck || echo 'not ready'",
        "signet healthcheck --alive --url http://127.0.0.1:4444";
    SMOKE: "signet smoke --public http://auth-public:4444 \\",
        "    --admin http://auth-admin:4445 --issuer https://auth.example.com/";
    COMPLETION: "source <(signet completion bash)";
    VERSION: "signet version";
}
