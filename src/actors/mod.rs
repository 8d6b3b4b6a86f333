//! The actors: started in order, drained in reverse, reached through `mailbox` only.
