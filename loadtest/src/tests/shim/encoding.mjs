// The module `k6/encoding`, as far as the scripts use it.
function b64encode(input, encoding = 'std') {
  const forms = { std: 'base64', rawurl: 'base64url' };
  if (!forms[encoding]) throw new Error(`encoding ${encoding}`);
  return Buffer.from(input).toString(forms[encoding]);
}

export default { b64encode };
