/** Argon2id, alone in its own file so that the first screen does not wait for it. Promises, trusts: hash-wasm. Keeps, refuses: nothing. */
export { argon2id } from "hash-wasm";
