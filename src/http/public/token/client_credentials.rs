//! A client asks for a token of its own (RFC 6749 §4.4).

use super::mint::{self, AccessOf, Answer};
use super::{Call, Settled};
use crate::domain::grant::client_credentials::{Request, decide};
use crate::domain::scope::{parse_audience, parse_scope};
use crate::domain::token::session::AccessSession;
use crate::http::client_auth::Authenticated;
use crate::http::hook;
use crate::store::{Issue, Write};

pub(super) async fn issue(call: &Call<'_>, who: &Authenticated) -> Settled {
    let (app, client) = (call.app, &who.client);
    let asked =
        Request { scope: parse_scope(call.param("scope")), audience: parse_audience(call.form.all("audience")) };
    let grant = decide(&client.client, &asked, app.rules.client_credentials)?;
    let access_claims = hook::for_client(app, &client.client, call.form, &asked, &grant).await?;
    let of = AccessOf {
        client,
        family_id: client.family_id,
        subject: &client.client.client_id,
        scope: &grant.scope,
        audience: &grant.audience,
        lifespan: grant.lifespan,
        session: &AccessSession { access_claims, ..AccessSession::default() },
    };
    let access = mint::access(app, &of).await?;
    let answer = Answer {
        access_token: access.token,
        expires_in: grant.lifespan.as_secs(),
        id_token: None,
        refresh_token: None,
        scope: grant.scope.join(" "),
        token_type: "bearer",
    };
    let order = Issue { client_version: client.version, token: access.row, jti: who.jti.clone() };
    call.finish(who, Write::Issue(order), &answer, &[access.kind]).await
}
