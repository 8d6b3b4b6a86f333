//! `doctor` names what is wrong: faults brought about on real servers, databases, caches and proxies, each told by its
//! name, and nothing told where nothing is wrong.

mod proxies;
mod setting;

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::run;

/// What the doctor is asked with: its environment and its arguments.
#[derive(Clone)]
struct Question {
    env: BTreeMap<String, String>,
    args: Vec<String>,
}

impl Question {
    fn with(&self, env: &[(&str, &str)], args: &[&str]) -> Self {
        let mut all = self.clone();
        for (name, value) in env {
            all.env.insert((*name).to_owned(), (*value).to_owned());
        }
        all.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        all
    }

    /// The names of what it finds; its exit code must agree with it.
    fn ask(&self) -> BTreeSet<String> {
        let env: Vec<(&str, &str)> = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut args = vec!["doctor", "--format", "json"];
        args.extend(self.args.iter().map(String::as_str));
        let done = run(&args, &env);
        let told: serde_json::Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&done.stderr)));
        assert_eq!(done.status.code(), Some(i32::from(told["errors"] != 0)), "{told}");
        let findings = told["findings"].as_array().unwrap();
        for finding in findings {
            for part in ["id", "severity", "what", "where", "fix"] {
                assert!(finding[part].as_str().is_some_and(|text| !text.is_empty()), "{part}: {finding}");
            }
        }
        findings.iter().map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Faults brought about one after the other; all that went otherwise is told at the end.
#[derive(Default)]
struct Cases {
    told: usize,
    wrong: Vec<String>,
}

impl Cases {
    /// The doctor names these, and no others.
    fn case(&mut self, what: &str, question: &Question, names: &[&str]) {
        self.told += 1;
        let (found, wanted) = (question.ask(), names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
        if found != wanted {
            self.wrong.push(format!("{what}: found {found:?}, wanted {wanted:?}"));
        }
    }

    fn end(self, least: usize) {
        assert!(self.wrong.is_empty(), "{} of {}:\n{}", self.wrong.len(), self.told, self.wrong.join("\n"));
        assert!(self.told >= least, "{} cases", self.told);
    }
}
