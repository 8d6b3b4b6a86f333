//! `/demo/device`: which device is it? (RFC 8628 §3.3)

use super::api::Trouble;
use super::browser::Browser;
use super::login::decided;
use super::views::{go_on, hidden, parameter, see_other};
use super::{Demo, page as demo_page};
use crate::http::form::Form;
use crate::http::pages::escape;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

/// `GET /demo/device?device_challenge=…&user_code=…`
pub async fn page(demo: web::Data<Demo>, request: HttpRequest) -> Result<HttpResponse, Trouble> {
    let challenge = parameter(&request, "device_challenge");
    if challenge.is_empty() {
        // Somebody came here directly; the server knows how to begin.
        return Ok(go_on(&demo.address("/oauth2/device/verify")));
    }
    let browser = Browser::of(&demo, &request)?;
    Ok(browser.keep(form(&demo, &browser, &challenge, &parameter(&request, "user_code"), false)))
}

/// `POST /demo/device`
pub async fn submit(
    demo: web::Data<Demo>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Trouble> {
    let sent = Form::read(&request, payload).await?;
    let challenge = sent.get("device_challenge").unwrap_or_default();
    let code = sent.get("user_code").unwrap_or_default().trim();
    let browser = Browser::of(&demo, &request)?;
    if !browser.owns(&demo, &format!("device {challenge}"), sent.get("tag")) {
        return Err(Trouble::Stale("This form was not made for this browser. Go back, reload the page and try again."));
    }
    match demo.decide("device", "accept", challenge, &json!({"user_code": code})).await {
        Err(Trouble::Refused { status: 400, .. }) => Ok(form(&demo, &browser, challenge, code, true)),
        outcome => decided(outcome?, see_other),
    }
}

/// `GET /demo/device/done`
pub async fn done() -> HttpResponse {
    let body = "<p class=\"done\" role=\"status\">You can close this window and go back to your device.</p>\n";
    demo_page("Your device is connected", body.to_owned()).response()
}

fn form(demo: &Demo, browser: &Browser, challenge: &str, code: &str, wrong: bool) -> HttpResponse {
    let (alert, invalid) = if wrong {
        let alert = "<p class=\"alert\" role=\"alert\" id=\"wrong\">No device waits with this code. It may be mistyped, \
                     used or too old.</p>\n";
        (alert, " aria-invalid=\"true\" aria-describedby=\"wrong\"")
    } else {
        ("", "")
    };
    let tag = browser.tag(demo, &format!("device {challenge}"));
    let body = format!(
        "<p class=\"lead\">Enter the code that your device shows. Go on only if you have the device in front of you and \
         started this yourself.</p>\n{alert}<form method=\"post\" action=\"/demo/device\">\n{}\
         <label for=\"user_code\">Code</label>\n<input type=\"text\" class=\"usercode\" id=\"user_code\" \
         name=\"user_code\" value=\"{}\" autocomplete=\"off\" autocapitalize=\"none\" autocorrect=\"off\" \
         spellcheck=\"false\" required{invalid}>\n<button type=\"submit\">Continue</button>\n</form>\n",
        hidden(&[("device_challenge", challenge), ("tag", &tag)]),
        escape(code)
    );
    // On to sign-in and consent, all on this server.
    let page = demo_page("Connect a device", body).form_action("'self' http: https:");
    if wrong { page.status(400).response() } else { page.response() }
}
