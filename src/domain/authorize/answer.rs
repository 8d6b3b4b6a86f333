//! The answer of the authorization endpoint: which parameters go where (RFC 6749 §4.1.2, Multiple Response Types §2.1,
//! Form Post Response Mode §2).

use crate::domain::error::OAuthError;
use crate::domain::form;
use serde::{Deserialize, Serialize};

/// `response_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// In the query.
    #[serde(rename = "q")]
    Query,
    /// Behind the `#`, which browsers keep to themselves.
    #[serde(rename = "f")]
    Fragment,
    /// In a form that the browser posts.
    #[serde(rename = "p")]
    FormPost,
}

impl Mode {
    /// The mode of that name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "query" => Some(Self::Query),
            "fragment" => Some(Self::Fragment),
            "form_post" => Some(Self::FormPost),
            _ => None,
        }
    }
}

/// Where the answer to a request goes; certain to be the client's own address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub redirect_uri: String,
    /// How.
    pub mode: Mode,
    /// `state`, sent back as it came.
    pub state: String,
}

/// An answer as it is rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 303 to this address.
    Redirect(String),
    /// A page that posts these parameters to this address.
    Form {
        /// The address.
        action: String,
        /// Names and values.
        fields: Vec<(&'static str, String)>,
    },
}

impl Target {
    /// The answer with these parameters, and `state` and `iss` (RFC 9207) with them.
    pub fn answer(&self, issuer: &str, mut fields: Vec<(&'static str, String)>) -> Answer {
        fields.push(("state", self.state.clone()));
        fields.push(("iss", issuer.to_owned()));
        let encoded = || form::encode(fields.iter().map(|(name, value)| (name, value)));
        match self.mode {
            Mode::FormPost => Answer::Form { action: self.redirect_uri.clone(), fields },
            Mode::Fragment => Answer::Redirect(format!("{}#{}", self.redirect_uri, encoded())),
            Mode::Query => {
                let joint = match self.redirect_uri.split_once('?') {
                    None => "?",
                    Some((_, "")) => "",
                    Some(_) => "&",
                };
                Answer::Redirect(format!("{}{joint}{}", self.redirect_uri, encoded()))
            }
        }
    }

    /// The answer to a request that is refused (RFC 6749 §4.1.2.1).
    pub fn refusal(&self, issuer: &str, error: &OAuthError, expose_debug: bool) -> Answer {
        self.refusal_in_words(issuer, error.code.as_str().to_owned(), error.description(expose_debug))
    }

    /// The same in the words of the login or consent app.
    pub fn refusal_in_words(&self, issuer: &str, error: String, description: String) -> Answer {
        self.answer(issuer, vec![("error", error), ("error_description", description)])
    }
}
