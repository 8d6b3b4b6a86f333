//! A device polls for its tokens (RFC 8628 §3.4).

use super::mint::{self, Made};
use super::{Call, Settled};
use crate::domain::grant::check_grant;
use crate::domain::grant::device_code::{GRANT_TYPE, Poll, State, check, issue, unknown};
use crate::domain::token::opaque::TokenKind;
use crate::http::client_auth::Authenticated;
use crate::http::flow::issue::device_row;
use crate::http::session::{self, Table};
use crate::http::{hook, presented};
use crate::store::{DeviceState, Redeem, Source, Write};

pub(super) async fn poll(call: &Call<'_>, who: &Authenticated) -> Settled {
    let (app, client) = (call.app, &who.client);
    check_grant(&client.client, GRANT_TYPE)?;
    let found = presented::opaque(app, TokenKind::Device, call.param("device_code"));
    let signature = found.ok_or_else(unknown)?.signature;
    let polled = app.store.poll_device(&signature, &client.client.client_id).await?.ok_or_else(unknown)?;
    let (expired, too_fast) = (polled.expired, polled.too_fast);
    check(&client.client, &Poll { client_id: &polled.client_id, state: state(&polled.state), expired, too_fast })?;
    let DeviceState::Granted { family_id, session } = polled.state else { return Err(unknown().into()) };
    let opened = session::open_tokens(app, Table::Device, &device_row(family_id), &session)?;
    let mut session = opened.ok_or_else(unknown)?;
    let issue = issue(&client.client, &session, app.rules.lifespans);
    hook::for_user(app, &call.about(who, &issue, family_id), &mut session).await?;
    let Made { answer, access, refresh, kinds } = mint::for_user(app, client, family_id, &session, &issue).await?;
    let order = Redeem {
        client_version: client.version,
        source: Source::Device(signature),
        access,
        refresh,
        jti: who.jti.clone(),
    };
    call.finish(who, Write::Redeem(Box::new(order)), &answer, &kinds).await
}

const fn state(of: &DeviceState) -> State {
    match of {
        DeviceState::Pending => State::Pending,
        DeviceState::Denied => State::Denied,
        DeviceState::Granted { .. } => State::Granted,
        DeviceState::Redeemed => State::Redeemed,
    }
}
