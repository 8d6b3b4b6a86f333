//! The port: verbs that are whole transactions, and the errors a store may answer with.
