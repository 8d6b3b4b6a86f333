// The module `k6/execution`, as far as the scripts use it.
export default { scenario: { iterationInTest: 0 }, vu: { idInTest: 1 } };
