//! Two listeners: parse, call in order, render.
