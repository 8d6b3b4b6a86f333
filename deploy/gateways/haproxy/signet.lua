-- Two questions to Signet. Each leaves the answer in txn.signet_status: 200 for who may pass, 401 or 403 for who may not,
-- 503 when nobody knows.
local url = os.getenv("SIGNET_URL")
local patience = 3000 -- milliseconds

local function header(answer, name)
  local all = answer.headers and answer.headers[name]
  return all and all[0] or ""
end

local function refuse(txn, status, challenge)
  txn:set_var("txn.signet_status", status)
  txn:set_var("txn.signet_challenge", challenge)
end

-- The token of the one Authorization header; nil without one, "" for more than one or another form.
local function token(txn)
  local all = txn.http:req_get_headers()["authorization"]
  if not all then return nil end
  if all[1] then return "" end
  local scheme, found = all[0]:match("^(%a+) +([-._~+/%w]+=*) *$")
  if not scheme or scheme:lower() ~= "bearer" then return "" end
  return found
end

local function known(txn)
  local found = token(txn)
  if found and found ~= "" then return found end
  refuse(txn, 401, 'Bearer realm="signet"' .. (found and ', error="invalid_token"' or ""))
end

core.register_action("signet_authz", { "http-req" }, function(txn)
  local found = known(txn)
  if not found then return end
  local answer = core.httpclient():get({
    url = url .. "/authz/" .. os.getenv("SIGNET_POLICY"),
    headers = { authorization = { "Bearer " .. found } },
    timeout = patience,
  })
  if not answer or (answer.status ~= 200 and answer.status ~= 401 and answer.status ~= 403) then
    return refuse(txn, 503, "")
  end
  refuse(txn, answer.status, header(answer, "www-authenticate"))
  txn:set_var("txn.signet_subject", header(answer, "x-auth-subject"))
  txn:set_var("txn.signet_client_id", header(answer, "x-auth-client-id"))
  txn:set_var("txn.signet_scope", header(answer, "x-auth-scope"))
end, 0)

local function escaped(text)
  return (text:gsub("[^%w]", function(c) return string.format("%%%02X", c:byte()) end))
end

-- As Signet itself writes headers: a subject can end no line, and no two look alike.
local function visible(text)
  return (text:gsub("[^!-$&-~]", function(c) return string.format("%%%02X", c:byte()) end))
end

-- What json_query makes of a boolean, which is not the same in every version.
local truth = { ["1"] = true, ["true"] = true, ["0"] = false, ["false"] = false }

core.register_action("signet_introspect", { "http-req" }, function(txn)
  local found = known(txn)
  if not found then return end
  local pair = escaped(os.getenv("SIGNET_CLIENT_ID")) .. ":" .. escaped(os.getenv("SIGNET_CLIENT_SECRET"))
  local answer = core.httpclient():post({
    url = url .. "/oauth2/introspect",
    headers = {
      ["content-type"] = { "application/x-www-form-urlencoded" },
      ["authorization"] = { "Basic " .. txn.c:base64(pair) },
    },
    body = "token=" .. escaped(found) .. "&scope=" .. escaped(os.getenv("SIGNET_SCOPE")),
    timeout = patience,
  })
  if not answer or answer.status ~= 200 or not answer.body then return refuse(txn, 503, "") end
  local active = truth[tostring(txn.c:json_query(answer.body, "$.active"))]
  if active == nil then return refuse(txn, 503, "") end
  if not active then return refuse(txn, 401, 'Bearer realm="signet", error="invalid_token"') end
  refuse(txn, 200, "")
  txn:set_var("txn.signet_subject", visible(txn.c:json_query(answer.body, "$.sub") or ""))
end, 0)
