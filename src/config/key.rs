//! What a setting is: its name, what it accepts, its default, and what it does in this release.
//! The tables beside this file are made of it; the rest of the room looks names up here and nowhere else.

use std::fmt;

/// What a setting accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number between the two, both included.
    Int(i64, i64),
    /// A number from 0 to 1.
    Ratio,
    /// Any text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Go duration text, such as `30m`.
    Duration,
    /// Go duration text, or `-1` for "never ends".
    DurationOrNever,
    /// A list of texts.
    List,
    /// An absolute URL.
    Url,
    /// An absolute URL, or a path below the issuer.
    UrlRef,
    /// A JSON object with any content.
    Object,
    /// A web hook: a URL, or an object whose parts are keys of their own.
    Hook,
    /// Text that is never shown.
    Secret,
    /// A list of texts that are never shown.
    SecretList,
}

impl Kind {
    /// Whether a value of this kind must never be shown.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretList)
    }

    /// Whether a secret may be inside a value of this kind, so that it can also come from a file of its own.
    #[must_use]
    pub fn may_hold_secret(self) -> bool {
        self.is_secret() || matches!(self, Self::Object | Self::Hook)
    }

    /// Whether a value of this kind is a list.
    #[must_use]
    pub fn is_list(self) -> bool {
        matches!(self, Self::List | Self::SecretList)
    }
}

/// What setting a key does in this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It acts.
    Acts,
    /// It is checked and kept, and will act in a later release.
    NotYet,
    /// It is accepted so that an existing file loads, and does nothing here.
    NoEffect,
}

impl fmt::Display for Effect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Acts => "acts",
            Self::NotYet => "not yet",
            Self::NoEffect => "no effect here",
        })
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted name, as in a configuration file.
    pub name: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// Its default as text, read as an environment variable would be; empty for none.
    pub default: &'static str,
    /// What it does in this release.
    pub effect: Effect,
    /// What it means, in one line.
    pub doc: &'static str,
}

impl Key {
    /// The name of the environment variable that sets this key.
    #[must_use]
    pub fn env(&self) -> String {
        env_name(self.name)
    }
}

/// The environment variable of a dotted name: upper case, dots become underscores.
#[must_use]
pub fn env_name(name: &str) -> String {
    name.to_ascii_uppercase().replace('.', "_")
}

pub(super) const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    effect: Effect,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, effect, doc }
}

/// Older names that are still read, each with the name it stands for.
pub const ALIASES: [(&str, &str); 2] = [
    ("serve.public.access_log.disable_for_health", "serve.public.request_log.disable_for_health"),
    ("serve.admin.access_log.disable_for_health", "serve.admin.request_log.disable_for_health"),
];

/// Every key, area by area.
pub fn all() -> impl Iterator<Item = &'static Key> {
    super::keys_serve::KEYS.iter().chain(super::keys_oauth::KEYS).chain(super::keys_server::KEYS)
}

/// The key of this name; an older spelling finds the key it stands for. Letter case is not regarded.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    let name = ALIASES.iter().find(|(old, _)| old.eq_ignore_ascii_case(name)).map_or(name, |(_, new)| new);
    all().find(|key| key.name.eq_ignore_ascii_case(name))
}

/// Whether keys exist below this dotted name.
#[must_use]
pub fn is_branch(name: &str) -> bool {
    let below = |full: &str| {
        full.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && full.as_bytes().get(name.len()) == Some(&b'.')
    };
    all().any(|key| below(key.name)) || ALIASES.iter().any(|(old, _)| below(old))
}

/// The known name nearest to a mistyped one, when one is near enough to be meant.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let leaf = |text: &str| text.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    let near = all().map(|key| (distance(name, key.name), key.name)).min()?;
    if near.0 <= 3.max(name.len() / 5) {
        return Some(near.1);
    }
    all().find(|key| leaf(key.name) == leaf(name)).map(|key| key.name)
}

/// Edit distance (insert, delete, replace), letter case aside.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_ascii_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.to_ascii_lowercase().chars().enumerate() {
        let mut corner = i;
        let mut before = i + 1;
        let mut next = vec![before];
        for (b, above) in right.iter().zip(row.iter().skip(1)) {
            let here = (corner + usize::from(a != *b)).min(above + 1).min(before + 1);
            corner = *above;
            before = here;
            next.push(here);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
