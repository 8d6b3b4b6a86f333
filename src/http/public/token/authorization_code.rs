//! A code is exchanged for tokens (RFC 6749 §4.1.3): one read, one commit.

use super::mint::{self, Made};
use super::{Call, Settled};
use crate::domain::grant::authorization_code::{Code, Decision, GRANT_TYPE, Request, decide, replayed, unknown};
use crate::domain::grant::check_grant;
use crate::domain::token::opaque::TokenKind;
use crate::http::client_auth::Authenticated;
use crate::http::session::{self, Table};
use crate::http::{hook, presented};
use crate::store::{FoundCode, Redeem, Source, Write};
use crate::telemetry::labels::Reuse;

pub(super) async fn exchange(call: &Call<'_>, who: &Authenticated) -> Settled {
    let (app, client) = (call.app, &who.client);
    check_grant(&client.client, GRANT_TYPE)?;
    let signature = presented::opaque(app, TokenKind::Code, call.param("code")).ok_or_else(unknown)?.signature;
    let found = app.store.authorization_code(&signature).await?.ok_or_else(unknown)?;
    let opened = session::open_tokens(app, Table::Code, &signature, &found.code.session)?;
    let mut session = opened.ok_or_else(unknown)?;
    let family_id = found.code.family_id;
    let issue = match decide(&client.client, &code(&found), &session, &sent(call), app.rules.lifespans)? {
        Decision::Issue(issue) => issue,
        Decision::Replayed => {
            call.end_family(who, family_id, Reuse::Code).await?;
            return Err(replayed().into());
        }
    };
    hook::for_user(app, &call.about(who, &issue, family_id), &mut session).await?;
    let Made { answer, access, refresh, kinds } = mint::for_user(app, client, family_id, &session, &issue).await?;
    let order = Redeem {
        client_version: client.version,
        source: Source::Code(signature),
        access,
        refresh,
        jti: who.jti.clone(),
    };
    // Spent or ended by another request meanwhile: it is read and decided on again.
    call.finish(who, Write::Redeem(Box::new(order)), &answer, &kinds).await
}

fn code(found: &FoundCode) -> Code<'_> {
    Code {
        client_id: &found.code.client_id,
        redirect_uri: found.code.redirect_uri.as_deref(),
        code_challenge: found.code.code_challenge.as_deref(),
        spent: found.spent,
        expired: found.expired,
        revoked: found.revoked,
    }
}

fn sent<'a>(call: &Call<'a>) -> Request<'a> {
    Request { redirect_uri: call.form.get("redirect_uri"), code_verifier: call.form.get("code_verifier") }
}
