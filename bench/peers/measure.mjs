/**
 * One peer's hot path in a process of its own. The first line in is `{peer, work, input}`; then `{times}` a line: so many
 * calls, answered with the CPU and wall seconds of one, all the process's threads counted.
 */
import { createInterface } from "node:readline";

import * as auth0 from "./auth0.mjs";
import * as owf from "./owf.mjs";
import * as sd_jwt from "./sd_jwt.mjs";

const peers = { auth0, owf, sd_jwt };
console.log = console.error; // some libraries print; the pipe is for answers

let run;
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  try {
    if (!run) {
      run = await peers[asked.peer][asked.work](asked.input);
      await run();
      process.stdout.write('{"ready":true}\n');
      continue;
    }
    const [cpu, wall] = [process.cpuUsage(), process.hrtime.bigint()];
    for (let at = 0; at < asked.times; at++) await run();
    const used = process.cpuUsage(cpu);
    const spent = Number(process.hrtime.bigint() - wall) / 1e9;
    process.stdout.write(`${JSON.stringify({ cpu: (used.user + used.system) / 1e6 / asked.times, wall: spent / asked.times })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error?.stack ?? error) })}\n`);
  }
}
