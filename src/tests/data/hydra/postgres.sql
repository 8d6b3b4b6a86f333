-- Written by make.py.
CREATE TABLE schema_migration (
    version text NOT NULL DEFAULT '',
    version_self bigint
);
CREATE TABLE networks (
    id uuid NOT NULL,
    created_at timestamp NOT NULL DEFAULT now(),
    updated_at timestamp NOT NULL DEFAULT now()
);
CREATE TABLE hydra_client (
    id text NOT NULL DEFAULT '',
    client_name text NOT NULL DEFAULT '',
    client_secret text NOT NULL DEFAULT '',
    scope text NOT NULL DEFAULT '',
    owner text NOT NULL DEFAULT '',
    policy_uri text NOT NULL DEFAULT '',
    tos_uri text NOT NULL DEFAULT '',
    client_uri text NOT NULL DEFAULT '',
    logo_uri text NOT NULL DEFAULT '',
    client_secret_expires_at bigint,
    sector_identifier_uri text NOT NULL DEFAULT '',
    jwks text NOT NULL DEFAULT '',
    jwks_uri text NOT NULL DEFAULT '',
    token_endpoint_auth_method text NOT NULL DEFAULT '',
    request_object_signing_alg text NOT NULL DEFAULT '',
    userinfo_signed_response_alg text NOT NULL DEFAULT '',
    subject_type text NOT NULL DEFAULT '',
    pk_deprecated bigint,
    created_at timestamp NOT NULL DEFAULT now(),
    updated_at timestamp NOT NULL DEFAULT now(),
    frontchannel_logout_uri text NOT NULL DEFAULT '',
    frontchannel_logout_session_required boolean NOT NULL DEFAULT false,
    backchannel_logout_uri text NOT NULL DEFAULT '',
    backchannel_logout_session_required boolean NOT NULL DEFAULT false,
    metadata text NOT NULL DEFAULT '',
    token_endpoint_auth_signing_alg text NOT NULL DEFAULT '',
    authorization_code_grant_access_token_lifespan bigint,
    authorization_code_grant_id_token_lifespan bigint,
    authorization_code_grant_refresh_token_lifespan bigint,
    client_credentials_grant_access_token_lifespan bigint,
    implicit_grant_access_token_lifespan bigint,
    implicit_grant_id_token_lifespan bigint,
    jwt_bearer_grant_access_token_lifespan bigint,
    password_grant_access_token_lifespan bigint,
    password_grant_refresh_token_lifespan bigint,
    refresh_token_grant_id_token_lifespan bigint,
    refresh_token_grant_access_token_lifespan bigint,
    refresh_token_grant_refresh_token_lifespan bigint,
    device_authorization_grant_id_token_lifespan bigint,
    device_authorization_grant_access_token_lifespan bigint,
    device_authorization_grant_refresh_token_lifespan bigint,
    pk text,
    registration_access_token_signature text NOT NULL DEFAULT '',
    nid uuid NOT NULL,
    redirect_uris jsonb NOT NULL DEFAULT '[]',
    grant_types jsonb NOT NULL DEFAULT '[]',
    response_types jsonb NOT NULL DEFAULT '[]',
    audience jsonb NOT NULL DEFAULT '[]',
    allowed_cors_origins jsonb NOT NULL DEFAULT '[]',
    contacts jsonb NOT NULL DEFAULT '[]',
    request_uris jsonb NOT NULL DEFAULT '[]',
    post_logout_redirect_uris jsonb NOT NULL DEFAULT '[]',
    access_token_strategy text NOT NULL DEFAULT '',
    skip_consent boolean NOT NULL DEFAULT false,
    skip_logout_consent boolean,
    rotated_secrets text
);
CREATE TABLE hydra_jwk (
    sid text NOT NULL DEFAULT '',
    kid text NOT NULL DEFAULT '',
    version bigint,
    keydata text NOT NULL DEFAULT '',
    created_at timestamp NOT NULL DEFAULT now(),
    pk uuid NOT NULL,
    nid uuid NOT NULL
);
CREATE TABLE hydra_oauth2_flow (
    login_challenge text NOT NULL DEFAULT '',
    subject text NOT NULL DEFAULT '',
    request_url text NOT NULL DEFAULT '',
    client_id text NOT NULL DEFAULT '',
    requested_at timestamp NOT NULL DEFAULT now(),
    oidc_context jsonb NOT NULL DEFAULT '{}',
    login_session_id text,
    state bigint,
    acr text NOT NULL DEFAULT '',
    login_authenticated_at timestamp,
    context jsonb NOT NULL DEFAULT '{}',
    consent_challenge_id text,
    consent_skip boolean NOT NULL DEFAULT false,
    consent_remember boolean NOT NULL DEFAULT false,
    consent_remember_for bigint,
    consent_handled_at timestamp,
    consent_error text,
    session_access_token jsonb NOT NULL DEFAULT '{}',
    session_id_token jsonb NOT NULL DEFAULT '{}',
    nid uuid NOT NULL,
    requested_scope jsonb NOT NULL DEFAULT '[]',
    requested_at_audience jsonb NOT NULL DEFAULT '[]',
    amr jsonb NOT NULL DEFAULT '[]',
    granted_scope jsonb NOT NULL DEFAULT '[]',
    granted_at_audience jsonb NOT NULL DEFAULT '[]',
    device_challenge_id text
);
CREATE TABLE hydra_oauth2_obfuscated_authentication_session (
    subject text NOT NULL DEFAULT '',
    client_id text NOT NULL DEFAULT '',
    subject_obfuscated text NOT NULL DEFAULT '',
    nid uuid NOT NULL
);
CREATE TABLE hydra_oauth2_trusted_jwt_bearer_issuer (
    id uuid NOT NULL,
    issuer text NOT NULL DEFAULT '',
    subject text NOT NULL DEFAULT '',
    scope text NOT NULL DEFAULT '',
    key_set text NOT NULL DEFAULT '',
    key_id text NOT NULL DEFAULT '',
    created_at timestamp NOT NULL DEFAULT now(),
    expires_at timestamp NOT NULL DEFAULT now(),
    nid uuid NOT NULL,
    allow_any_subject boolean NOT NULL DEFAULT false
);
INSERT INTO schema_migration (version, version_self)
VALUES ('20251115000000000001', 0);
INSERT INTO networks (id)
VALUES ('24704dcb-0ab9-4bfa-a84c-405932ae53fe');
INSERT INTO hydra_client (id, client_name, nid, jwks, metadata, subject_type, token_endpoint_auth_method, pk_deprecated, userinfo_signed_response_alg, created_at, updated_at, registration_access_token_signature, client_secret, grant_types, scope, audience, owner, contacts, client_credentials_grant_access_token_lifespan)
VALUES ('machine', 'The client machine', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '{}', '{"cost-centre": 7}', 'public', 'client_secret_basic', 1, 'none', '2024-03-01 10:00:00', '2025-03-01 10:00:00', 'c2lnbmF0dXJl', '$pbkdf2-sha256$i=25000,l=32$2rd2WwWQmuS2PEZWppQu7A$hnTol/nsJbTyDvKn76TSubXFrYM4qZEWl5moFboPPzo', '["client_credentials"]', 'read write', '["https://api.example.com"]', 'team-a', '["a@example.com"]', 5400000000000);
INSERT INTO hydra_client (id, client_name, nid, jwks, metadata, subject_type, token_endpoint_auth_method, pk_deprecated, userinfo_signed_response_alg, created_at, updated_at, registration_access_token_signature, client_secret, grant_types, rotated_secrets, access_token_strategy, scope)
VALUES ('older-machine', 'The client older-machine', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '{}', '{}', 'public', 'client_secret_basic', 1, 'none', '2024-03-01 10:00:00', '2025-03-01 10:00:00', 'c2lnbmF0dXJl', '$2a$10$79pLVcRCKE0qbRAsUuqxrei9.QUDxQoZVIuMNp3coU6xHXd4DU7oy', '["client_credentials"]', '["$pbkdf2-sha256$i=25000,l=32$0gAC7zaKVehLcHtDeaOLNg$L/yQ1sYv9ykU9qraHbBDkcHuGWJgQmj/HREAuXFh/Jk"]', 'jwt', 'read');
INSERT INTO hydra_client (id, client_name, nid, jwks, metadata, subject_type, token_endpoint_auth_method, pk_deprecated, userinfo_signed_response_alg, created_at, updated_at, registration_access_token_signature, redirect_uris, grant_types, response_types, scope, client_secret, post_logout_redirect_uris, skip_logout_consent)
VALUES ('web', 'The client web', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '{}', '{}', 'public', 'client_secret_basic', 1, 'none', '2024-03-01 10:00:00', '2025-03-01 10:00:00', 'c2lnbmF0dXJl', '["http://127.0.0.1:9010/callback"]', '["authorization_code", "refresh_token"]', '["code"]', 'openid offline read', '$pbkdf2-sha256$i=25000,l=32$KrMEp3L65VQsIOloEdByAQ$veuQs7wV35nCdLFU4kGOc7hPpA2j1SQwOa78nXx/zCE', '["http://127.0.0.1:9010/bye"]', true);
INSERT INTO hydra_client (id, client_name, nid, jwks, metadata, subject_type, token_endpoint_auth_method, pk_deprecated, userinfo_signed_response_alg, created_at, updated_at, registration_access_token_signature, redirect_uris, grant_types, response_types, scope, client_secret)
VALUES ('spa', 'The client spa', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '{}', '{}', 'public', 'none', 1, 'none', '2024-03-01 10:00:00', '2025-03-01 10:00:00', 'c2lnbmF0dXJl', '["https://spa.example/cb"]', '["authorization_code", "refresh_token"]', '["code"]', 'openid offline read', '$pbkdf2-sha256$i=25000,l=32$1RAX+Td/FXASypHQjhwl5Q$vgFIXpGR6bbF6KMNLM6LTYaLmoEU1ip83BOsk6zF6i0');
INSERT INTO hydra_client (id, client_name, nid, jwks, metadata, subject_type, token_endpoint_auth_method, pk_deprecated, userinfo_signed_response_alg, created_at, updated_at, registration_access_token_signature, redirect_uris, grant_types, response_types, scope, client_secret)
VALUES ('pairwise', 'The client pairwise', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '{}', '{}', 'pairwise', 'client_secret_basic', 1, 'none', '2024-03-01 10:00:00', '2025-03-01 10:00:00', 'c2lnbmF0dXJl', '["http://127.0.0.1:9010/callback"]', '["authorization_code", "refresh_token"]', '["code"]', 'openid offline read', '$pbkdf2-sha256$i=25000,l=32$Z8CghQwOE7wyDLqWtlrLEg$CgFuimeD8pTgjCoo0Yn0N8eQEnrsAYiutwAYhqTrmvk');
INSERT INTO hydra_client (id, client_name, nid, jwks, metadata, subject_type, token_endpoint_auth_method, pk_deprecated, userinfo_signed_response_alg, created_at, updated_at, registration_access_token_signature, grant_types, token_endpoint_auth_signing_alg, scope)
VALUES ('asserts', 'The client asserts', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '{"keys": [{"use": "sig", "kty": "EC", "kid": "assertions-1", "crv": "P-256", "alg": "ES256", "x": "gDazBYrTOlKFv_frulHRs7rytSRXe_h_EJwg49zsMJk", "y": "zJrUGAdV3gdh5Fk3p9j-RjiAhOc6xR6nqeWErOqyZjI"}]}', '{}', 'public', 'private_key_jwt', 1, 'none', '2024-03-01 10:00:00', '2025-03-01 10:00:00', 'c2lnbmF0dXJl', '["client_credentials"]', 'ES256', 'read');
INSERT INTO hydra_client (id, client_name, nid, jwks, metadata, subject_type, token_endpoint_auth_method, pk_deprecated, userinfo_signed_response_alg, created_at, updated_at, registration_access_token_signature, client_secret, scope, grant_types)
VALUES ('bearer', 'The client bearer', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '{}', '{}', 'public', 'client_secret_basic', 1, 'none', '2024-03-01 10:00:00', '2025-03-01 10:00:00', 'c2lnbmF0dXJl', '$pbkdf2-sha256$i=25000,l=32$HnhmfPC9unLi3Qir5ULrjA$KJMnV29Es92Q2Z98ih5vm9/O681Def64XAr/DckUr0M', 'read', '["urn:ietf:params:oauth:grant-type:jwt-bearer"]');
INSERT INTO hydra_client (id, client_name, nid, jwks, metadata, subject_type, token_endpoint_auth_method, pk_deprecated, userinfo_signed_response_alg, created_at, updated_at, registration_access_token_signature, client_secret, grant_types)
VALUES ('odd-hash', 'The client odd-hash', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '{}', '{}', 'public', 'client_secret_basic', 1, 'none', '2024-03-01 10:00:00', '2025-03-01 10:00:00', 'c2lnbmF0dXJl', '$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA', '["client_credentials"]');
INSERT INTO hydra_client (id, client_name, nid, jwks, metadata, subject_type, token_endpoint_auth_method, pk_deprecated, userinfo_signed_response_alg, created_at, updated_at, registration_access_token_signature, redirect_uris, grant_types, response_types, scope, client_secret)
VALUES ('runs-script', 'The client runs-script', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '{}', '{}', 'public', 'client_secret_basic', 1, 'none', '2024-03-01 10:00:00', '2025-03-01 10:00:00', 'c2lnbmF0dXJl', '["javascript:alert(1)"]', '["authorization_code", "refresh_token"]', '["code"]', 'openid offline read', '$pbkdf2-sha256$i=25000,l=32$/PLkaiT1zma/O2eekcNQJg$g7vN7Gw5d7X7wAO6oCC9AA4SXT5nFPBPqvLjShV1L2Y');
INSERT INTO hydra_jwk (sid, kid, version, keydata, created_at, pk, nid)
VALUES ('hydra.openid.id-token', 'id-old', 0, 'ugEfbAGlkJHn9Zsoe0J717GvlsYqAHuflKz7FOQvlXFkk27Bv1Klfvx5Gznpws6s7AASkipkd6UB2DxND0Su8Ft7B7efEnsoXwUwAQFxXqi6TEDT8GYfB0ogz3YmN4rpYkYg73KhY-y4pKYg_62vYWoj00CKfyfwUKiyZQFo0UEYqqbRt-nfmTfUYYF9qc7Qik9j7u34Ilm3_AV6oE04LbmAIO3T4Mz24Cbjkfu2JfavYOElu27pdBFBqv1k7gWz0dnE2ZO-7mxgpHQ0u4yqlHANEZTCeZYUc6RYx3NUMKG6oHb8rSSYmCBXPdENId5t_jQ2m0zKuLGE_xgCsFSAqrwgOH3xgsSyeMpKuojugSkFib738aVQdr5opRCT3dtA4Cf27W3AhZDo2WhaH7jj6jHSgdd-1V56mYEXVdwYBZe-GjjB9b6X-n9n9HgqnA1PWyLzr87i66HdsTXqcbWp3XsjpIWtd8Pk60plZqTnFw-VDGg8gNzWDkmjCCJqATLMCAiZ2Ko0LpUhOqzSHrq_LAjMo7s_HmvsPIHyU324k57_3jzHKGZS9j-QPd3h4YAyNaJg6KyOBd7T30_S-oj3LvffjQHFP_YfjcLWjIYESMt7UALpf4H-3_ISw1VCMsa0n3wI_b1yPFB0zNJNJphix_GHYI7d8wTxahAuMDVG-K4SeUr2qfLL25tUxHd9xhi5RFg2vLaOb9Il2Yycuyyhq-AY1rbdwqUvQLe7OwdMrEovO1nKl65HZOTlNH-3nODBgaMfjxjIyvEL535hjKF3Jo3nm_p7AcUQNkhmvl0IexVExAikx7ogSHfpDg0gmArRFsUdJWOvhnY0lfiAT5M_r6KcfOifvmnLyKaVxJr8s5jnZd6IMhQ8P-kcIpb1fJeo4L0E_Ou8n4TktADCe7BdrHkbj0jFztevhWqYoRxX15DtrMigtSMVQ6WINeTBvPM37Wp5Zjaw0RngaWEalIMp3q50Zp0dvVw42KkCSW2DoeoPWlzTwX8MxF1hqYrcZLFza9S6AruispKk_buRffwtsYwjIWLrIowK5GfhdWXDMTT2lzIkBhEJ_Zka41ogUZ0dV3rsimnYMExhGU-2xEFxZz7SnesrhJpWqM5_AE2K_F5r2I85l8ii_T9W9T46-EBTuRvsVmbbsyobbcocOQiciH62QPXKrYHq9r7ewwQ-1o9qYX8mShrkk-co6yx2DgZ_KCG0DaKfNRKzH1LOveMPSh3bXU3fyqEn3v3Hka5MQNDcUFwOozxyiWBdyDEXdrqnTuP5gEEZF31xZXVb9fy-8q11N6iCDxx8yccyznxPs8HuZZ306pM1MCvoHvhhjVIKLG84uavdJBkxO5wTx5gf8FjvHnJFYUhg6gJuOsr1qIuaqEyO3JrFc386w3FGXRcM-RHYcPw89KCC1o60iVEVz4gRIpKKncjWxxJFhFWM-lXGwKF_Tac19ij9b5Gzkk-FMB2S-L4jlgvlE4yNFfUKASRyGwGBsEt1D5IX3qRd5lFiG-QGzwgIB1iauQBXbuntFtCmwwC7ShViMUVTe0O8dSUVm_xQvVJKCRzrAjgMhpeSHtVhNmXHJ4SSWXI1l7ng_Ev3XwixhZOWD6B-gzormgbwglv-mUhsNrAEqQvoSDQ0IoAVpeL5BpHaNerjKCDkgShCOQjiI6N80AAqArZ1x94K2jLp9rEvJBGYfu_9AhR8nmb1MrD0P-gKNdpel1m0dfEs-zyue9bVAPLpSprRFkwf3-IQDQrRKJI_bR6VhWyF5jO5VUwq0tYFLllVy31Y5dRbtAgHAE4nsNlm1-1mhokq5-4p611hpqhr_XnUiVfpE9MPD_gU8bTGLJXP4XVPp1WHA6hPClLxs3lNp1Szx0QyfMWOgku-ZVrweZDvdHizMdBCQdxQdJEShpLW7301FhcsHrdFjAn04FEvcPHIXldXnunNtRZi5MJwWQ17c08qy9z69hksyS1pAAzh8IksrMny3W0hPWAGqdgSeK4tDCziccXI-RNweQlons_NvWlnsSsC1cUXLg2cUgiKpP1nJ9V1gmDNvkX-JRujDkfQtx2RFJiFdXFxE_zZke6jug-3BMswXALZ_htjMABFcPAAOYkINx-93Ojj0zVfNGhQfaojcMP0ZGnDn1SBbe-95d-94vwkGxZlZQTbARKo1TXkYkOgoDpyzkfA7FXafye_i1TTrCN4yfSN0muom7_FZ94HTwAxGE5VkUC3wgTDVjQCOvdeunyILNTYBTNNpHYLbnPoRY8GuW8-zsXz', '2024-01-01 00:00:00', '00000000-0000-4000-8000-000000000000', '24704dcb-0ab9-4bfa-a84c-405932ae53fe');
INSERT INTO hydra_jwk (sid, kid, version, keydata, created_at, pk, nid)
VALUES ('hydra.openid.id-token', 'id-new', 0, 'odmmfhfNg_8w2MZeTRNCWSWw9H8xZ0iWXwABdZh_ViDgGfn9-RBaUeSQ8PSMXdeCX9r2X-lp00koj9zACOB4rDszhwKm4LNENetm-8kv0AIyfgDZ00XCqVCEnoKlp4tx2llCetwV5phNqIT8DPiArdhvUaY5r8t8CU0j_rfvZ00rEm5AAr_nUJq5pg_4AiRUiqM0R3RTG673SCu1cFl4dYrSSBszVUmNMICdJkPQ__et4Cs0FdhwZFCup11-tmXnhLby8jN0aGqGr1cz52vL-kKVs-4Vmd6QmI82i8bG_5QLXx84nM2H13BgsDcXhC6cvdrawXtGIACqpn9H2W05caE6P0Fb-eZAB3cVznp7fYScOeUBCdtG5cXWAt6eeUVz_W3sUGO0UaWG39aV6bOiA3feueZuJSCRdzAWERCaE4wWR7ccW2AzwrkadzCAXwDube23OG7c3PzKk5PplCPa20Qewl_vmgAVbFseNCvPRvq3KlWJ803bmjDSTaJ-OVnKnyra6p8rZcqfT2g7F5f-EQqGnHQ3aDukcIQsgEX0ByQhM9oUdzHzT12wIgAI6-On_55zDnwSm-GTSnUxQr4wDG3X4wFmhfByLbGuvOQy_pStg6jz7nL1YtI-Z-oFKWDmZt5Zcec4PXAUfBZmdHL1SS9J4eUBSl1hoF0MDe2cRA3Xi5lu4g-j4FZIsYBwZXY1g0kq_fFtyqo6j175p_FS_ypO1wyJzKEhVjdmlPuutfh229EYBpQWgXkrsbBL2kiybVWBLKv-8ya5IKO__lkrO9ID2QFSEVcDq4gEnMWFc8cty4tehKlObbRqYdA8YHxfcPWJ8IAIPZydo0cqfOEA8deOWCeVJ8gAHt_AiLP8FtD5mIO7h6wjXdSnkAMDQvAv1Z10kTQcOb3DvB6lRSDg0Inta2J2NqB63GBcgxkIi1Y-dAg5uRk8URIeXlwHWL_DC9qjXgi4HkB8CD5nk894HZvs2Qvu_Fpl9JfV_-p_qWVSqYoM_m7XRreYrtCgMzvGLZQibcdEk23qDm9MaN6fFEVGMlFcZBe5Vg0ihbCnCtWM_me0ithbNJfx5aXn0We-YR_j-85ylp5nRkoqQLI0Ca6MAUnOBEq03EkfjNIwiyj3ufO_USDQnu8tBTL1k11q-4n-AW2QYni-YRuHpFXdNs00b1J3o0VnwO_HiP3GC5Rp_smCP0YtO8pnbYgqPRrtln5sPuj9I5oDa_tvxQWb6aqjhPaS2n3uJFlSEIBx5_sbFmM24wAbwZpRE1CDUtClhUMGoZHzajsS0sLC3XWRCj2xyNYn__Kcbzfz5JKIbW_cK439QgFLq14GUkrbOVaAZjpiKdRsPLHO911r13VFnqQkZh2iQrfJ1em19LM0LjTjo4BB9TXrifwjBwc4pWpFljvcQSXNlJgnx5oCN8a_l5nELDAKenH7lDX9IZc74mdOKLWAv2JV9HsVxK-v7yeXnobSsOPh9Hd3RQ2oLzFWK6UBnlXxXYBbDpyl1KYbSjqh40oZj1gu8rl5efNNM0NtTEogR71jokMYr-omb4To_NE5WtC5mtefcEmgpBzcbwj-1O1YTyIO_2wojfMMwoxYEy-ONGobpGW2jYN6eFRbrSnnZPqgMs9zg7mg036Kvr1-4H6nBbtTEGSGS2JB6eHGTFLen0ePUi1HDRwPJpHMeGvtUmKqLL7h9UDyHHRbJ0MMNsdsL6I6oWFO8R7mPvYDsK4DZUdFh9CWtCcWOglJ427fGnKEG6IroZ5IgMjEZm6bCfo3I03n3_n7X66Wp3GZA_i6dA0f-qLL3QaoeMsakR1XDdPbBPEUoB-YW1EEUziVqDaSwWAmk9Q1VtnvfDwqgk6J-w_BdtJOs3kmbrzY-EohZDaSolT3xPxEaUQlI3B6Z7mSpuVieEIr-cO1W2nJPwZymrnexsfjQw_MVAIA6-9XKpEGlSrCGyy0YnGgB96Lf1Ku0p-0BLxyKPTz1jL2nAw_2jMqkiVVPdfI3bg0fp62mdTvJqSse7Sk-wgcSS5BuOph3BPHmvlkZ6EmLHXwmsyYe28S5A_zSk8RueWsxX9LTzEXHJ72I8WfPNulYDRCt_uV9dsGBQ4yJS7OfxPLKLdtZv-F1Zl-EteaPU8uANLv_mPX24vOFGCfSG6hji1HOny5F8AoPZ63yVDS2WOByT18WlpnAcTrgJ1gTzu-PCridYhEVc32PqnKCaFEkEfvpaSGFlFT0S7jBIhfXYgV93o2PFz5I4KEC7LRLf8iF0XhL5N3W8P2ppTb', '2025-01-01 00:00:00', '00000000-0000-4000-8000-000000000001', '24704dcb-0ab9-4bfa-a84c-405932ae53fe');
INSERT INTO hydra_jwk (sid, kid, version, keydata, created_at, pk, nid)
VALUES ('hydra.jwt.access-token', 'access-1', 0, 'G2EeyAiAoM_Nqj9yjNcEVKvXdkopKRDQYcUl8ail0J64PgFY21mO1oTuuu6p0mMqphsFVzUGXP9eur7FUAuuRtAuFLLUdtPPBoBKGiO0xFqWJ4KmXBmi7jQcRkYM4NW6S90WKR4HDKU2iswvu0Dvd6Bav_rxFQsJgIpX_JePBuoY1JjtbemcTC_9lTucH21Kp_qcv_o1kwHQjv8WI6Mwnut3rrLeeBfBFhx9Bi33AOoW1pdlYfmIsnkjFxkljn1KRedX7jPN1AfSh8PZGqpC4TUfqrY4iJwGpnJBPNjYd0YmThmWIvW98Nc9iTDtT6amNFRruwK5rn_lfGeIsvH0-7ejLIpbyg==', '2024-01-01 00:00:00', '00000000-0000-4000-8000-000000000002', '24704dcb-0ab9-4bfa-a84c-405932ae53fe');
INSERT INTO hydra_jwk (sid, kid, version, keydata, created_at, pk, nid)
VALUES ('https://partner.example', 'partner-1', 0, 'WGix43fuycUTzJXRzqClqo0CrHN4gylX9xmucArUmmXUmxxEs0bq583vA_edXnSmRTfs42QfLIGRHCgjYl0ZO3aL-TJxDd8SDCAjknLH8sZyFzL_gvaCKxr8E_Sv6y8jwReTOXQPjGKUa2Ej69aX9oF4uWWdUNOSICaBT68tXbUo2JRhZLCeF-Euxcy92TkP-LDkgoVgLvD01ktFrUYGldh1Aka1y20hqtAs7xu44rKwdB2wtLqrnzNVnq2fzpuZTTMxwUKv0v65WXVdA0OzY1DzHg==', '2024-01-01 00:00:00', '00000000-0000-4000-8000-000000000003', '24704dcb-0ab9-4bfa-a84c-405932ae53fe');
INSERT INTO hydra_oauth2_flow (login_challenge, consent_challenge_id, login_session_id, subject, client_id, request_url, requested_at, consent_handled_at, state, login_authenticated_at, consent_error, consent_remember, consent_remember_for, requested_scope, amr, acr, nid, granted_scope, session_id_token)
VALUES ('00000000000000000000000000000001', 'c0000000000000000000000000000001', '00000001-0000-4000-8000-000000000000', 'ada', 'web', 'https://hydra.example/oauth2/auth?client_id=web&response_type=code&scope=openid', '2025-01-01 08:00:00', '2025-06-01 08:00:10', 6, '2025-06-01 08:00:05', '{}', true, 0, '["openid", "offline"]', '["pwd"]', '1', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '["openid"]', '{"email": "ada@example.com"}');
INSERT INTO hydra_oauth2_flow (login_challenge, consent_challenge_id, login_session_id, subject, client_id, request_url, requested_at, consent_handled_at, state, login_authenticated_at, consent_error, consent_remember, consent_remember_for, requested_scope, amr, acr, nid, granted_scope, session_id_token, context, oidc_context)
VALUES ('00000000000000000000000000000002', 'c0000000000000000000000000000002', '00000002-0000-4000-8000-000000000000', 'ada', 'web', 'https://hydra.example/oauth2/auth?client_id=web&response_type=code&scope=openid', '2025-06-01 08:00:00', '2025-06-01 08:00:10', 6, '2025-06-01 08:00:05', '{}', true, 0, '["openid", "offline"]', '["pwd"]', '1', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '["openid", "offline"]', '{"email": "ada@example.com"}', '{"from": "login"}', '{"display": "page"}');
INSERT INTO hydra_oauth2_flow (login_challenge, consent_challenge_id, login_session_id, subject, client_id, request_url, requested_at, consent_handled_at, state, login_authenticated_at, consent_error, consent_remember, consent_remember_for, requested_scope, amr, acr, nid, granted_scope, session_id_token)
VALUES ('00000000000000000000000000000003', 'c0000000000000000000000000000003', '00000003-0000-4000-8000-000000000000', 'bob', 'web', 'https://hydra.example/oauth2/auth?client_id=web&response_type=code&scope=openid', '2025-06-01 08:00:00', '2025-06-01 08:00:10', 6, '2025-06-01 08:00:05', '{}', true, 3600, '["openid", "offline"]', '["pwd"]', '1', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '["openid", "offline"]', '{"email": "bob@example.com"}');
INSERT INTO hydra_oauth2_flow (login_challenge, consent_challenge_id, login_session_id, subject, client_id, request_url, requested_at, consent_handled_at, state, login_authenticated_at, consent_error, consent_remember, consent_remember_for, requested_scope, amr, acr, nid, granted_scope, session_id_token)
VALUES ('00000000000000000000000000000004', 'c0000000000000000000000000000004', '00000004-0000-4000-8000-000000000000', 'cyd', 'web', 'https://hydra.example/oauth2/auth?client_id=web&response_type=code&scope=openid', '2025-06-01 08:00:00', '2025-06-01 08:00:10', 6, '2025-06-01 08:00:05', '{}', false, 0, '["openid", "offline"]', '["pwd"]', '1', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '["openid", "offline"]', '{"email": "cyd@example.com"}');
INSERT INTO hydra_oauth2_flow (login_challenge, consent_challenge_id, login_session_id, subject, client_id, request_url, requested_at, consent_handled_at, state, login_authenticated_at, consent_error, consent_remember, consent_remember_for, requested_scope, amr, acr, nid, granted_scope, session_id_token, consent_skip)
VALUES ('00000000000000000000000000000005', 'c0000000000000000000000000000005', '00000005-0000-4000-8000-000000000000', 'dora', 'web', 'https://hydra.example/oauth2/auth?client_id=web&response_type=code&scope=openid', '2025-06-01 08:00:00', '2025-06-01 08:00:10', 6, '2025-06-01 08:00:05', '{}', true, 0, '["openid", "offline"]', '["pwd"]', '1', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '["openid", "offline"]', '{"email": "dora@example.com"}', true);
INSERT INTO hydra_oauth2_flow (login_challenge, consent_challenge_id, login_session_id, subject, client_id, request_url, requested_at, consent_handled_at, state, login_authenticated_at, consent_error, consent_remember, consent_remember_for, requested_scope, amr, acr, nid, granted_scope, session_id_token)
VALUES ('00000000000000000000000000000006', 'c0000000000000000000000000000006', '00000006-0000-4000-8000-000000000000', 'eve', 'web', 'https://hydra.example/oauth2/auth?client_id=web&response_type=code&scope=openid', '2025-06-01 08:00:00', '2025-06-01 08:00:10', 129, '2025-06-01 08:00:05', '{"error":"access_denied"}', true, 0, '["openid", "offline"]', '["pwd"]', '1', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '["openid", "offline"]', '{"email": "eve@example.com"}');
INSERT INTO hydra_oauth2_flow (login_challenge, consent_challenge_id, login_session_id, subject, client_id, request_url, requested_at, consent_handled_at, state, login_authenticated_at, consent_error, consent_remember, consent_remember_for, requested_scope, amr, acr, nid, granted_scope, session_id_token)
VALUES ('00000000000000000000000000000007', 'challenge-0007', '00000007-0000-4000-8000-000000000000', 'fay', 'web', 'https://hydra.example/oauth2/auth?client_id=web&response_type=code&scope=openid', '2025-06-01 08:00:00', '2025-06-01 08:00:10', 6, '2025-06-01 08:00:05', '{}', true, 1897344000, '["openid", "offline"]', '["pwd"]', '1', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '["openid", "offline"]', '{"email": "fay@example.com"}');
INSERT INTO hydra_oauth2_flow (login_challenge, consent_challenge_id, login_session_id, subject, client_id, request_url, requested_at, consent_handled_at, state, login_authenticated_at, consent_error, consent_remember, consent_remember_for, requested_scope, amr, acr, nid, granted_scope, session_id_token)
VALUES ('00000000000000000000000000000008', 'c0000000000000000000000000000008', '00000008-0000-4000-8000-000000000000', 'ada', 'runs-script', 'https://hydra.example/oauth2/auth?client_id=runs-script&response_type=code&scope=openid', '2025-06-01 08:00:00', '2025-06-01 08:00:10', 6, '2025-06-01 08:00:05', '{}', true, 0, '["openid", "offline"]', '["pwd"]', '1', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '["openid", "offline"]', '{"email": "ada@example.com"}');
INSERT INTO hydra_oauth2_flow (login_challenge, consent_challenge_id, login_session_id, subject, client_id, request_url, requested_at, consent_handled_at, state, login_authenticated_at, consent_error, consent_remember, consent_remember_for, requested_scope, amr, acr, nid, granted_scope, session_id_token)
VALUES ('00000000000000000000000000000009', 'c0000000000000000000000000000009', '00000009-0000-4000-8000-000000000000', 'gil', 'pairwise', 'https://hydra.example/oauth2/auth?client_id=pairwise&response_type=code&scope=openid', '2025-06-01 08:00:00', '2025-06-01 08:00:10', NULL, '2025-06-01 08:00:05', NULL, true, 0, '["openid", "offline"]', '["pwd"]', '1', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', '["openid", "offline"]', '{"email": "gil@example.com"}');
INSERT INTO hydra_oauth2_obfuscated_authentication_session (subject, client_id, subject_obfuscated, nid)
VALUES ('gil', 'pairwise', 'gil-as-they-know-him', '24704dcb-0ab9-4bfa-a84c-405932ae53fe');
INSERT INTO hydra_oauth2_trusted_jwt_bearer_issuer (id, issuer, subject, scope, key_set, key_id, expires_at, nid, allow_any_subject)
VALUES ('11111111-0000-4000-8000-000000000000', 'https://partner.example', '', 'read', 'https://partner.example', 'partner-1', '2099-01-01 00:00:00', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', true);
INSERT INTO hydra_oauth2_trusted_jwt_bearer_issuer (id, issuer, subject, scope, key_set, key_id, expires_at, nid, allow_any_subject)
VALUES ('11111111-0000-4000-8000-000000000001', 'https://gone.example', '', 'read', 'https://gone.example', 'partner-1', '2020-01-01 00:00:00', '24704dcb-0ab9-4bfa-a84c-405932ae53fe', true);
