// Finds k6's modules in this folder, and takes every script for a module.
export async function resolve(specifier, context, next) {
  const name = /^k6(?:\/(\w+))?$/.exec(specifier);
  if (name) return { url: new URL(`./${name[1] ?? 'k6'}.mjs`, import.meta.url).href, shortCircuit: true };
  const found = await next(specifier, context);
  return found.url.startsWith('file:') ? { ...found, format: 'module' } : found;
}
