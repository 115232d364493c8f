/** What a browser's fetch does that Node's does not. */
import { expect, test } from "vitest";
import { Net } from "../src/net.ts";

test("an answer without content is handed on, although a browser gives it an empty body", async () => {
  const answer = new Response(null, { status: 204 });
  Object.defineProperty(answer, "body", { value: new Blob([]).stream() });
  const net = new Net(() => Promise.resolve(answer), "https://issuer.test");
  expect((await net.fetch("https://issuer.test/notification", { method: "POST" })).status).toBe(204);
});
