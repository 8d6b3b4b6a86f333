// node hydra_client.cjs PUBLIC ADMIN ID: the life of one token through @ory/hydra-client.
const assert = require("node:assert");
const { Configuration, OAuth2Api, JwkApi, MetadataApi, OidcApi, WellknownApi } = require("@ory/hydra-client");

const [publicUrl, adminUrl, id] = process.argv.slice(2);
const secret = "a-secret-for-the-driver";
const admin = new OAuth2Api(new Configuration({ basePath: adminUrl }));
const client = new OAuth2Api(new Configuration({ basePath: publicUrl, username: id, password: secret }));

async function token() {
  const answer = await client.oauth2TokenExchange({ grantType: "client_credentials" });
  assert.strictEqual(answer.status, 200);
  assert.strictEqual(answer.data.token_type.toLowerCase(), "bearer");
  return answer.data.access_token;
}

async function main() {
  const made = await admin.createOAuth2Client({
    oAuth2Client: { client_id: id, client_secret: secret, client_name: "driver", grant_types: ["client_credentials"], scope: "read" },
  });
  assert.strictEqual(made.status, 201);
  assert.strictEqual(made.data.client_id, id);
  const listed = await admin.listOAuth2Clients({ pageSize: 10, clientName: "driver" });
  assert.ok(listed.data.some((one) => one.client_id === id));
  const patched = await admin.patchOAuth2Client({ id, jsonPatch: [{ op: "replace", path: "/client_name", value: "patched" }] });
  assert.strictEqual(patched.data.client_name, "patched");

  const accessToken = await token();
  const active = await admin.introspectOAuth2Token({ token: accessToken });
  assert.strictEqual(active.data.active, true);
  assert.strictEqual(active.data.client_id, id);

  const revoked = await client.revokeOAuth2Token({ token: accessToken });
  assert.strictEqual(revoked.status, 200);
  assert.strictEqual((await admin.introspectOAuth2Token({ token: accessToken })).data.active, false);

  const left = await token();
  await admin.deleteOAuth2Token({ clientId: id });
  assert.strictEqual((await admin.introspectOAuth2Token({ token: left })).data.active, false);

  const keys = new JwkApi(new Configuration({ basePath: adminUrl }));
  const set = await keys.createJsonWebKeySet({ set: id, createJsonWebKeySet: { alg: "ES256", use: "sig", kid: "one" } });
  assert.strictEqual(set.data.keys[0].kid, "one");
  await keys.deleteJsonWebKeySet({ set: id });
  const known = await new WellknownApi(new Configuration({ basePath: publicUrl })).discoverJsonWebKeys();
  assert.ok(known.data.keys.length > 0);
  const discovered = await new OidcApi(new Configuration({ basePath: publicUrl })).discoverOidcConfiguration();
  assert.ok(discovered.data.token_endpoint.startsWith("http"));
  assert.strictEqual((await new MetadataApi(new Configuration({ basePath: adminUrl })).isReady()).data.status, "ok");

  await admin.deleteOAuth2Client({ id });
  await assert.rejects(admin.getOAuth2Client({ id }), (error) => error.response.status === 404);
  console.log("ok");
}

main().catch((error) => {
  const answer = error.response;
  console.error(answer ? `${answer.config.method} ${answer.config.url} -> ${answer.status} ${JSON.stringify(answer.data)}` : error);
  process.exit(1);
});
