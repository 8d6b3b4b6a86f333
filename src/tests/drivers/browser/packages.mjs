// The pinned packages that scripts/drivers.sh installed. They lie elsewhere, so they are found by path.
import { createRequire } from "node:module";
import { webcrypto } from "node:crypto";
import { pathToFileURL } from "node:url";

// Node 18 has these under another name.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;

/// Where drivers.sh installed them.
export const drivers = process.env.DRIVERS;

const require = createRequire(`${drivers}/node/`);

/// A package by its name, unmodified.
export const load = (name) => import(pathToFileURL(require.resolve(name)).href);
