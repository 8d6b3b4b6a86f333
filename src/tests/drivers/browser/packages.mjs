// The pinned packages that scripts/drivers.sh installed. They lie elsewhere, so they are found by path.
import { createRequire } from "node:module";
import { webcrypto } from "node:crypto";
import { pathToFileURL } from "node:url";

globalThis.crypto ??= webcrypto; // Node 18 has it under another name

/// Where drivers.sh installed them.
export const drivers = process.env.DRIVERS;

const require = createRequire(`${drivers}/node/`);

/// A package by its name, unmodified.
export const load = (name) => import(pathToFileURL(require.resolve(name)).href);
