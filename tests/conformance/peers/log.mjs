// The modules of the log's pages, outside a browser: tasks in JSON on stdin, answers on stdout.

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const { static: folder, tiles: prefix, tasks } = JSON.parse(readFileSync(0, "utf8"));
const { Refused, Tiles, climb, hex, leafHash } = await import(pathToFileURL(`${folder}/log/tree.mjs`));
const { met, parseCheckpoint, parseKey, parseNote, parsePolicy, readStatement, verify } = await import(
  pathToFileURL(`${folder}/log/note.mjs`)
);
const read = async (path) => new Uint8Array(await readFile(`${prefix}/${path}`));

const DO = {
  async path({ size, index }) {
    const tiles = new Tiles(read, size);
    const entry = await tiles.entry(index);
    const path = await tiles.path(index);
    const way = await climb(await leafHash(entry), path);
    return { entry: hex(entry), path: path.map(({ hash }) => hex(hash)), root: hex(way.at(-1)) };
  },
  async root({ size, old }) {
    return hex(await new Tiles(read, size).root(old));
  },
  async note({ note, key }) {
    const parsed = parseNote(note);
    return (await verify(parsed, await parseKey(key))).state;
  },
  async quorum({ policy, note }) {
    const [rules, parsed] = [await parsePolicy(policy), parseNote(note)];
    parseCheckpoint(parsed.text);
    const good = new Set();
    for (const [name, key] of rules.witnesses) if ((await verify(parsed, key)).state === "good") good.add(name);
    return met(rules, good);
  },
  async statement({ text }) {
    const { good, thumbprint, said } = await readStatement(text);
    return { good, thumbprint: hex(thumbprint), act: said.act };
  },
};

const answers = [];
for (const task of tasks) {
  try {
    answers.push(await DO[task.do](task));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    answers.push(`refused: ${error.message}`);
  }
}
console.log(JSON.stringify(answers));
