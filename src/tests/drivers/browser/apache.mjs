// Apache with mod_auth_openidc in front of one page, on a port and in a temporary folder of its own.
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fresh, issuer, until } from "./world.mjs";

const MODULES = "/usr/lib/apache2/modules";
const LOADED = ["mpm_event", "authn_core", "authz_core", "authz_user", "mime", "dir", "include", "auth_openidc"];

// The page is server-parsed: it shows what the module found in the tokens.
const PAGE = `<!doctype html><title>protected</title>
<p id="sub"><!--#echo var="OIDC_CLAIM_sub" --></p>
<p id="iss"><!--#echo var="OIDC_CLAIM_iss" --></p>
<p id="token"><!--#echo var="OIDC_access_token" --></p>
`;

function configuration(dir, port, client) {
  const root = process.getuid() === 0; // then Apache gives its rights away, as it does in production
  return `
ServerRoot "${dir}"
ServerName 127.0.0.1:${port}
Listen 127.0.0.1:${port}
PidFile "${dir}/pid"
DefaultRuntimeDir "${dir}"
ErrorLog "${dir}/log"
LogLevel warn auth_openidc:info
Mutex sem
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
TypesConfig /dev/null
${LOADED.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join("\n")}
${root ? "User www-data\nGroup www-data" : ""}
DocumentRoot "${dir}/pages"
DirectoryIndex index.shtml
OIDCProviderMetadataURL ${issuer}.well-known/openid-configuration
OIDCClientID ${client.client_id}
OIDCClientSecret ${client.client_secret}
OIDCRedirectURI http://127.0.0.1:${port}/protected/callback
OIDCCryptoPassphrase ${fresh("passphrase")}
OIDCScope "openid profile"
OIDCPKCEMethod S256
OIDCCookieSameSite On
<Directory "${dir}/pages">
  Require all granted
</Directory>
<Directory "${dir}/pages/protected">
  Options +Includes
  AddType text/html .shtml
  AddOutputFilter INCLUDES .shtml
  AuthType openid-connect
  Require valid-user
</Directory>
`;
}

/// Starts it and waits until it answers; `close` ends it and removes the folder.
export async function startApache(port, client) {
  const dir = mkdtempSync(path.join(tmpdir(), "signet-apache-"));
  chmodSync(dir, 0o755);
  mkdirSync(`${dir}/pages/protected`, { recursive: true });
  writeFileSync(`${dir}/pages/protected/index.shtml`, PAGE);
  writeFileSync(`${dir}/pages/open.html`, "<!doctype html><title>open</title><p>signed out</p>");
  writeFileSync(`${dir}/apache.conf`, configuration(dir, port, client));
  const child = spawn("/usr/sbin/apache2", ["-DFOREGROUND", "-d", dir, "-f", `${dir}/apache.conf`], { stdio: "inherit" });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const origin = `http://127.0.0.1:${port}`;
  const said = () => readFileSync(`${dir}/log`, "utf8");
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`Apache ended: ${said()}`);
    return fetch(`${origin}/open.html`).then((answer) => answer.ok, () => false);
  }, "Apache");
  const close = async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  return { origin, said, close };
}
